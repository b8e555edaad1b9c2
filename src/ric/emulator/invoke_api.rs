//! The Invoke API, as callers see it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::machine::{Event, Outcome};
use super::report::{self, Report};
use super::runtime::{Handled, Runtime};
use super::runtime_api::PAYLOAD_LIMIT;
use super::server::Response;
use crate::http::Message;

const PATH: &str = "/2015-03-31/functions/function/invocations";
/// So many callers may wait for their turn.
const MOST_WAITING: usize = 1000;

static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Answers a request.
pub fn answer(runtime: &Arc<Runtime>, request: Message) -> Response {
    let Some((method, target)) = request.head.request() else {
        return Response::new(400, "text/plain", "malformed request line\n");
    };
    if target.split('?').next() != Some(PATH) {
        return Response::new(404, "text/plain", "404 page not found\n");
    }
    if method != "POST" {
        return Response::new(405, "text/plain", "use POST\n");
    }
    if request.body.len() > PAYLOAD_LIMIT {
        let size = request.body.len();
        let message =
            format!("Request must be smaller than {PAYLOAD_LIMIT} bytes, this one has {size}");
        return Response::json(
            413,
            format!("{{\"Type\":\"User\",\"Message\":\"{message}\"}}"),
        );
    }
    let client_context = match request
        .head
        .header("x-amz-client-context")
        .map(decode_base64)
    {
        None => None,
        Some(Some(context)) => Some(String::from_utf8_lossy(&context).into_owned()),
        Some(None) => {
            return Response::json(
                400,
                "{\"Message\":\"X-Amz-Client-Context is not valid base64\"}",
            );
        }
    };
    let kind = request
        .head
        .header("x-amz-invocation-type")
        .unwrap_or("RequestResponse")
        .to_owned();
    let event = Event {
        request_id: new_id(),
        client_context,
        trace_id: request.head.header("x-amzn-trace-id").map(str::to_owned),
        payload: request.body,
    };
    match kind.as_str() {
        "DryRun" => Response {
            status: 204,
            ..Response::default()
        },
        "Event" => {
            let (runtime, id) = (Arc::clone(runtime), event.request_id.clone());
            thread::spawn(move || invoke(&runtime, event));
            Response {
                status: 202,
                ..Response::default()
            }
            .with("X-Amzn-RequestId", &id)
        }
        _ => invoke(runtime, event),
    }
}

fn invoke(runtime: &Arc<Runtime>, event: Event) -> Response {
    if WAITING.fetch_add(1, Ordering::SeqCst) >= MOST_WAITING {
        WAITING.fetch_sub(1, Ordering::SeqCst);
        return Response::json(
            429,
            "{\"Type\":\"User\",\"Reason\":\"ConcurrentInvocationLimitExceeded\"}",
        );
    }
    let id = event.request_id.clone();
    let version = runtime.variable("AWS_LAMBDA_FUNCTION_VERSION");
    let begin = || print(&report::start(&id, &version));
    let response = runtime.handle(event, begin, |handled| {
        let response = respond(&id, handled, runtime);
        print(&report::end(&Report {
            request_id: &id,
            init: handled.init,
            duration: handled.duration,
            memory_size: &runtime.variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
            memory_used: handled.memory_used,
        }));
        response
    });
    WAITING.fetch_sub(1, Ordering::SeqCst);
    response.with("X-Amzn-RequestId", &id)
}

fn respond(id: &str, handled: &Handled, runtime: &Runtime) -> Response {
    const FUNCTION_ERROR: (&str, &str) = ("X-Amz-Function-Error", "Unhandled");
    let failed = |response: Response| response.with(FUNCTION_ERROR.0, FUNCTION_ERROR.1);
    match &handled.outcome {
        Some(Outcome::Response { content_type, body }) => {
            Response::new(200, content_type, body.clone())
        }
        Some(Outcome::Error(body)) => failed(Response::json(200, body.clone())),
        Some(Outcome::TooLarge(_)) => failed(Response::json(
            200,
            format!(
                "{{\"errorMessage\":\"Response payload size exceeded maximum allowed payload size ({PAYLOAD_LIMIT} bytes).\",\
                 \"errorType\":\"Function.ResponseSizeTooLarge\"}}"
            ),
        )),
        Some(Outcome::InitError(body)) => failed(Response::json(502, body.clone())),
        Some(Outcome::Died(how)) => {
            let how: String = how
                .chars()
                .filter(|c| !c.is_control() && !matches!(c, '"' | '\\'))
                .collect();
            print(&format!(
                "RequestId: {id} Error: Runtime exited with error: {how}\nRuntime.ExitError\n"
            ));
            failed(Response::json(
                502,
                format!(
                    "{{\"errorMessage\":\"RequestId: {id} Error: Runtime exited with error: {how}\",\
                     \"errorType\":\"Runtime.ExitError\"}}"
                ),
            ))
        }
        None => {
            let message = format!(
                "Task timed out after {:.2} seconds",
                runtime.timeout.as_secs_f64()
            );
            print(&format!("{id} {message}\n"));
            failed(Response::new(200, "text/plain", message))
        }
    }
}

fn print(text: &str) {
    // Nobody is left to tell if standard output is closed.
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

/// A random UUID of version 4.
fn new_id() -> String {
    let random = || RandomState::new().build_hasher().finish();
    let (high, low) = (random(), random());
    let hex = format!(
        "{:016x}{:016x}",
        high & !0xf000 | 0x4000,
        low & !(0b11 << 62) | 0b10 << 62
    );
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if digits.len() % 4 == 1 || text.len() - digits.len() > 2 {
        return None;
    }
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_with_and_without_padding() {
        for (text, expected) in [
            ("", ""),
            ("eyJhIjoxfQ==", "{\"a\":1}"),
            ("eyJhIjoxfQ", "{\"a\":1}"),
            ("YWJj", "abc"),
        ] {
            assert_eq!(
                decode_base64(text).as_deref(),
                Some(expected.as_bytes()),
                "{text}"
            );
        }
        for text in ["a", "a===", "ab!=", "{}"] {
            assert_eq!(decode_base64(text), None, "{text}");
        }
    }

    #[test]
    fn ids_are_uuids_and_differ() {
        let (one, two) = (new_id(), new_id());
        assert_ne!(one, two);
        assert_eq!(one.len(), 36);
        assert_eq!(&one[14..15], "4");
        assert!("89ab".contains(&one[19..20]));
    }
}
