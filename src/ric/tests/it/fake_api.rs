//! A Runtime API that hands out prepared events and records every byte that it gets.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// A request as it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which connection it came on, counted from 0.
    pub connection: usize,
    /// The request line and the headers, with the server's own address as HOST.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// The request line without the version.
    pub fn line(&self) -> &str {
        self.head
            .lines()
            .next()
            .unwrap()
            .trim_end_matches(" HTTP/1.1")
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// A header by its exact name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// An answer to `next`.
#[derive(Clone, Debug)]
pub struct Event {
    /// The message, byte for byte.
    pub message: Vec<u8>,
    /// Whether the connection is closed behind it.
    pub closes: bool,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    events: VecDeque<Event>,
    connections: usize,
    idle: bool,
}

/// The server.
pub struct FakeApi {
    state: Mutex<State>,
    changed: Condvar,
    post: (u16, String),
    closes: bool,
    pub address: String,
}

impl FakeApi {
    /// Answers `next` with these messages in turn, then not at all, and posts with `post`. `closes`: every connection is
    /// closed after a post has been answered, without a word about it.
    pub fn start(events: Vec<Event>, post: (u16, &str), closes: bool) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let api = Arc::new(Self {
            state: Mutex::new(State {
                events: events.into(),
                ..State::default()
            }),
            changed: Condvar::new(),
            post: (post.0, post.1.to_owned()),
            closes,
            address: listener.local_addr().unwrap().to_string(),
        });
        let server = Arc::clone(&api);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = Arc::clone(&server);
                thread::spawn(move || server.converse(stream));
            }
        });
        api
    }

    fn converse(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let connection = {
            let mut state = self.state.lock().unwrap();
            state.connections += 1;
            state.connections - 1
        };
        let mut raw = Vec::new();
        loop {
            let Some((head, body)) = read_request(&mut stream, &mut raw)? else {
                return Ok(());
            };
            let head = head.replace(&self.address, "HOST");
            let request = Request {
                connection,
                head,
                body,
            };
            let is_next = request.line().ends_with("/invocation/next");
            let is_restore = request.line().ends_with("/restore/next");
            let mut state = self.state.lock().unwrap();
            state.requests.push(request);
            if !is_next {
                let (status, body) = if is_restore {
                    (200, "")
                } else {
                    (self.post.0, self.post.1.as_str())
                };
                let length = body.len();
                write!(
                    stream,
                    "HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n\r\n{body}"
                )?;
                if self.closes {
                    return Ok(());
                }
            } else if let Some(event) = state.events.pop_front() {
                drop(state);
                stream.write_all(&event.message)?;
                if event.closes {
                    return Ok(());
                }
            } else {
                state.idle = true;
                self.changed.notify_all();
            }
        }
    }

    /// Waits until the runtime asks for an event that is not there, or `ended` says that it never will.
    pub fn wait_until_idle(&self, mut ended: impl FnMut() -> bool) {
        const LIMIT: u32 = 3000;
        let mut state = self.state.lock().unwrap();
        for _ in 0..LIMIT {
            if state.idle || ended() {
                return;
            }
            state = self
                .changed
                .wait_timeout(state, Duration::from_millis(10))
                .unwrap()
                .0;
        }
        panic!(
            "the runtime neither ended nor asked for the next event: {:?}",
            state.requests
        );
    }

    /// What came in.
    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }
}

fn read_request(
    stream: &mut TcpStream,
    raw: &mut Vec<u8>,
) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut more = |raw: &mut Vec<u8>| -> io::Result<bool> {
        let mut buffer = [0; 65536];
        let count = stream.read(&mut buffer)?;
        raw.extend_from_slice(&buffer[..count]);
        Ok(count > 0)
    };
    let end = loop {
        if let Some(end) = raw.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if !more(raw)? {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&raw[..end]).into_owned();
    raw.drain(..end + 4);
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse::<usize>().unwrap())
    });
    let length = length.unwrap_or(0);
    while raw.len() < length {
        if !more(raw)? {
            return Ok(None);
        }
    }
    let body = raw.drain(..length).collect();
    Ok(Some((head, body)))
}
