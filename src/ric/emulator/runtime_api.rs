//! The Runtime API, as the runtime sees it.

use super::base64;
use super::body::Broken;
use super::invoke_api::PAYLOAD_LIMIT;
use super::machine::{Event, Outcome};
use super::refusal::{Refusal, error_body};
use super::sandbox::Sandbox;
use super::server::{Answer, Exchange, Response, refuse};

/// What its paths begin with.
pub const PATH: &str = "/2018-06-01/runtime/";
const ACCEPTED: &str = "{\"status\":\"OK\"}\n";

/// Answers a request to `path`, which is without [`PATH`].
pub fn answer(sandbox: &Sandbox, exchange: &mut Exchange, method: &str, path: &str) -> Answer {
    let segments: Vec<&str> = path.split('/').collect();
    let result = match (method, segments.as_slice()) {
        ("GET", ["invocation", "next"]) => match sandbox.next(|| exchange.is_closed()) {
            Ok(Some(event)) => return Answer::Response(next(sandbox, event)),
            Ok(None) => return Answer::Close,
            Err(refusal) => Err(refusal),
        },
        ("POST", ["invocation", id, "response"]) => respond(sandbox, exchange, id),
        ("POST", ["invocation", id, "error"]) => whole(exchange).and_then(|body| {
            let invocation = exchange.head.header("lambda-runtime-invocation-id");
            sandbox.end(id, invocation, Outcome::Error(body))
        }),
        ("POST", ["init", "error"] | ["restore", "error"]) => {
            whole(exchange).and_then(|body| sandbox.init_error(body))
        }
        // There is no snapshot: what was started goes on.
        ("GET", ["restore", "next"]) => {
            return Answer::Response(Response::json(200, ""));
        }
        _ => return Answer::Response(Response::new(404, "text/plain", "404 page not found\n")),
    };
    Answer::Response(match result {
        Ok(()) => Response::json(202, ACCEPTED),
        Err(refusal) => refusal.response(),
    })
}

fn next(sandbox: &Sandbox, event: Event) -> Response {
    let response = Response::json(200, event.payload)
        .with("Lambda-Runtime-Aws-Request-Id", &event.request_id)
        .with("Lambda-Runtime-Invocation-Id", &event.invocation_id)
        .with("Lambda-Runtime-Deadline-Ms", &event.deadline.to_string())
        .with(
            "Lambda-Runtime-Invoked-Function-Arn",
            &sandbox.configuration.arn(),
        );
    [
        ("Lambda-Runtime-Trace-Id", event.trace_id),
        ("Lambda-Runtime-Client-Context", event.client_context),
        ("Lambda-Runtime-Aws-Tenant-Id", event.tenant_id),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .fold(response, |response, (name, value)| {
        response.with(name, &value)
    })
}

/// A body of the size of a response, for what is shorter by nature.
fn whole(exchange: &mut Exchange) -> Result<Vec<u8>, Refusal> {
    exchange.body.whole(PAYLOAD_LIMIT).map_err(broken)
}

fn broken(broken: Broken) -> Refusal {
    match broken {
        Broken::TooLong(_) => Refusal::too_large(),
        Broken::Cut => Refusal::new(
            400,
            "TruncatedHTTPRequest",
            "HTTP request detected as truncated",
        ),
        Broken::Malformed(malformed) => Refusal::new(
            refuse(&broken).status,
            "InvalidRequest",
            malformed.to_string(),
        ),
    }
}

fn respond(sandbox: &Sandbox, exchange: &mut Exchange, id: &str) -> Result<(), Refusal> {
    let header = |name| exchange.head.header(name).map(str::to_owned);
    let invocation = header("lambda-runtime-invocation-id");
    let content_type = header("content-type").filter(|text| !text.is_empty());
    let content_type = content_type.as_deref().unwrap_or("application/json");
    match header("lambda-runtime-function-response-mode").as_deref() {
        None => match exchange.body.whole(PAYLOAD_LIMIT) {
            Ok(body) => {
                sandbox.begin(id, invocation.as_deref(), content_type)?;
                sandbox.piece(id, body)?;
                sandbox.end(id, None, Outcome::Complete)
            }
            Err(Broken::TooLong(_)) => {
                sandbox.end(id, invocation.as_deref(), Outcome::TooLarge)?;
                Err(Refusal::too_large())
            }
            Err(other) => Err(broken(other)),
        },
        Some("streaming") => {
            sandbox.begin(id, invocation.as_deref(), content_type)?;
            stream(sandbox, exchange, id)
        }
        Some(_) => {
            let message = "Invalid function response mode";
            let body = error_body(message, "Runtime.InvalidResponseModeHeader").into_bytes();
            sandbox.end(id, invocation.as_deref(), Outcome::Error(body))?;
            Err(Refusal::new(400, "InvalidFunctionResponseMode", message))
        }
    }
}

/// A response that is passed on as it comes. A runtime that fails on the way says so behind the last chunk.
fn stream(sandbox: &Sandbox, exchange: &mut Exchange, id: &str) -> Result<(), Refusal> {
    loop {
        match exchange.body.piece() {
            Ok(Some(bytes)) => match sandbox.piece(id, bytes) {
                Ok(()) => {}
                Err(refusal) if refusal == Refusal::too_large() => {
                    // The rest is read, so that the runtime gets to hear why nobody wants it.
                    let _ = exchange.body.whole(0);
                    sandbox.end(id, None, Outcome::TooLarge)?;
                    return Err(refusal);
                }
                Err(refusal) => return Err(refusal),
            },
            Ok(None) => break,
            Err(error) => {
                let refusal = broken(error);
                let body = error_body(&refusal.message, "Runtime.TruncatedResponse");
                let kind = "Runtime.TruncatedResponse".to_owned();
                sandbox.end(id, None, Outcome::BrokenOff(kind, body.into_bytes()))?;
                return Err(refusal);
            }
        }
    }
    let outcome = match exchange.body.trailer("lambda-runtime-function-error-type") {
        None => Outcome::Complete,
        Some(kind) => {
            let body = exchange.body.trailer("lambda-runtime-function-error-body");
            let body = body.and_then(base64::decode).unwrap_or_default();
            Outcome::BrokenOff(kind.to_owned(), body)
        }
    };
    sandbox.end(id, None, outcome)
}
