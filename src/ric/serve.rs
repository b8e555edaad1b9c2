//! The runtime's loop: one invocation after another, from `next` to the handler and back to `response` or `error`.
//!
//! The wait for an event is outside the interpreter, and Python's signal handlers run during it on every version. What
//! ends the process is what ends the official client's: errors of the initialisation, a Runtime API that does not answer,
//! and exceptions outside `Exception`, such as SystemExit.

use std::io;
use std::time::Duration;

use crate::builtin_module::{self, with_client};
use crate::ffi::{Builtin, Object, Python, Raised, Result, SignalsHeld, Wake};
use crate::invocation::{Invocation, NoInvocation};
use crate::posting::{is_worker, say, worker_log};
use crate::session::Session;
use crate::{system, version};

/// Initialises the function and serves it. Ends with an exception, at best SystemExit; only the parent of several workers
/// returns.
pub fn run(py: Python, handler: &str) -> Result<()> {
    if system::present("AWS_LAMBDA_MAX_CONCURRENCY").is_some() {
        builtin_module::name(py, "run_workers")?.call(py, &[&py.text(handler)?])?;
        return Ok(());
    }
    let handler = initialise(py, handler)?;
    serve(py, handler)
}

/// Loads the function and returns its handler. An error is reported and becomes SystemExit.
pub fn initialise(py: Python, handler: &str) -> Result<Object> {
    let module = builtin_module::module(py)?;
    module.call_method(py, "unbuffer", &[])?;
    if system::present("_LAMBDA_TELEMETRY_LOG_FD").is_some() {
        module.call_method(py, "log_sink", &[])?;
    }
    let resolve = || {
        await_logging(py, &module)?;
        if version::is_preview() {
            module.call_method(py, "warn_of_preview", &[])?;
        }
        module.call_method(py, "resolve", &[&py.text(handler)?])
    };
    let handler = resolve().map_err(|Raised| init_failed(py, &module))?;
    if system::present("AWS_LAMBDA_INITIALIZATION_TYPE").is_some_and(|kind| kind == "snap-start") {
        module.call_method(py, "take_snapshot", &[])?;
    }
    Ok(handler)
}

/// Takes one invocation after another to a handler. Ends with an exception.
pub fn serve(py: Python, handler: Object) -> Result<()> {
    let session = Session::new(py, handler)?;
    loop {
        let invocation = wait_next(py)?;
        session.serve(py, &invocation)?;
    }
}

/// Configures logging now if somebody has imported it, else when somebody does.
fn await_logging(py: Python, module: &Object) -> Result<()> {
    if py.imported("logging").is_some() {
        module.call_method(py, "set_up_logging", &[])?;
        return Ok(());
    }
    let finders = py.import("sys")?.get(py, "meta_path")?;
    finders.call_method(py, "insert", &[&py.integer(0)?, module])?;
    Ok(())
}

/// Reports the exception that is set. Returns SystemExit, or what must end the process in another way.
fn init_failed(py: Python, module: &Object) -> Raised {
    let Some(exception) = py.take_exception() else {
        return py.exit(1);
    };
    if !exception.is(Builtin::Exception) {
        return py.restore(exception);
    }
    let report = module.call_method(py, "init_failed", &[&exception.value, &exception.traceback]);
    report.err().unwrap_or_else(|| py.exit(1))
}

/// Waits for the next invocation. Python's signal handlers run meanwhile. One of several workers tries again a few times.
pub fn wait_next(py: Python) -> Result<Invocation> {
    const WARNING: i64 = 30;
    const INFO: i64 = 20;
    const PAUSES: [u64; 4] = [100, 200, 400, 800];
    const FAILED: &str = "Failed to get next";
    let mut pauses = PAUSES.into_iter().zip(2..);
    let is_worker = is_worker(py)?;
    let mut failure = format!("Initial runtime_client.next() failed: {FAILED}");
    loop {
        match next(py)? {
            Ok(invocation) => return Ok(invocation),
            Err(NoInvocation(why)) => say(&why),
        }
        let Some((pause, attempt)) = pauses.next().filter(|_| is_worker) else {
            return Err(no_next(py, FAILED));
        };
        worker_log(py, WARNING, &failure)?;
        worker_log(
            py,
            INFO,
            &format!("Retrying runtime_client.next() [attempt {attempt}]..."),
        )?;
        py.detached(|| std::thread::sleep(Duration::from_millis(pause)));
        failure = format!("Attempt {attempt} failed: {FAILED}");
    }
}

/// The official client waits in another thread where it leaves Unicode as it is, and fails in another way there.
fn no_next(py: Python, failed: &str) -> Raised {
    if version::escapes_unicode() {
        return py.raise(Builtin::RuntimeError, failed);
    }
    let message = format!("LAMBDA_RUNTIME Failed to get next invocation: {failed}");
    let fault = || {
        let kind = py.text("Runtime.LambdaRuntimeClientError")?;
        let class = builtin_module::name(py, "FaultException")?;
        class.call(py, &[&kind, &py.text(&message)?, &py.none()])
    };
    fault().map_or_else(|raised| raised, |fault| py.raise_value(fault))
}

fn next(py: Python) -> Result<std::result::Result<Invocation, NoInvocation>> {
    // Ends a wait that a signal should have ended, but another thread got it.
    const LONGEST_WAIT: Duration = Duration::from_secs(1);
    let failed = |error: io::Error| {
        Err(NoInvocation(format!(
            "Failed to get next invocation. No Response from endpoint: {error}"
        )))
    };
    with_client(py, |client| {
        if let Err(error) = py.detached(|| client.send_next()) {
            return Ok(failed(error));
        }
        loop {
            py.check_signals()?;
            let held = SignalsHeld::new();
            py.check_signals()?;
            let message = py.detached(|| {
                let Some(descriptor) = client.descriptor() else {
                    return Err(io::ErrorKind::NotConnected.into());
                };
                match held.wait_readable(descriptor, LONGEST_WAIT) {
                    Wake::Ready => client.receive_next(),
                    Wake::Interrupted => Ok(None),
                }
            });
            drop(held);
            match message {
                Ok(None) => {}
                Ok(Some(message)) => return Ok(Invocation::from_message(message)),
                Err(error) => return Ok(failed(error)),
            }
        }
    })
}
