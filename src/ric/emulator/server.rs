//! A small HTTP server: a thread per connection, keep-alive, one route function.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use crate::http::{Malformed, Message, Reader, Side};

/// The head may carry an X-Ray cause of just under 1 MiB.
const HEAD_LIMIT: usize = 2 * 1024 * 1024;
/// Far above every payload limit, so that a body that is too large gets an answer and not a reset.
const BODY_LIMIT: usize = 256 * 1024 * 1024;

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Headers besides the length.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// A JSON body.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "application/json", body)
    }

    /// A body of any type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type", content_type.to_owned())],
            body: body.into(),
        }
    }

    /// With one more header. Line breaks in the value become spaces.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.replace(['\r', '\n'], " ")));
        self
    }

    fn to_bytes(&self) -> Vec<u8> {
        let reason = match self.status {
            200 => "OK",
            202 => "Accepted",
            204 => "No Content",
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            413 => "Payload Too Large",
            429 => "Too Many Requests",
            502 => "Bad Gateway",
            _ => "Error",
        };
        let mut text = format!("HTTP/1.1 {} {reason}\r\n", self.status);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        [text.as_bytes(), &self.body].concat()
    }
}

/// Answers requests on `listener` for as long as the process lives. `route` returns None to close the connection.
pub fn serve(
    listener: TcpListener,
    route: impl Fn(Message) -> Option<Response> + Send + Sync + 'static,
) {
    let route = Arc::new(route);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let route = Arc::clone(&route);
            // A connection that cannot be served is closed; the others go on.
            let _ = thread::Builder::new().spawn(move || converse(stream, &*route));
        }
    });
}

fn converse(
    mut stream: TcpStream,
    route: &(impl Fn(Message) -> Option<Response> + ?Sized),
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = Reader::new(Side::Request, HEAD_LIMIT, BODY_LIMIT);
    loop {
        let request = match receive(&mut stream, &mut reader)? {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(malformed) => {
                let status = if malformed == Malformed::BodyTooLong {
                    413
                } else {
                    400
                };
                let response = Response::new(status, "text/plain", malformed.to_string());
                return stream.write_all(&response.to_bytes());
            }
        };
        let closes = request.head.closes();
        let Some(response) = route(request) else {
            return Ok(());
        };
        stream.write_all(&response.to_bytes())?;
        if closes {
            return Ok(());
        }
    }
}

fn receive(
    stream: &mut TcpStream,
    reader: &mut Reader,
) -> io::Result<Result<Option<Message>, Malformed>> {
    let mut told = false;
    loop {
        match reader.take() {
            Ok(None) => {}
            done => return Ok(done),
        }
        if !told && reader.expects_continue() {
            told = true;
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        match reader.read_from(stream) {
            Ok(true) => {}
            Ok(false) => return Ok(Ok(None)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
