//! A response whose body comes in pieces: chunks behind one head, at the end trailers that may name an error.
//!
//! Nothing here waits: a peer that reads slowly leaves bytes queued, and the caller waits for it as it likes.

use std::io;
use std::os::fd::RawFd;

use crate::connection::Connection;
use crate::runtime_api::{Answer, ERROR_BODY, ERROR_TYPE, without_newlines};

/// The response, open until its end is answered.
pub struct StreamedResponse {
    connection: Connection,
    queue: Vec<u8>,
    sent: usize,
}

/// How far the queue has got.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// The peer has not taken everything yet.
    Blocked,
    /// Everything is sent.
    Sent,
    /// The peer has answered. Before the end of the body: it does not want more.
    Answered(Answer),
}

impl StreamedResponse {
    /// Begins with the head of a chunked request.
    pub fn new(connection: Connection, head: Vec<u8>) -> io::Result<Self> {
        connection.do_not_wait()?;
        Ok(Self {
            connection,
            queue: head,
            sent: 0,
        })
    }

    /// Queues a piece of the body. An empty one has no chunk: that would be the end.
    pub fn push(&mut self, piece: &[u8]) {
        const KEPT: usize = 256 * 1024;
        if self.sent == self.queue.len() {
            self.queue.clear();
            self.queue.shrink_to(KEPT);
            self.sent = 0;
        }
        if !piece.is_empty() {
            let size = format!("{:x}\r\n", piece.len());
            self.queue.extend_from_slice(size.as_bytes());
            self.queue.extend_from_slice(piece);
            self.queue.extend_from_slice(b"\r\n");
        }
    }

    /// Queues the end of the body.
    pub fn end(&mut self) {
        self.queue.extend_from_slice(b"0\r\n\r\n");
    }

    /// Queues the end of the body after an error: its type, and itself in base64.
    pub fn fail(&mut self, error_type: &str, error: &str) {
        let error_type = without_newlines(error_type);
        let trailers = format!("0\r\n{ERROR_TYPE}: {error_type}\r\n{ERROR_BODY}: {error}\r\n\r\n");
        self.queue.extend_from_slice(trailers.as_bytes());
    }

    /// Looks for an answer and sends what can be sent. Fails when the peer is gone without an answer.
    pub fn advance(&mut self) -> io::Result<Progress> {
        if let Some(message) = self.connection.receive()? {
            return Ok(Progress::Answered(message.into()));
        }
        while self.sent < self.queue.len() {
            match self.connection.send_some(&self.queue[self.sent..])? {
                0 => return Ok(Progress::Blocked),
                count => self.sent += count,
            }
        }
        Ok(Progress::Sent)
    }

    /// The descriptor to wait on.
    pub fn descriptor(&self) -> RawFd {
        self.connection.descriptor()
    }
}
