//! Why the Runtime, Extensions and Telemetry APIs refuse a request, in the service's words.

use super::json::quote;
use super::server::Response;

/// A status and the two members of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// `errorType`
    pub kind: &'static str,
    /// `errorMessage`
    pub message: String,
}

impl Refusal {
    /// A refusal with any words.
    pub fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
        }
    }

    /// The runtime may not do this at this time.
    pub fn state_transition() -> Self {
        Self::new(403, "InvalidStateTransition", "Transition is not allowed")
    }

    /// There is no such invocation.
    pub fn request_id() -> Self {
        Self::new(400, "InvalidRequestID", "Invalid request ID")
    }

    /// The invocation is over.
    pub fn gone() -> Self {
        Self::new(410, "Runtime.InvocationGone", "The invocation is over")
    }

    /// The response is larger than Lambda allows.
    pub fn too_large() -> Self {
        Self::new(
            413,
            "RequestEntityTooLarge",
            "Exceeded maximum allowed payload size",
        )
    }

    /// As the answer to a request.
    pub fn response(&self) -> Response {
        Response::json(self.status, error_body(&self.message, self.kind))
    }
}

/// The body of an error, with its message and type.
pub fn error_body(message: &str, kind: &str) -> String {
    format!(
        "{{\"errorMessage\":{},\"errorType\":{}}}",
        quote(message),
        quote(kind)
    )
}
