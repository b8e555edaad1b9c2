//! A Runtime API that does nothing but take the time.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(20);

/// The server, before the runtime has connected.
pub struct Api {
    listener: TcpListener,
    pub address: String,
}

/// A runtime that waits for an event.
pub struct Waiting {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Api {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self { listener, address }
    }

    /// Waits for the first call of `next`. The official client may open connections that it does not use.
    pub fn wait_next(&self) -> Waiting {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut waiting = Waiting {
            stream,
            buffer: vec![0; 8 * 1024 * 1024],
            filled: 0,
        };
        waiting.read_request().unwrap();
        waiting
    }
}

impl Waiting {
    /// Hands out an event; the time until its result has come in whole. Afterwards the runtime waits again.
    pub fn invoke(&mut self, event: &[u8]) -> Duration {
        let started = Instant::now();
        self.stream.write_all(event).unwrap();
        self.read_request().unwrap();
        let taken = started.elapsed();
        let accepted = b"HTTP/1.1 202 Accepted\r\nContent-Length: 16\r\n\r\n{\"status\":\"OK\"}\n";
        self.stream.write_all(accepted).unwrap();
        self.read_request().unwrap();
        taken
    }

    /// Reads one request and forgets it.
    fn read_request(&mut self) -> io::Result<()> {
        let mut end = None;
        loop {
            if end.is_none() {
                let read = &self.buffer[..self.filled];
                end = read
                    .windows(4)
                    .position(|window| window == b"\r\n\r\n")
                    .map(|at| {
                        let head = String::from_utf8_lossy(&read[..at]).to_ascii_lowercase();
                        assert!(!head.contains("/error"), "the function failed: {head}");
                        let length = head
                            .lines()
                            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                        at + 4 + length.unwrap_or(0usize)
                    });
            }
            if let Some(end) = end.filter(|end| self.filled >= *end) {
                self.buffer.copy_within(end..self.filled, 0);
                self.filled -= end;
                return Ok(());
            }
            let count = self.stream.read(&mut self.buffer[self.filled..])?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.filled += count;
        }
    }
}

/// An answer to `next`.
pub fn event(body: &str) -> Vec<u8> {
    let headers = "Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\nLambda-Runtime-Deadline-Ms: 4102444800000\r\n\
        Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:f\r\n\
        Lambda-Runtime-Trace-Id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1\r\n";
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}
