//! One connection to the Runtime API: opened within a second, read without a limit of time.

use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use crate::http::{Message, Reader, Side};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const HEAD_LIMIT: usize = 1024 * 1024;
const BODY_LIMIT: usize = 1 << 30;

/// A connection to the Runtime API.
pub struct Connection {
    stream: TcpStream,
    reader: Reader,
    /// An answer that came before its request was sent whole.
    early: Option<Message>,
    is_spent: bool,
    /// Whether a message has come in on it.
    pub reused: bool,
}

impl Connection {
    /// Connects to `host:port`.
    pub fn open(address: &str) -> io::Result<Self> {
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
                        early: None,
                        is_spent: false,
                        reused: false,
                    });
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Sends a request. A peer that refuses it half-way has answered already; then that answer can be received.
    pub fn send(&mut self, head: &[u8], body: &[u8]) -> io::Result<()> {
        const SMALL: usize = 16 * 1024;
        let sent = if body.len() <= SMALL {
            self.stream.write_all(&[head, body].concat())
        } else {
            let head = self.stream.write_all(head);
            head.and_then(|()| self.stream.write_all(body))
        };
        sent.or_else(|error| {
            self.do_not_wait()?;
            self.is_spent = true;
            self.early = self.receive()?;
            self.early.is_some().then_some(()).ok_or(error)
        })
    }

    /// Sends as much as the peer takes at once, perhaps nothing.
    pub fn send_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.write(bytes) {
            Err(error) if is_temporary(&error) => Ok(0),
            Err(error) => match self.receive() {
                // The answer explains more than the broken connection.
                Ok(Some(message)) => {
                    self.early = Some(message);
                    Ok(0)
                }
                _ => Err(error),
            },
            sent => sent,
        }
    }

    /// Reads once. None: the message is not complete yet. A malformed one is an error of the kind `InvalidData`.
    pub fn receive(&mut self) -> io::Result<Option<Message>> {
        if let Some(message) = self.early.take() {
            return Ok(Some(message));
        }
        let more = match self.reader.read_from(&mut self.stream) {
            Err(error) if is_temporary(&error) => return Ok(None),
            other => other?,
        };
        let message = self
            .reader
            .take()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        if message.is_none() && !more {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(message)
    }

    /// From here on neither sending nor receiving waits for the peer.
    pub fn do_not_wait(&self) -> io::Result<()> {
        self.stream.set_nonblocking(true)
    }

    /// Whether nothing of the next message has come in yet.
    pub fn is_quiet(&self) -> bool {
        self.reader.is_empty()
    }

    /// Whether another request can follow: the last one was sent whole, and nothing came behind its answer.
    pub fn is_reusable(&self) -> bool {
        !self.is_spent && self.is_quiet()
    }

    /// The descriptor to wait on.
    pub fn descriptor(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
