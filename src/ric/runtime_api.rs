//! The client of Lambda's Runtime API: one keep-alive connection for invocations, a new one for everything else, streamed
//! responses too.
//!
//! Requests carry exactly the headers that the official client sends. A reused connection that turns out to be closed is
//! replaced once, before the first byte of an answer; nothing else is sent twice.

use std::io;
use std::os::fd::RawFd;

use crate::connection::Connection;
use crate::http::Message;
use crate::streamed_response::StreamedResponse;

/// The version of the official client whose behaviour this one has.
pub const COMPATIBLE_VERSION: &str = "4.2.2";

const PATH: &str = "/2018-06-01/runtime";

/// What an error is reported under: as a header of its own, or behind a response that has begun.
pub const ERROR_TYPE: &str = "Lambda-Runtime-Function-Error-Type";
/// The error in base64, behind a response that has begun.
pub const ERROR_BODY: &str = "Lambda-Runtime-Function-Error-Body";

/// The client.
pub struct Client {
    address: String,
    user_agent: String,
    connection: Option<Connection>,
    request: Vec<u8>,
}

/// The answer to a post: status code and body.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

impl Answer {
    /// Any 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl From<Message> for Answer {
    fn from(message: Message) -> Self {
        Self {
            status: message.head.status().unwrap_or_default(),
            body: String::from_utf8_lossy(&message.body).into_owned(),
        }
    }
}

impl Client {
    /// A client that connects when it is first used. `python_version` is like `3.13.5`.
    pub fn new(address: &str, python_version: &str) -> Self {
        Self {
            address: address.to_owned(),
            user_agent: format!("aws-lambda-python/{python_version}-{COMPATIBLE_VERSION}"),
            connection: None,
            request: Vec::new(),
        }
    }

    /// Asks for the next invocation; the answer comes through [`Client::receive_next`].
    pub fn send_next(&mut self) -> io::Result<()> {
        let Self {
            address,
            user_agent,
            ..
        } = &self;
        let request = format!(
            "GET {PATH}/invocation/next HTTP/1.1\r\nHost: {address}\r\nAccept: */*\r\nUser-Agent: {user_agent}\r\n\r\n"
        );
        self.request = request.into_bytes();
        self.send(&[])
    }

    /// The descriptor to wait on before [`Client::receive_next`].
    pub fn descriptor(&self) -> Option<RawFd> {
        self.connection.as_ref().map(Connection::descriptor)
    }

    /// Reads what has come in. None: not complete yet.
    pub fn receive_next(&mut self) -> io::Result<Option<Message>> {
        self.receive(&[])
    }

    /// Posts a result.
    pub fn post_response(
        &mut self,
        invocation: &Answered,
        content_type: &str,
        body: &[u8],
    ) -> io::Result<Answer> {
        self.post(
            invocation,
            "response",
            &format!("content-type: {content_type}\r\n"),
            body,
        )
    }

    /// Posts an error. `xray_cause` is JSON, or empty.
    pub fn post_error(
        &mut self,
        invocation: &Answered,
        xray_cause: &str,
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut headers = "content-type: application/json\r\n".to_owned();
        if !xray_cause.is_empty() {
            let cause = without_newlines(xray_cause);
            headers.push_str(&format!(
                "lambda-runtime-function-xray-error-cause: {cause}\r\n"
            ));
        }
        self.post(invocation, "error", &headers, body)
    }

    fn post(
        &mut self,
        answered: &Answered,
        what: &str,
        headers: &str,
        body: &[u8],
    ) -> io::Result<Answer> {
        let length = format!("content-length: {}", body.len());
        self.request = self.post_head(answered, what, headers, &length);
        self.send(body)?;
        loop {
            if let Some(message) = self.receive(body)? {
                return Ok(message.into());
            }
        }
    }

    /// Begins a response whose body comes in pieces, on a connection of its own: the platform wants that closed behind it.
    /// Nothing is sent yet.
    pub fn stream_response(
        &self,
        invocation: &Answered,
        content_type: &str,
    ) -> io::Result<StreamedResponse> {
        let headers = format!(
            "content-type: {content_type}\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n\
             Trailer: {ERROR_TYPE}, {ERROR_BODY}\r\n"
        );
        let framing = "Transfer-Encoding: chunked";
        let head = self.post_head(invocation, "response", &headers, framing);
        StreamedResponse::new(Connection::open(&self.address)?, head)
    }

    /// The head of a post; `headers` are lines, `framing` is the header about the body's length.
    fn post_head(&self, answered: &Answered, what: &str, headers: &str, framing: &str) -> Vec<u8> {
        let Self {
            address,
            user_agent,
            ..
        } = &self;
        let id = without_newlines(&answered.request_id);
        let invocation_id = answered
            .invocation_id
            .as_deref()
            .map(|id| format!("lambda-runtime-invocation-id: {}\r\n", without_newlines(id)));
        let invocation_id = invocation_id.unwrap_or_default();
        format!(
            "POST {PATH}/invocation/{id}/{what} HTTP/1.1\r\nHost: {address}\r\nAccept: */*\r\n{headers}\
             User-Agent: {user_agent}\r\n{invocation_id}{framing}\r\n\r\n"
        )
        .into_bytes()
    }

    fn send(&mut self, body: &[u8]) -> io::Result<()> {
        if let Some(connection) = &mut self.connection {
            match connection.send(&self.request, body) {
                Ok(()) => return Ok(()),
                Err(error) if !connection.reused => return Err(error),
                Err(_) => {}
            }
        }
        let mut connection = Connection::open(&self.address)?;
        connection.send(&self.request, body)?;
        self.connection = Some(connection);
        Ok(())
    }

    fn receive(&mut self, body: &[u8]) -> io::Result<Option<Message>> {
        let connection = self
            .connection
            .as_mut()
            .ok_or(io::ErrorKind::NotConnected)?;
        match connection.receive() {
            Ok(Some(message)) => {
                connection.reused = true;
                if message.head.closes() || !connection.is_reusable() {
                    self.connection = None;
                }
                Ok(Some(message))
            }
            Ok(None) => Ok(None),
            Err(error)
                if connection.reused
                    && connection.is_quiet()
                    && error.kind() != io::ErrorKind::InvalidData =>
            {
                self.connection = None;
                self.send(body)?;
                Ok(None)
            }
            Err(error) => {
                self.connection = None;
                Err(error)
            }
        }
    }

    /// Reports an error of the initialisation.
    pub fn post_init_error(&self, error_type: &str, body: &[u8]) -> io::Result<Answer> {
        self.alone("POST", "init/error", Some((error_type, body)))
    }

    /// Reports an error after a restore.
    pub fn post_restore_error(&self, error_type: &str, body: &[u8]) -> io::Result<Answer> {
        self.alone("POST", "restore/error", Some((error_type, body)))
    }

    /// Waits for the restore of the snapshot.
    pub fn restore_next(&self) -> io::Result<Answer> {
        self.alone("GET", "restore/next", None)
    }

    fn alone(&self, method: &str, what: &str, error: Option<(&str, &[u8])>) -> io::Result<Answer> {
        let Self { address, .. } = self;
        let mut head = format!(
            "{method} {PATH}/{what} HTTP/1.1\r\nHost: {address}\r\nAccept-Encoding: identity\r\n"
        );
        if let Some((kind, body)) = error {
            let kind = without_newlines(kind);
            head.push_str(&format!(
                "Content-Length: {}\r\n{ERROR_TYPE}: {kind}\r\n",
                body.len()
            ));
        }
        head.push_str("\r\n");
        let mut connection = Connection::open(address)?;
        connection.send(head.as_bytes(), error.map_or(&[], |(_, body)| body))?;
        loop {
            if let Some(message) = connection.receive()? {
                return Ok(message.into());
            }
        }
    }
}

/// The invocation that a post is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// The request id.
    pub request_id: String,
    /// Sent back if it came in.
    pub invocation_id: Option<String>,
}

/// A value that stays one line of a head.
pub fn without_newlines(value: &str) -> String {
    value.replace(['\r', '\n', '\0'], " ")
}
