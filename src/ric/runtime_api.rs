//! The client of Lambda's Runtime API: one keep-alive connection for invocations, a new one for everything else.
//!
//! Requests carry exactly the headers that the official client sends. A reused connection that turns out to be closed is
//! replaced once, before the first byte of an answer; nothing else is sent twice.

use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use crate::http::{Message, Reader, Side};

/// The version of the official client whose behaviour this one has.
pub const COMPATIBLE_VERSION: &str = "4.2.2";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const HEAD_LIMIT: usize = 1024 * 1024;
const BODY_LIMIT: usize = 1 << 30;
const PATH: &str = "/2018-06-01/runtime";

struct Connection {
    stream: TcpStream,
    reader: Reader,
    reused: bool,
}

impl Connection {
    fn open(address: &str) -> io::Result<Self> {
        let with_port = if address.contains(':') {
            address.to_owned()
        } else {
            format!("{address}:80")
        };
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "no such host");
        for candidate in with_port.to_socket_addrs()? {
            match TcpStream::connect_timeout(&candidate, CONNECT_TIMEOUT) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    let reader = Reader::new(Side::Response, HEAD_LIMIT, BODY_LIMIT);
                    return Ok(Self {
                        stream,
                        reader,
                        reused: false,
                    });
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn send(&mut self, head: &[u8], body: &[u8]) -> io::Result<()> {
        const SMALL: usize = 16 * 1024;
        if body.len() <= SMALL {
            return self.stream.write_all(&[head, body].concat());
        }
        self.stream.write_all(head)?;
        self.stream.write_all(body)
    }

    fn receive(&mut self) -> io::Result<Option<Message>> {
        let more = match self.reader.read_from(&mut self.stream) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
            other => other?,
        };
        let message = self
            .reader
            .take()
            .map_err(|error| io::Error::other(error.to_string()))?;
        if message.is_none() && !more {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(message)
    }
}

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
        self.connection
            .as_ref()
            .map(|connection| connection.stream.as_raw_fd())
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
        let Self {
            address,
            user_agent,
            ..
        } = &self;
        let id = without_newlines(&answered.request_id);
        let mut head = format!(
            "POST {PATH}/invocation/{id}/{what} HTTP/1.1\r\nHost: {address}\r\nAccept: */*\r\n{headers}\
             User-Agent: {user_agent}\r\n"
        );
        if let Some(id) = &answered.invocation_id {
            head.push_str(&format!(
                "lambda-runtime-invocation-id: {}\r\n",
                without_newlines(id)
            ));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        self.request = head.into_bytes();
        self.send(body)?;
        loop {
            if let Some(message) = self.receive(body)? {
                return Ok(message.into());
            }
        }
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
                if message.head.closes() {
                    self.connection = None;
                }
                Ok(Some(message))
            }
            Ok(None) => Ok(None),
            Err(_) if connection.reused && connection.reader.is_empty() => {
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
                "Content-Length: {}\r\nLambda-Runtime-Function-Error-Type: {kind}\r\n",
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

fn without_newlines(value: &str) -> String {
    value.replace(['\r', '\n', '\0'], " ")
}
