//! The Invoke API: Invoke and InvokeWithResponseStream, as callers see them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::base64;
use super::body::Broken;
use super::identifier;
use super::invoke::{Caller, Handled, Stop};
use super::json::quote;
use super::machine::{Event, Outcome};
use super::refusal::error_body;
use super::response_stream;
use super::sandbox::Sandbox;
use super::server::{Answer, Exchange, Response, refuse};

/// The service's limit for an event, in bytes,
const EVENT_LIMIT: usize = 6 * 1024 * 1024;
/// for one that nobody waits for,
const ASYNCHRONOUS_LIMIT: usize = 1024 * 1024;
/// and for a response that is not streamed.
pub const PAYLOAD_LIMIT: usize = 6 * 1024 * 1024 + 100;
/// So many events may be under way that nobody waits for.
const MOST_ASYNCHRONOUS: usize = 1000;

static ASYNCHRONOUS: AtomicUsize = AtomicUsize::new(0);

/// Answers a request.
pub fn answer(sandbox: &Arc<Sandbox>, exchange: &mut Exchange) -> Answer {
    let target = exchange.head.request();
    let Some((method, target)) = target.map(|(m, t)| (m.to_owned(), t.to_owned())) else {
        return Answer::Response(Response::new(400, "text/plain", "malformed request line\n"));
    };
    let path = target.split('?').next().unwrap_or_default();
    let between = |prefix: &str, suffix: &str| {
        let name = path.strip_prefix(prefix)?.strip_suffix(suffix)?;
        unescape(name).filter(|name| !name.contains('/'))
    };
    let plain = between("/2015-03-31/functions/", "/invocations");
    let streamed = between("/2021-11-15/functions/", "/response-streaming-invocations");
    let is_streamed = streamed.is_some();
    let Some(name) = plain.or(streamed) else {
        return Answer::Response(Response::new(404, "text/plain", "404 page not found\n"));
    };
    if method != "POST" {
        return Answer::Response(Response::new(405, "text/plain", "use POST\n"));
    }
    if !sandbox.configuration.is_called(&name) {
        let message = format!("Function not found: {name}");
        return Answer::Response(fault(404, "ResourceNotFoundException", &message));
    }
    let wants_tail = match exchange.head.header("x-amz-log-type") {
        None | Some("None") => false,
        Some("Tail") => true,
        Some(other) => {
            let message = format!("X-Amz-Log-Type is {other:?}: expected None or Tail");
            return Answer::Response(fault(400, "InvalidParameterValueException", &message));
        }
    };
    let kind = exchange
        .head
        .header("x-amz-invocation-type")
        .unwrap_or("RequestResponse")
        .to_owned();
    let limit = match kind.as_str() {
        "Event" => ASYNCHRONOUS_LIMIT,
        "RequestResponse" | "DryRun" => EVENT_LIMIT,
        _ => {
            let message = format!(
                "X-Amz-Invocation-Type is {kind:?}: expected RequestResponse, Event or DryRun"
            );
            return Answer::Response(fault(400, "InvalidParameterValueException", &message));
        }
    };
    let event = match event(exchange, limit) {
        Ok(event) => event,
        Err(response) => return Answer::Response(response),
    };
    match kind.as_str() {
        "DryRun" => Answer::Response(Response::empty(204)),
        "Event" => Answer::Response(start(sandbox, event)),
        _ if is_streamed => response_stream::answer(sandbox, exchange, event, wants_tail),
        _ => Answer::Response(invoke(sandbox, exchange, event, wants_tail)),
    }
}

/// An error of the API itself, as SDKs read it.
pub fn fault(status: u16, kind: &str, message: &str) -> Response {
    let body = format!(
        "{{\"Type\":\"User\",\"Message\":{0},\"message\":{0}}}",
        quote(message)
    );
    Response::json(status, body).with("X-Amzn-ErrorType", kind)
}

/// The answer when too many wait already.
pub fn throttled() -> Response {
    let body = "{\"Type\":\"User\",\"Reason\":\"ConcurrentInvocationLimitExceeded\",\"message\":\"Rate Exceeded.\"}";
    Response::json(429, body).with("X-Amzn-ErrorType", "TooManyRequestsException")
}

fn event(exchange: &mut Exchange, limit: usize) -> Result<Event, Response> {
    let payload = exchange.body.whole(limit).map_err(|broken| match broken {
        Broken::TooLong(size) => fault(
            413,
            "RequestTooLargeException",
            &format!("Request must be smaller than {limit} bytes for the InvokeFunction operation, this one has {size}"),
        ),
        other => refuse(&other),
    })?;
    let header = |name| exchange.head.header(name).map(str::to_owned);
    let client_context = match header("x-amz-client-context") {
        None => None,
        Some(text) => Some(
            base64::decode(&text)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .ok_or_else(|| {
                    let message = "X-Amz-Client-Context is not valid base64";
                    fault(400, "InvalidParameterValueException", message)
                })?,
        ),
    };
    Ok(Event {
        request_id: identifier::fresh(),
        invocation_id: identifier::fresh(),
        client_context,
        trace_id: header("x-amzn-trace-id"),
        tenant_id: header("x-amz-tenant-id"),
        deadline: 0,
        payload,
    })
}

/// Keeps a whole response.
#[derive(Default)]
struct Collected {
    content_type: String,
    body: Vec<u8>,
}

impl Caller for Collected {
    fn begin(&mut self, content_type: &str) -> Result<(), Stop> {
        self.content_type = content_type.to_owned();
        Ok(())
    }

    fn piece(&mut self, bytes: Vec<u8>, _patience: Duration) -> Result<(), Stop> {
        if self.body.len() + bytes.len() > PAYLOAD_LIMIT {
            return Err(Stop::TooLarge);
        }
        if self.body.is_empty() {
            self.body = bytes;
        } else {
            self.body.extend_from_slice(&bytes);
        }
        Ok(())
    }
}

/// An event that nobody waits for.
fn start(sandbox: &Arc<Sandbox>, event: Event) -> Response {
    if ASYNCHRONOUS.fetch_add(1, Ordering::SeqCst) >= MOST_ASYNCHRONOUS {
        ASYNCHRONOUS.fetch_sub(1, Ordering::SeqCst);
        return throttled();
    }
    let (sandbox, id) = (Arc::clone(sandbox), event.request_id.clone());
    thread::spawn(move || {
        sandbox.invoke(event, &mut Collected::default());
        ASYNCHRONOUS.fetch_sub(1, Ordering::SeqCst);
    });
    Response::empty(202).with("X-Amzn-RequestId", &id)
}

fn invoke(sandbox: &Arc<Sandbox>, exchange: &Exchange, event: Event, wants_tail: bool) -> Response {
    let mut collected = Collected::default();
    let id = event.request_id.clone();
    let Some(Handled { outcome, log_tail }) = sandbox.invoke(event, &mut collected) else {
        return throttled();
    };
    // An SDK signs its requests, takes 502 for a fault of the service, and tries again.
    let is_sdk = exchange
        .head
        .header("authorization")
        .is_some_and(|value| value.starts_with("AWS4-"));
    let mut response = match error(sandbox, &id, &outcome) {
        None => Response::new(200, &collected.content_type, collected.body),
        Some(error) => {
            let response = match outcome {
                Outcome::TimedOut if !is_sdk => {
                    Response::new(200, "text/plain", sandbox.timed_out())
                }
                Outcome::Failed(..) | Outcome::InitError(_) if !is_sdk => {
                    Response::json(502, error.body)
                }
                _ => Response::json(200, error.body),
            };
            response.with("X-Amz-Function-Error", "Unhandled")
        }
    };
    if wants_tail {
        response = response.with("X-Amz-Log-Result", &base64::encode(&log_tail));
    }
    response
        .with(
            "X-Amz-Executed-Version",
            &sandbox.configuration.function_version,
        )
        .with("X-Amzn-RequestId", &id)
}

/// An error as callers get to see it.
pub struct FunctionError {
    /// Its type.
    pub kind: String,
    /// A JSON object.
    pub body: Vec<u8>,
}

/// The error of an invocation, if it ended in one.
pub fn error(sandbox: &Sandbox, id: &str, outcome: &Outcome) -> Option<FunctionError> {
    let made = |kind: &str, message: &str| FunctionError {
        kind: kind.to_owned(),
        body: error_body(message, kind).into_bytes(),
    };
    let sent = |kind: &str, body: &Vec<u8>| FunctionError {
        kind: kind.to_owned(),
        body: body.clone(),
    };
    Some(match outcome {
        Outcome::Complete => return None,
        Outcome::Error(body) | Outcome::InitError(body) => sent("Unhandled", body),
        Outcome::BrokenOff(kind, body) if body.is_empty() => {
            made(kind, "The response was broken off")
        }
        Outcome::BrokenOff(kind, body) => sent(kind, body),
        Outcome::TooLarge => made(
            "Function.ResponseSizeTooLarge",
            &format!(
                "Response payload size exceeded maximum allowed payload size ({PAYLOAD_LIMIT} bytes)."
            ),
        ),
        Outcome::Failed(kind, how) => made(kind, &format!("RequestId: {id} Error: {how}")),
        Outcome::TimedOut => made(
            "Sandbox.Timedout",
            &format!("RequestId: {id} Error: {}", sandbox.timed_out()),
        ),
    })
}

/// Undoes percent-encoding. None: it is none, or no text.
fn unescape(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = rest
            .get(..2)
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unescaped() {
        for (text, expected) in [
            ("function", Some("function")),
            ("arn%3aaws%3Alambda", Some("arn:aws:lambda")),
            ("%", None),
            ("%4", None),
            ("%+4", None),
            ("%ff", None),
        ] {
            assert_eq!(unescape(text).as_deref(), expected, "{text}");
        }
    }
}
