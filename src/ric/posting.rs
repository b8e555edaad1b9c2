//! Answers to the platform, and what becomes of them when it refuses them.

use std::io::{self, Write};

use crate::builtin_module::{self, with_client};
use crate::ffi::{Builtin, Exception, Object, Python, Raised, Result};
use crate::json::Encoder;
use crate::runtime_api::{Answer, Answered};
use crate::{system, version};

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
    check(py, answer, "Failed to post invocation response")
}

/// Posts an error. Raises as [`post_response`] does.
pub fn post_error(py: Python, answered: &Answered, xray_cause: &str, body: &[u8]) -> Result<()> {
    let answer = with_client(py, |client| {
        Ok(py.detached(|| client.post_error(answered, xray_cause, body)))
    })?;
    check(py, answer, "Failed to post invocation error")
}

/// Why an answer did not arrive: status code, or -1, and the reason.
pub struct Refused(i32, String);

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self(-1, error.to_string())
    }
}

/// Prints why an answer did not arrive, as the official client does for results and errors alike.
pub fn say_refused(Refused(status, reason): &Refused) {
    say(&format!(
        "Failed to post handler success response. Http response code: {status}. {reason}"
    ));
}

/// Whether the loop can go on after an answer to a post.
pub fn check(py: Python, answer: io::Result<Answer>, failure: &str) -> Result<()> {
    const STALE: i32 = 410;
    const TOO_LARGE: i32 = 413;
    let refused = match answer {
        Ok(answer) if answer.is_success() => return Ok(()),
        Ok(answer) => Refused(i32::from(answer.status), answer.body),
        Err(error) => error.into(),
    };
    say_refused(&refused);
    // The caller of a stale or too large answer is told by the platform; the function is fine.
    if matches!(refused.0, STALE | TOO_LARGE) {
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

/// Describes an exception of the function and logs it. Returns what to report: the error, and the cause for X-Ray.
pub fn report(py: Python, request_id: &str, exception: &Exception) -> Result<[Object; 2]> {
    let module = builtin_module::module(py)?;
    let request_id = py.text(request_id)?;
    let report = module.call_method(
        py,
        "invocation_failure",
        &[&exception.value, &exception.traceback, &request_id],
    )?;
    let Ok([error, cause]) = <[Object; 2]>::try_from(report.to_vec(py)?) else {
        return Err(py.raise(Builtin::RuntimeError, "an error report has two parts"));
    };
    module.call_method(py, "log_error", &[&error])?;
    Ok([error, cause])
}

/// Encodes an error. Text that is no valid Unicode is escaped, on every version.
pub fn encode_error(py: Python, error: &Object) -> Result<Vec<u8>> {
    let ensure_ascii = version::escapes_unicode();
    Encoder { ensure_ascii }
        .encode(py, error)
        .or_else(|Raised| {
            py.take_exception();
            Encoder { ensure_ascii: true }.encode(py, error)
        })
}

/// Replaces the exception that is set by a fault of the runtime that quotes it: `prefix` and its message, as `Runtime.kind`.
pub fn fault(py: Python, kind: &str, prefix: &str) -> Raised {
    let Some(exception) = py.take_exception() else {
        return Raised;
    };
    if !exception.is(Builtin::Exception) {
        return py.restore(exception);
    }
    let fault = || {
        let wrap = builtin_module::name(py, "wrap")?;
        wrap.call(py, &[&py.text(kind)?, &py.text(prefix)?, &exception.value])
    };
    fault().map_or_else(|raised| raised, |fault| py.raise_value(fault))
}

/// Whether this is one of several workers, which go on where a single runtime ends.
pub fn is_worker(py: Python) -> Result<bool> {
    builtin_module::name(py, "is_worker")?.is_true(py)
}

/// Logs through the logging module; `level` is one of its numbers.
pub fn worker_log(py: Python, level: i64, message: &str) -> Result<()> {
    let log = builtin_module::name(py, "worker_log")?;
    log.call(py, &[&py.integer(level)?, &py.text(message)?])
        .map(drop)
}

/// A line in the form that the official client's native part prints on standard output.
pub fn say(message: &str) {
    let line = format!(
        "[ERROR] [{}] LAMBDA_RUNTIME {message}\n",
        system::now_in_millis()
    );
    // Nobody is left to tell if standard output is closed.
    let _ = io::stdout().write_all(line.as_bytes());
    let _ = io::stdout().flush();
}
