//! The runtime's loop: one invocation after another, from `next` to the handler and back to `response` or `error`.
//!
//! The wait for an event is outside the interpreter, and Python's signal handlers run during it on every version. What
//! ends the process is what ends the official client's: errors of the initialisation, a Runtime API that does not answer,
//! and exceptions outside `Exception`, such as SystemExit.

use std::io::{self, Write};
use std::time::Duration;

use crate::builtin_module::{self, with_client};
use crate::ffi::{Builtin, Exception, Kind, Object, Python, Raised, Result, SignalsHeld, Wake};
use crate::invocation::{Invocation, NoInvocation};
use crate::json::{self, Encoder};
use crate::runtime_api::{Answer, Answered};
use crate::{system, version};

/// The X-Ray cause travels in a header; from this size on it is left out.
const XRAY_LIMIT: usize = 1024 * 1024;

/// What is the same for every invocation.
struct Session {
    module: Object,
    handler: Object,
    make_context: Object,
    environment: Object,
    trace_variable: Object,
    encoder: Encoder,
}

/// Initialises the function and serves it. Ends with an exception, at best SystemExit; only the parent of several workers
/// returns.
pub fn run(py: Python, handler: &str) -> Result<()> {
    if system::present("AWS_LAMBDA_MAX_CONCURRENCY").is_some() {
        builtin_module::name(py, "run_workers")?.call(py, &[&py.text(handler)?])?;
        return Ok(());
    }
    run_alone(py, handler, None)
}

/// Initialises and serves in one of several processes; calls `ready` in between.
pub fn run_worker(py: Python, handler: &str, ready: &Object) -> Result<()> {
    run_alone(py, handler, Some(ready))
}

fn run_alone(py: Python, handler: &str, ready: Option<&Object>) -> Result<()> {
    let module = builtin_module::module(py)?;
    module.call_method(py, "unbuffer", &[])?;
    if system::present("_LAMBDA_TELEMETRY_LOG_FD").is_some() {
        module.call_method(py, "log_sink", &[])?;
    }
    let initialise = || {
        await_logging(py, &module)?;
        if version::is_preview() {
            module.call_method(py, "warn_of_preview", &[])?;
        }
        module.call_method(py, "resolve", &[&py.text(handler)?])
    };
    let handler = match initialise() {
        Ok(handler) => handler,
        Err(Raised) => return Err(init_failed(py, &module)),
    };
    if system::present("AWS_LAMBDA_INITIALIZATION_TYPE").is_some_and(|kind| kind == "snap-start") {
        module.call_method(py, "take_snapshot", &[])?;
    }
    let session = Session {
        make_context: module.get(py, "make_context")?,
        environment: py.import("os")?.get(py, "environ")?,
        trace_variable: py.text("_X_AMZN_TRACE_ID")?,
        encoder: Encoder {
            ensure_ascii: version::escapes_unicode(),
        },
        module,
        handler,
    };
    if let Some(ready) = ready {
        ready.call(py, &[])?;
    }
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
            return Err(py.raise(
                Builtin::RuntimeError,
                &format!("LAMBDA_RUNTIME Failed to get next invocation: {FAILED}"),
            ));
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
                    Wake::Readable => client.receive_next(),
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

fn is_worker(py: Python) -> Result<bool> {
    builtin_module::name(py, "is_worker")?.is_true(py)
}

fn worker_log(py: Python, level: i64, message: &str) -> Result<()> {
    let log = builtin_module::name(py, "worker_log")?;
    log.call(py, &[&py.integer(level)?, &py.text(message)?])
        .map(drop)
}

/// A line in the form that the official client's native part prints on standard output.
fn say(message: &str) {
    let line = format!(
        "[ERROR] [{}] LAMBDA_RUNTIME {message}\n",
        system::now_in_millis()
    );
    // Nobody is left to tell if standard output is closed.
    let _ = io::stdout().write_all(line.as_bytes());
    let _ = io::stdout().flush();
}

/// The official client's module if it is this image's and an agent has replaced some of its names.
fn patched(py: Python) -> Result<Option<Object>> {
    let Some(client) = py.imported("awslambdaric.lambda_runtime_client") else {
        return Ok(None);
    };
    let Ok(check) = client.get(py, "_patched") else {
        py.take_exception();
        return Ok(None);
    };
    check
        .call(py, &[])
        .map(|module| (!module.is_none()).then_some(module))
}

struct Reply {
    content_type: &'static str,
    body: Vec<u8>,
}

impl Session {
    fn serve(&self, py: Python, invocation: &Invocation) -> Result<()> {
        self.announce(py, invocation)?;
        if let Some(patched) = patched(py)? {
            return self.serve_through(py, &patched, invocation);
        }
        match self.invoke(py, invocation) {
            Ok(reply) => post_response(py, &answered(invocation), reply.content_type, &reply.body),
            Err(Raised) => match py.take_exception() {
                Some(exception) if exception.is(Builtin::Exception) => {
                    self.post_failure(py, invocation, &exception)
                }
                Some(exception) => Err(py.restore(exception)),
                None => Ok(()),
            },
        }
    }

    /// Through the official client's names, some of which an agent has replaced.
    fn serve_through(&self, py: Python, patched: &Object, invocation: &Invocation) -> Result<()> {
        let arguments = [
            self.handler.clone(),
            py.text(&invocation.request_id)?,
            py.bytes(&invocation.event)?,
            py.text(&invocation.content_type)?,
            py.optional_text(invocation.client_context.as_deref())?,
            py.optional_text(invocation.cognito_identity.as_deref())?,
            py.text(&invocation.function_arn)?,
            py.integer(invocation.deadline)?,
            py.optional_text(invocation.tenant_id.as_deref())?,
            py.optional_text(invocation.invocation_id.as_deref())?,
        ];
        patched.call_method(py, "_serve", &arguments.each_ref())?;
        Ok(())
    }

    /// Tells logging and the X-Ray SDK which invocation this is.
    fn announce(&self, py: Python, invocation: &Invocation) -> Result<()> {
        self.module
            .set(py, "request_id", &py.text(&invocation.request_id)?)?;
        self.module.set(
            py,
            "tenant_id",
            &py.optional_text(invocation.tenant_id.as_deref())?,
        )?;
        match &invocation.trace_id {
            Some(id) => self
                .environment
                .set_item(py, &self.trace_variable, &py.text(id)?),
            None if system::present("_X_AMZN_TRACE_ID").is_some() => {
                builtin_module::ignore(py, self.environment.delete_item(py, &self.trace_variable));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn invoke(&self, py: Python, invocation: &Invocation) -> Result<Reply> {
        let context = self.make_context.call(
            py,
            &[
                &py.text(&invocation.request_id)?,
                &py.optional_text(invocation.client_context.as_deref())?,
                &py.optional_text(invocation.cognito_identity.as_deref())?,
                &py.integer(invocation.deadline)?,
                &py.text(&invocation.function_arn)?,
                &py.optional_text(invocation.tenant_id.as_deref())?,
            ],
        )?;
        let event = if invocation.content_type == "application/json" {
            json::decode(py, &invocation.event)
                .map_err(|Raised| self.fault(py, "UnmarshalError", "Unable to unmarshal input: "))?
        } else {
            py.bytes(&invocation.event)?
        };
        let result = self.handler.call(py, &[&event, &context])?;
        if result.kind() == Kind::Bytes {
            let body = result.as_bytes(py)?.to_vec();
            return Ok(Reply {
                content_type: "application/unknown",
                body,
            });
        }
        let body = self
            .encoder
            .encode(py, &result)
            .map_err(|Raised| self.fault(py, "MarshalError", "Unable to marshal response: "))?;
        Ok(Reply {
            content_type: "application/json",
            body,
        })
    }

    /// Replaces the exception that is set by a fault of the runtime that quotes it.
    fn fault(&self, py: Python, kind: &str, prefix: &str) -> Raised {
        let Some(exception) = py.take_exception() else {
            return Raised;
        };
        if !exception.is(Builtin::Exception) {
            return py.restore(exception);
        }
        let fault = || -> Result<Exception> {
            let value = self.module.call_method(
                py,
                "wrap",
                &[&py.text(kind)?, &py.text(prefix)?, &exception.value],
            )?;
            Ok(Exception {
                kind: value.class(py)?,
                value,
                traceback: py.none(),
            })
        };
        fault().map_or_else(|raised| raised, |fault| py.restore(fault))
    }

    fn post_failure(
        &self,
        py: Python,
        invocation: &Invocation,
        exception: &Exception,
    ) -> Result<()> {
        let request_id = py.text(&invocation.request_id)?;
        let report = self.module.call_method(
            py,
            "invocation_failure",
            &[&exception.value, &exception.traceback, &request_id],
        )?;
        let report = report.to_vec(py)?;
        let [error, cause] = report.as_slice() else {
            return Err(py.raise(Builtin::RuntimeError, "an error report has two parts"));
        };
        self.module.call_method(py, "log_error", &[error])?;
        let body = encode_error(py, error)?;
        let cause = encode_error(py, cause)?;
        let cause = if cause.len() < XRAY_LIMIT {
            String::from_utf8_lossy(&cause)
        } else {
            "".into()
        };
        post_error(py, &answered(invocation), &cause, &body)
    }
}

/// Posts a result. Raises RuntimeError if the Runtime API refuses it for good.
pub fn post_response(
    py: Python,
    answered: &Answered,
    content_type: &str,
    body: &[u8],
) -> Result<()> {
    let answer = with_client(py, |client| {
        Ok(py.detached(|| client.post_response(answered, content_type, body)))
    })?;
    posted(py, answer, "Failed to post invocation response")
}

/// Posts an error. Raises as [`post_response`] does.
pub fn post_error(py: Python, answered: &Answered, xray_cause: &str, body: &[u8]) -> Result<()> {
    let answer = with_client(py, |client| {
        Ok(py.detached(|| client.post_error(answered, xray_cause, body)))
    })?;
    posted(py, answer, "Failed to post invocation error")
}

fn answered(invocation: &Invocation) -> Answered {
    Answered {
        request_id: invocation.request_id.clone(),
        invocation_id: invocation.invocation_id.clone(),
    }
}

/// Encodes an error. Text that is no valid Unicode is escaped, on every version.
fn encode_error(py: Python, error: &Object) -> Result<Vec<u8>> {
    let ensure_ascii = version::escapes_unicode();
    Encoder { ensure_ascii }
        .encode(py, error)
        .or_else(|Raised| {
            py.take_exception();
            Encoder { ensure_ascii: true }.encode(py, error)
        })
}

fn posted(py: Python, answer: io::Result<Answer>, failure: &str) -> Result<()> {
    const STALE: u16 = 410;
    const TOO_LARGE: u16 = 413;
    let (status, body) = match answer {
        Ok(answer) if answer.is_success() => return Ok(()),
        Ok(answer) => (i32::from(answer.status), answer.body),
        Err(error) => (-1, error.to_string()),
    };
    say(&format!(
        "Failed to post handler success response. Http response code: {status}. {body}"
    ));
    // The caller of a stale or too large answer is told by the platform; the function is fine.
    if status == i32::from(STALE) || status == i32::from(TOO_LARGE) {
        return Ok(());
    }
    if is_worker(py)? {
        const WARNING: i64 = 30;
        return worker_log(
            py,
            WARNING,
            &format!("{failure}: This won't kill the Runtime loop"),
        );
    }
    Err(py.raise(Builtin::RuntimeError, failure))
}
