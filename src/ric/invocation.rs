//! An invocation, as the answer to `next` describes it.

use crate::http::Message;

/// What to do and for whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// The request id.
    pub request_id: String,
    /// Milliseconds since 1970, 0 if the platform did not say.
    pub deadline: i64,
    /// The function's ARN, or "".
    pub function_arn: String,
    /// For `_X_AMZN_TRACE_ID`.
    pub trace_id: Option<String>,
    /// The client context as JSON text.
    pub client_context: Option<String>,
    /// The Cognito identity as JSON text.
    pub cognito_identity: Option<String>,
    /// The tenant.
    pub tenant_id: Option<String>,
    /// Sent back with the answer.
    pub invocation_id: Option<String>,
    /// The event's type; absent means JSON.
    pub content_type: String,
    /// The event.
    pub event: Vec<u8>,
}

/// Why there is no next invocation, in the official client's words.
#[derive(Debug, PartialEq, Eq)]
pub struct NoInvocation(pub String);

impl Invocation {
    /// Reads the answer to `next`.
    pub fn from_message(message: Message) -> Result<Self, NoInvocation> {
        let head = message.head;
        let status = head.status().unwrap_or_default();
        if !(200..300).contains(&status) {
            return Err(NoInvocation(format!(
                "Failed to get next invocation. Http Response code: {status}"
            )));
        }
        let optional = |name: &str| {
            head.header(name)
                .filter(|value| !value.is_empty())
                .map(str::to_owned)
        };
        let name = "lambda-runtime-aws-request-id";
        let request_id = head
            .header(name)
            .ok_or_else(|| NoInvocation(format!("Failed to find header {name} in response")))?;
        // It becomes part of a request line.
        if !request_id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(NoInvocation(format!("Malformed header {name} in response")));
        }
        Ok(Self {
            request_id: request_id.to_owned(),
            deadline: head
                .header("lambda-runtime-deadline-ms")
                .map_or(0, leading_number),
            function_arn: optional("lambda-runtime-invoked-function-arn").unwrap_or_default(),
            trace_id: optional("lambda-runtime-trace-id"),
            client_context: optional("lambda-runtime-client-context"),
            cognito_identity: optional("lambda-runtime-cognito-identity"),
            tenant_id: optional("lambda-runtime-aws-tenant-id"),
            invocation_id: optional("lambda-runtime-invocation-id"),
            content_type: head
                .header("content-type")
                .unwrap_or("application/json")
                .to_owned(),
            event: message.body,
        })
    }
}

fn leading_number(text: &str) -> i64 {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    text[..digits]
        .parse()
        .unwrap_or(if digits > 0 { i64::MAX } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Reader, Side};

    fn invocation(head: &str) -> Result<Invocation, NoInvocation> {
        let mut reader = Reader::new(Side::Response, 1000, 1000);
        let text = format!("{head}Content-Length: 2\r\n\r\n{{}}");
        reader.read_from(&mut text.as_bytes()).unwrap();
        Invocation::from_message(reader.take().unwrap().unwrap())
    }

    #[test]
    fn every_header_of_next_is_read() {
        let found = invocation(
            "HTTP/1.1 200 OK\r\nLAMBDA-Runtime-Aws-Request-Id: id\r\nLambda-Runtime-Deadline-Ms: 12x\r\n\
             Lambda-Runtime-Invoked-Function-Arn: arn\r\nLambda-Runtime-Trace-Id: trace\r\n\
             Lambda-Runtime-Client-Context: cc\r\nLambda-Runtime-Cognito-Identity: ci\r\n\
             Lambda-Runtime-Aws-Tenant-Id: t\r\nLambda-Runtime-Invocation-Id: inv\r\nContent-Type: text/plain\r\n",
        );
        let some = |text: &str| Some(text.to_owned());
        let expected = Invocation {
            request_id: "id".into(),
            deadline: 12,
            function_arn: "arn".into(),
            trace_id: some("trace"),
            client_context: some("cc"),
            cognito_identity: some("ci"),
            tenant_id: some("t"),
            invocation_id: some("inv"),
            content_type: "text/plain".into(),
            event: b"{}".to_vec(),
        };
        assert_eq!(found, Ok(expected));
    }

    #[test]
    fn what_is_absent_or_empty_has_a_default() {
        let found = invocation(
            "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: id\r\nLambda-Runtime-Trace-Id:\r\n",
        );
        let expected = Invocation {
            request_id: "id".into(),
            content_type: "application/json".into(),
            event: b"{}".to_vec(),
            ..Invocation::default()
        };
        assert_eq!(found, Ok(expected));
    }

    #[test]
    fn an_answer_without_invocation_says_why() {
        for (head, expected) in [
            (
                "HTTP/1.1 500 No\r\n",
                "Failed to get next invocation. Http Response code: 500",
            ),
            (
                "HTTP/1.1 200 OK\r\n",
                "Failed to find header lambda-runtime-aws-request-id in response",
            ),
            (
                "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: a b\r\n",
                "Malformed header lambda-runtime-aws-request-id in response",
            ),
        ] {
            assert_eq!(invocation(head), Err(NoInvocation(expected.into())));
        }
    }
}
