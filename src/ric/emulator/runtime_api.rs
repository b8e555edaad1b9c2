//! The Runtime API, as the runtime sees it.

use super::machine::{Outcome, Refusal};
use super::runtime::Runtime;
use super::server::Response;
use crate::http::Message;
use crate::system;

/// The service's limit for a response, in bytes.
pub const PAYLOAD_LIMIT: usize = 6 * 1024 * 1024 + 100;
const PATH: &str = "/2018-06-01/runtime/";

/// Answers a request. None: the runtime that asked is gone.
pub fn answer(runtime: &Runtime, request: Message) -> Option<Response> {
    let generation = runtime.generation();
    let (method, target) = request.head.request()?;
    let path: Vec<&str> = target
        .strip_prefix(PATH)
        .unwrap_or_default()
        .split('/')
        .collect();
    let accepted = |result: Result<(), Refusal>| match result {
        Ok(()) => Response::json(202, "{\"status\":\"OK\"}\n"),
        Err(refusal) => refused(refusal),
    };
    Some(match (method, path.as_slice()) {
        ("GET", ["invocation", "next"]) => match runtime.next(generation) {
            Ok(event) => next(runtime, event?),
            Err(refusal) => refused(refusal),
        },
        ("POST", ["invocation", id, "response"]) => {
            let size = request.body.len();
            if size > PAYLOAD_LIMIT {
                return Some(match runtime.answer(id, Outcome::TooLarge(size)) {
                    Ok(()) => error(
                        413,
                        "RequestEntityTooLarge",
                        "Exceeded maximum allowed payload size",
                    ),
                    Err(refusal) => refused(refusal),
                });
            }
            let content_type = request
                .head
                .header("content-type")
                .unwrap_or("application/json")
                .to_owned();
            let body = request.body;
            accepted(runtime.answer(id, Outcome::Response { content_type, body }))
        }
        ("POST", ["invocation", id, "error"]) => {
            accepted(runtime.answer(id, Outcome::Error(request.body)))
        }
        ("POST", ["init", "error"]) => accepted(runtime.init_error(request.body)),
        _ => Response::new(404, "text/plain", "404 page not found\n"),
    })
}

fn next(runtime: &Runtime, event: super::machine::Event) -> Response {
    let deadline = system::now_in_millis() + runtime.timeout.as_millis() as u64;
    let name = runtime.variable("AWS_LAMBDA_FUNCTION_NAME");
    let mut response = Response::json(200, event.payload)
        .with("Lambda-Runtime-Aws-Request-Id", &event.request_id)
        .with("Lambda-Runtime-Deadline-Ms", &deadline.to_string())
        .with(
            "Lambda-Runtime-Invoked-Function-Arn",
            &format!("arn:aws:lambda:us-east-1:012345678912:function:{name}"),
        );
    for (header, value) in [
        ("Lambda-Runtime-Trace-Id", event.trace_id),
        ("Lambda-Runtime-Client-Context", event.client_context),
    ] {
        if let Some(value) = value {
            response = response.with(header, &value);
        }
    }
    response
}

fn refused(refusal: Refusal) -> Response {
    match refusal {
        Refusal::InvalidStateTransition => {
            error(403, "InvalidStateTransition", "Transition is not allowed")
        }
        Refusal::InvalidRequestId => error(400, "InvalidRequestID", "Invalid request ID"),
    }
}

fn error(status: u16, kind: &str, message: &str) -> Response {
    Response::json(
        status,
        format!("{{\"errorMessage\":\"{message}\",\"errorType\":\"{kind}\"}}"),
    )
}
