//! A small HTTP server: a thread per connection, keep-alive, one route function.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::body::{Body, Broken, read_line};
use crate::http::{Head, Malformed};

/// The head may carry an X-Ray cause of just under 1 MiB.
const HEAD_LIMIT: usize = 2 * 1024 * 1024;
/// Connections beyond this number are closed at once.
const MOST_CONNECTIONS: usize = 2000;
/// How long a client may take to accept bytes of its answer.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

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
    /// No body.
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// A JSON body.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "application/json", body)
    }

    /// A body of any type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..Self::empty(status)
        }
        .with("Content-Type", content_type)
    }

    /// With one more header. Control characters in the value become spaces.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        let value = value.replace(|c: char| c.is_ascii_control(), " ");
        self.headers.push((name, value));
        self
    }

    fn head(&self, framing: &str) -> String {
        let reason = match self.status {
            200 => "OK",
            202 => "Accepted",
            204 => "No Content",
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            410 => "Gone",
            413 => "Payload Too Large",
            429 => "Too Many Requests",
            502 => "Bad Gateway",
            _ => "Error",
        };
        let mut text = format!("HTTP/1.1 {} {reason}\r\n", self.status);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text + framing + "\r\n"
    }

    fn to_bytes(&self) -> Vec<u8> {
        let framing = match self.status {
            204 => String::new(),
            _ => format!("Content-Length: {}\r\n", self.body.len()),
        };
        [self.head(&framing).as_bytes(), &self.body].concat()
    }
}

/// A request and the way back.
pub struct Exchange<'a, 'b> {
    /// Request line and headers.
    pub head: Head,
    /// The body, unread.
    pub body: Body<'a, 'b>,
    stream: &'b TcpStream,
}

impl Exchange<'_, '_> {
    /// Begins an answer whose length is not known. The body of `response` is not sent.
    pub fn begin(&self, response: &Response) -> io::Result<Chunks<'_>> {
        let mut stream = self.stream;
        stream.write_all(response.head("Transfer-Encoding: chunked\r\n").as_bytes())?;
        Ok(Chunks { stream })
    }

    /// Whether the other side has closed the connection.
    pub fn is_closed(&self) -> bool {
        let looked = self
            .stream
            .set_nonblocking(true)
            .and_then(|()| self.stream.peek(&mut [0]));
        let restored = self.stream.set_nonblocking(false);
        match looked {
            Ok(count) => count == 0 || restored.is_err(),
            Err(error) => error.kind() != io::ErrorKind::WouldBlock || restored.is_err(),
        }
    }
}

/// An answer on its way, in chunks.
pub struct Chunks<'a> {
    stream: &'a TcpStream,
}

impl Chunks<'_> {
    /// Sends these bytes at once; a client that does not take them within `patience` is given up.
    pub fn send(&mut self, bytes: &[u8], patience: Duration) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        const SHORTEST: Duration = Duration::from_millis(10);
        self.stream
            .set_write_timeout(Some(patience.max(SHORTEST)))?;
        let size = format!("{:x}\r\n", bytes.len());
        self.stream
            .write_all(&[size.as_bytes(), bytes, b"\r\n"].concat())
    }

    /// The end of the answer.
    pub fn finish(self) -> io::Result<()> {
        let mut stream = self.stream;
        stream.write_all(b"0\r\n\r\n")?;
        stream.set_write_timeout(Some(WRITE_PATIENCE))
    }
}

/// What becomes of a request.
pub enum Answer {
    /// This is sent.
    Response(Response),
    /// Everything has been sent.
    Sent,
    /// The connection is closed.
    Close,
}

/// Answers requests on `listener` for as long as the process lives. `patience` is how long a request may take to arrive
/// once it has begun.
pub fn serve(
    listener: TcpListener,
    patience: Option<Duration>,
    route: impl Fn(&mut Exchange) -> Answer + Send + Sync + 'static,
) {
    let route = Arc::new(route);
    let open = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                // No descriptors left: the ones in use will be closed some time.
                thread::sleep(Duration::from_millis(10));
                continue;
            };
            let place = Place::take(&open);
            let route = Arc::clone(&route);
            if place.number <= MOST_CONNECTIONS {
                // A connection that cannot be served is closed; the others go on.
                let _ = thread::Builder::new().spawn(move || {
                    let _place = place;
                    converse(&stream, patience, &*route)
                });
            }
        }
    });
}

struct Place {
    open: Arc<AtomicUsize>,
    number: usize,
}

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Self {
        Self {
            open: Arc::clone(open),
            number: open.fetch_add(1, Ordering::SeqCst) + 1,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

fn converse(
    stream: &TcpStream,
    patience: Option<Duration>,
    route: &(impl Fn(&mut Exchange) -> Answer + ?Sized),
) -> io::Result<()> {
    const BUFFER: usize = 64 * 1024;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(WRITE_PATIENCE))?;
    let mut reader = BufReader::with_capacity(BUFFER, stream);
    let mut out = stream;
    loop {
        // Between requests a client may rest as long as it likes.
        stream.set_read_timeout(None)?;
        if reader.fill_buf()?.is_empty() {
            return Ok(());
        }
        stream.set_read_timeout(patience)?;
        let (answer, goes_on) = match read_head(&mut reader) {
            Ok(head) => respond(head, &mut reader, route),
            Err(broken) => (Answer::Response(refuse(&broken)), false),
        };
        match answer {
            Answer::Response(response) => out.write_all(&response.to_bytes())?,
            Answer::Sent => {}
            Answer::Close => return Ok(()),
        }
        if !goes_on {
            return Ok(());
        }
    }
}

/// The answer, and whether another request may follow.
fn respond(
    head: Head,
    reader: &mut BufReader<&TcpStream>,
    route: &(impl Fn(&mut Exchange) -> Answer + ?Sized),
) -> (Answer, bool) {
    let stream = *reader.get_ref();
    let closes = head.closes();
    match Body::of(&head, reader) {
        Ok(body) => {
            let mut exchange = Exchange { head, body, stream };
            let answer = route(&mut exchange);
            (answer, !closes && exchange.body.is_done())
        }
        Err(malformed) => (
            Answer::Response(refuse(&Broken::Malformed(malformed))),
            false,
        ),
    }
}

/// What is said about a request that cannot be read.
pub fn refuse(broken: &Broken) -> Response {
    match broken {
        Broken::Cut => Response::new(408, "text/plain", "the request did not arrive in full\n"),
        Broken::Malformed(malformed) => Response::new(400, "text/plain", format!("{malformed}\n")),
        Broken::TooLong(_) => Response::new(413, "text/plain", "body too long\n"),
    }
}

fn read_head(reader: &mut BufReader<&TcpStream>) -> Result<Head, Broken> {
    let mut text = Vec::new();
    loop {
        let line = read_line(reader, HEAD_LIMIT as u64)?;
        // Empty lines before a request are allowed, and some clients send them.
        if line.is_empty() && !text.is_empty() {
            break;
        }
        if !line.is_empty() {
            text.extend_from_slice(&line);
            text.push(b'\n');
        }
        if text.len() > HEAD_LIMIT {
            return Err(Broken::Malformed(Malformed::HeadTooLong));
        }
    }
    let head = Head::parse(&text).map_err(Broken::Malformed)?;
    if head.request().is_none() {
        return Err(Broken::Malformed(Malformed::Head));
    }
    Ok(head)
}
