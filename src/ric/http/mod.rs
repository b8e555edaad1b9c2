//! HTTP/1.1 messages, both directions: bytes in, a head and a body out. No sockets here.
//!
//! Bodies come with Content-Length, in chunks (trailers are dropped), or up to the end of the connection (responses).

use std::fmt;
use std::io::{self, Read};

mod head;

pub use head::Head;

/// A whole message.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// First line and headers.
    pub head: Head,
    /// The body with its framing removed.
    pub body: Vec<u8>,
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// No valid first line or header.
    Head,
    /// The head is longer than the limit.
    HeadTooLong,
    /// Lengths that contradict each other, or no number.
    Length,
    /// A chunk that is none.
    Chunk,
    /// The body is longer than the limit.
    BodyTooLong,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "malformed head",
            Self::HeadTooLong => "head too long",
            Self::Length => "malformed length",
            Self::Chunk => "malformed chunk",
            Self::BodyTooLong => "body too long",
        })
    }
}

/// Which side of the conversation is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A server reads requests: no length means no body.
    Request,
    /// A client reads responses: no length means up to the end of the connection.
    Response,
}

#[derive(Debug)]
enum Framing {
    Head,
    Length(usize),
    Chunked,
    UntilEnd,
}

/// Collects the bytes of one message after another on a connection.
#[derive(Debug)]
pub struct Reader {
    side: Side,
    head_limit: usize,
    body_limit: usize,
    /// Where the system puts bytes; kept, because making it zero each time would cost more than the copy.
    buffer: Vec<u8>,
    raw: Vec<u8>,
    /// So many bytes of `raw` are known not to hold the end of the head.
    scanned: usize,
    head: Head,
    framing: Framing,
    body: Vec<u8>,
    in_trailer: bool,
    ended: bool,
}

impl Reader {
    /// A reader with limits in bytes.
    pub fn new(side: Side, head_limit: usize, body_limit: usize) -> Self {
        Self {
            side,
            head_limit,
            body_limit,
            buffer: Vec::new(),
            raw: Vec::new(),
            scanned: 0,
            head: Head::default(),
            framing: Framing::Head,
            body: Vec::new(),
            in_trailer: false,
            ended: false,
        }
    }

    /// Whether nothing of the next message has come in yet.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty() && matches!(self.framing, Framing::Head)
    }

    /// Whether a client waits for a go-ahead before it sends the body.
    pub fn expects_continue(&self) -> bool {
        !matches!(self.framing, Framing::Head)
            && self
                .head
                .header("expect")
                .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
    }

    /// Reads once. Returns false at the end of the stream.
    pub fn read_from(&mut self, source: &mut impl Read) -> io::Result<bool> {
        const SMALL: usize = 16 * 1024;
        const LARGE: usize = 256 * 1024;
        // A length is only a claim: memory for it is taken in steps.
        const AHEAD: usize = 8 * 1024 * 1024;
        let missing = match self.framing {
            Framing::Length(length) => length.saturating_sub(self.raw.len()),
            Framing::Chunked | Framing::UntilEnd => LARGE,
            Framing::Head => 0,
        };
        let room = if missing > SMALL { LARGE } else { SMALL };
        if self.buffer.len() < room {
            self.buffer.resize(room, 0);
        }
        let count = source.read(&mut self.buffer)?;
        if self.raw.capacity() - self.raw.len() < count {
            self.raw.reserve(missing.clamp(count, AHEAD));
        }
        self.raw.extend_from_slice(&self.buffer[..count]);
        self.ended |= count == 0;
        Ok(count > 0)
    }

    /// The message, once it is complete. Bytes behind it stay for the next one.
    pub fn take(&mut self) -> Result<Option<Message>, Malformed> {
        if matches!(self.framing, Framing::Head) && !self.take_head()? {
            return Ok(None);
        }
        let complete = match self.framing {
            Framing::Head => false,
            Framing::Length(length) if self.raw.len() >= length => {
                let rest = self.raw.split_off(length);
                self.body = std::mem::replace(&mut self.raw, rest);
                true
            }
            Framing::Length(_) => false,
            Framing::Chunked => self.take_chunks()?,
            Framing::UntilEnd => {
                self.check_body(self.raw.len())?;
                if self.ended {
                    self.body = std::mem::take(&mut self.raw);
                }
                self.ended
            }
        };
        if !complete {
            return Ok(None);
        }
        self.framing = Framing::Head;
        Ok(Some(Message {
            head: std::mem::take(&mut self.head),
            body: std::mem::take(&mut self.body),
        }))
    }

    fn check_body(&self, length: usize) -> Result<(), Malformed> {
        if length > self.body_limit {
            Err(Malformed::BodyTooLong)
        } else {
            Ok(())
        }
    }

    fn take_head(&mut self) -> Result<bool, Malformed> {
        loop {
            // Empty lines before a message are allowed, and some clients send them.
            let blank = self
                .raw
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n'))
                .count();
            self.raw.drain(..blank);
            // The last bytes may belong to the end, the ones before them do not.
            let known = self.scanned.min(self.raw.len()).saturating_sub(3);
            let Some(end) = head::end(&self.raw[known..]).map(|end| known + end) else {
                self.scanned = self.raw.len();
                return if self.raw.len() > self.head_limit {
                    Err(Malformed::HeadTooLong)
                } else {
                    Ok(false)
                };
            };
            self.scanned = 0;
            if end > self.head_limit {
                return Err(Malformed::HeadTooLong);
            }
            self.head = Head::parse(&self.raw[..end])?;
            self.raw.drain(..end);
            let is_valid = match self.side {
                Side::Request => self.head.request().is_some(),
                Side::Response => self.head.status().is_some(),
            };
            if !is_valid {
                return Err(Malformed::Head);
            }
            // 100 Continue and the like come before the real response.
            if self.side == Side::Response && self.head.status().is_some_and(|code| code < 200) {
                continue;
            }
            self.framing = self.framing_of_head()?;
            return Ok(true);
        }
    }

    fn framing_of_head(&self) -> Result<Framing, Malformed> {
        let chunked = |value: &str| {
            value
                .rsplit(',')
                .next()
                .is_some_and(|last| last.trim().eq_ignore_ascii_case("chunked"))
        };
        if self.side == Side::Response && matches!(self.head.status(), Some(204 | 304)) {
            // Without a body, whatever their headers say.
            return Ok(Framing::Length(0));
        }
        match (
            self.head.header("transfer-encoding"),
            self.head.header("content-length"),
        ) {
            (Some(value), _) if chunked(value) => Ok(Framing::Chunked),
            (Some(_), _) => Err(Malformed::Length),
            (None, Some(_)) => {
                let digits = |value: &str| {
                    let valid = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
                    valid.then(|| value.parse::<usize>().unwrap_or(usize::MAX))
                };
                let mut lengths = self.head.all("content-length").map(digits);
                let first = lengths.next().flatten().ok_or(Malformed::Length)?;
                if lengths.any(|other| other != Some(first)) {
                    return Err(Malformed::Length);
                }
                self.check_body(first)?;
                Ok(Framing::Length(first))
            }
            (None, None) if self.side == Side::Request => Ok(Framing::Length(0)),
            (None, None) => Ok(Framing::UntilEnd),
        }
    }

    fn take_chunks(&mut self) -> Result<bool, Malformed> {
        const LONGEST_LINE: usize = 1024;
        let mut at = 0;
        let complete = loop {
            let rest = &self.raw[at..];
            let Some(line_end) = rest
                .iter()
                .take(LONGEST_LINE)
                .position(|&byte| byte == b'\n')
            else {
                if rest.len() >= LONGEST_LINE {
                    return Err(Malformed::Chunk);
                }
                break false;
            };
            let line = rest[..line_end].trim_ascii_end();
            if self.in_trailer {
                at += line_end + 1;
                if line.is_empty() {
                    self.in_trailer = false;
                    break true;
                }
                continue;
            }
            let size = chunk_size(line)?;
            let (from, to) = (line_end + 1, (line_end + 1).saturating_add(size));
            if size == 0 {
                self.in_trailer = true;
                at += from;
                continue;
            }
            self.check_body(self.body.len().saturating_add(size))?;
            match rest.get(to..) {
                Some([b'\r', b'\n', ..]) => {
                    self.body.extend_from_slice(&rest[from..to]);
                    at += to + 2;
                }
                None | Some([] | [b'\r']) => break false,
                Some(_) => return Err(Malformed::Chunk),
            }
        };
        self.raw.drain(..at);
        Ok(complete)
    }
}

fn chunk_size(line: &[u8]) -> Result<usize, Malformed> {
    let digits = line
        .split(|&byte| byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    let valid =
        !digits.is_empty() && digits.len() <= 15 && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits)
        .ok()
        .filter(|_| valid)
        .ok_or(Malformed::Chunk)?;
    usize::from_str_radix(text, 16).map_err(|_| Malformed::Chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(side: Side, bytes: &[u8], step: usize) -> Result<Vec<Message>, Malformed> {
        let mut reader = Reader::new(side, 200, 50);
        let mut messages = Vec::new();
        let mut rest = bytes;
        loop {
            let mut part = &rest[..step.min(rest.len())];
            rest = &rest[part.len()..];
            let more = reader.read_from(&mut part).unwrap();
            while let Some(message) = reader.take()? {
                messages.push(message);
            }
            if !more {
                return Ok(messages);
            }
        }
    }

    fn bodies(side: Side, text: &str) -> Result<Vec<String>, Malformed> {
        let at_once = read(side, text.as_bytes(), usize::MAX);
        for step in 1..5 {
            assert_eq!(
                read(side, text.as_bytes(), step),
                at_once,
                "in steps of {step}"
            );
        }
        at_once.map(|messages| {
            messages
                .into_iter()
                .map(|m| String::from_utf8(m.body).unwrap())
                .collect()
        })
    }

    #[test]
    fn bodies_of_every_framing_follow_each_other() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc\
            HTTP/1.1 100 Continue\r\n\r\n\
            HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: t\r\n\r\n\
            HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n\
            \r\nHTTP/1.1 500 Bad\nContent-Length:  0 \n\n\
            HTTP/1.0 200 OK\r\n\r\nup to the end";
        let expected = ["abc", "hello", "", "", "up to the end"];
        assert_eq!(bodies(Side::Response, text).unwrap(), expected);
    }

    #[test]
    fn requests_without_length_have_no_body() {
        let text =
            "GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(bodies(Side::Request, text).unwrap(), ["", "{}"]);
    }

    #[test]
    fn nonsense_is_refused() {
        let response = |rest: &str| format!("HTTP/1.1 200 OK\r\n{rest}");
        for (rest, expected) in [
            ("no colon\r\n\r\n", Malformed::Head),
            (": no name\r\n\r\n", Malformed::Head),
            ("a b: c\r\n\r\n", Malformed::Head),
            ("content-length: -1\r\n\r\n", Malformed::Length),
            (
                "content-length: 1\r\ncontent-length: 2\r\n\r\n",
                Malformed::Length,
            ),
            ("transfer-encoding: gzip\r\n\r\n", Malformed::Length),
            ("content-length: 51\r\n\r\n", Malformed::BodyTooLong),
            (
                "content-length: 99999999999999999999999\r\n\r\n",
                Malformed::BodyTooLong,
            ),
            (
                "transfer-encoding: chunked\r\n\r\nxyz\r\n",
                Malformed::Chunk,
            ),
            (
                "transfer-encoding: chunked\r\n\r\n1\r\nabc",
                Malformed::Chunk,
            ),
            (
                "transfer-encoding: chunked\r\n\r\nfffffffffffffff\r\n",
                Malformed::BodyTooLong,
            ),
        ] {
            assert_eq!(
                bodies(Side::Response, &response(rest)),
                Err(expected),
                "{rest:?}"
            );
        }
        for (side, text) in [
            (Side::Response, "no http at all\r\n\r\n"),
            (Side::Response, "HTTP/1.1 abc\r\n\r\n"),
            (Side::Response, "HTTP/2 200\r\n\r\n"),
            (Side::Request, "GET /\r\n\r\n"),
            (Side::Request, "GET / HTTP/1.1 x\r\n\r\n"),
        ] {
            assert_eq!(bodies(side, text), Err(Malformed::Head), "{text:?}");
        }
        let long = format!("x: {}\r\n\r\n", "y".repeat(300));
        assert_eq!(
            bodies(Side::Response, &response(&long)),
            Err(Malformed::HeadTooLong)
        );
    }

    #[test]
    fn a_cut_message_is_no_message() {
        let text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n0\r\n\r\n";
        for end in 0..text.len() {
            assert_eq!(
                bodies(Side::Response, &text[..end]).unwrap(),
                [""; 0],
                "{end}"
            );
        }
    }
}
