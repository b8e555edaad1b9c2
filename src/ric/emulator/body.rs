//! A request's body as it arrives: with a length, or in chunks with trailers.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::http::{Head, Malformed};

/// So much of a body that nobody wants is read, so that its sender gets an answer and not a reset.
const DISCARDED: u64 = 256 * 1024 * 1024;
const LONGEST_LINE: u64 = 1024;
const LONGEST_TRAILERS: usize = 2 * 1024 * 1024;

/// Why a body could not be read.
#[derive(Debug)]
pub enum Broken {
    /// The connection failed or ended too early.
    Cut,
    /// It is not HTTP.
    Malformed(Malformed),
    /// It has more bytes than allowed; so many were seen.
    TooLong(u64),
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self::Cut
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    /// What is left of the current chunk; before the first and between chunks None.
    Chunks(Option<u64>),
    Done,
}

/// The rest of a request's body.
#[derive(Debug)]
pub struct Body<'a, 'b> {
    reader: &'a mut BufReader<&'b TcpStream>,
    framing: Framing,
    expects_continue: bool,
    trailers: Head,
}

impl<'a, 'b> Body<'a, 'b> {
    /// The body that this head announces.
    pub fn of(head: &Head, reader: &'a mut BufReader<&'b TcpStream>) -> Result<Self, Malformed> {
        Ok(Self {
            reader,
            framing: framing(head)?,
            expects_continue: head
                .header("expect")
                .is_some_and(|value| value.eq_ignore_ascii_case("100-continue")),
            trailers: Head::default(),
        })
    }

    /// The next bytes, at most 64 KiB. None: the body is complete.
    pub fn piece(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        const LARGEST: u64 = 64 * 1024;
        if self.expects_continue && self.framing != Framing::Done {
            self.expects_continue = false;
            let mut stream: &TcpStream = self.reader.get_ref();
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if self.framing == Framing::Chunks(None) {
            self.next_chunk()?;
        }
        let (Framing::Length(left) | Framing::Chunks(Some(left))) = self.framing else {
            return Ok(None);
        };
        if left == 0 {
            self.framing = Framing::Done;
            return Ok(None);
        }
        let available = self.reader.fill_buf()?;
        let count = left.min(available.len() as u64).min(LARGEST) as usize;
        if count == 0 {
            return Err(Broken::Cut);
        }
        let piece = available[..count].to_vec();
        self.reader.consume(count);
        let left = left - count as u64;
        self.framing = match self.framing {
            Framing::Chunks(_) if left > 0 => Framing::Chunks(Some(left)),
            Framing::Chunks(_) => {
                if !self.line()?.is_empty() {
                    return Err(Broken::Malformed(Malformed::Chunk));
                }
                Framing::Chunks(None)
            }
            _ => Framing::Length(left),
        };
        Ok(Some(piece))
    }

    /// The whole rest, up to `limit` bytes.
    pub fn whole(&mut self, limit: usize) -> Result<Vec<u8>, Broken> {
        let (mut bytes, mut size) = (Vec::new(), 0);
        if let Framing::Length(length) = self.framing
            && length > DISCARDED
        {
            return Err(Broken::TooLong(length));
        }
        while let Some(piece) = self.piece()? {
            size += piece.len() as u64;
            if size <= limit as u64 {
                bytes.extend_from_slice(&piece);
            } else {
                bytes = Vec::new();
            }
            if size > DISCARDED {
                break;
            }
        }
        if size > limit as u64 {
            return Err(Broken::TooLong(size));
        }
        Ok(bytes)
    }

    /// Whether everything has been read, so that another request may follow on the connection.
    pub fn is_done(&self) -> bool {
        matches!(self.framing, Framing::Done | Framing::Length(0))
    }

    /// A header behind the last chunk, once the body is complete.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.header(name)
    }

    fn line(&mut self) -> Result<Vec<u8>, Broken> {
        read_line(self.reader, LONGEST_LINE)
    }

    fn next_chunk(&mut self) -> Result<(), Broken> {
        let line = self.line()?;
        let digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
        let size = std::str::from_utf8(digits.trim_ascii())
            .ok()
            .filter(|digits| {
                (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit())
            })
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .ok_or(Broken::Malformed(Malformed::Chunk))?;
        if size > 0 {
            self.framing = Framing::Chunks(Some(size));
            return Ok(());
        }
        self.framing = Framing::Done;
        let mut trailers = b"Trailers\n".to_vec();
        loop {
            let line = read_line(self.reader, LONGEST_TRAILERS as u64)?;
            if line.is_empty() {
                break;
            }
            trailers.extend_from_slice(&line);
            trailers.push(b'\n');
            if trailers.len() > LONGEST_TRAILERS {
                return Err(Broken::Malformed(Malformed::HeadTooLong));
            }
        }
        self.trailers = Head::parse(&trailers).map_err(Broken::Malformed)?;
        Ok(())
    }
}

/// A line without its end.
pub fn read_line(reader: &mut BufReader<&TcpStream>, longest: u64) -> Result<Vec<u8>, Broken> {
    let mut line = Vec::new();
    reader.take(longest).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(if line.len() as u64 + 1 >= longest {
            Broken::Malformed(Malformed::HeadTooLong)
        } else {
            Broken::Cut
        });
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
}

fn framing(head: &Head) -> Result<Framing, Malformed> {
    if let Some(value) = head.header("transfer-encoding") {
        let is_chunked = value.trim().eq_ignore_ascii_case("chunked");
        let is_alone = head.header("content-length").is_none();
        return (is_chunked && is_alone)
            .then_some(Framing::Chunks(None))
            .ok_or(Malformed::Length);
    }
    let mut lengths = head.all("content-length").map(|value| {
        let valid = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        valid.then(|| value.parse::<u64>().unwrap_or(u64::MAX))
    });
    match lengths.next() {
        None => Ok(Framing::Length(0)),
        Some(first) if lengths.all(|other| other == first) => {
            first.map(Framing::Length).ok_or(Malformed::Length)
        }
        Some(_) => Err(Malformed::Length),
    }
}
