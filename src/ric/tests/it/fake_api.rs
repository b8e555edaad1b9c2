//! A Runtime API that hands out prepared events and records every byte that it gets.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
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
    /// The body without its framing, as far as it has come in.
    pub body: Vec<u8>,
    /// The sizes of the chunks, if there are chunks.
    pub chunks: Vec<usize>,
    /// What follows the last chunk, up to the empty line; None before that, and without chunks.
    pub trailers: Option<String>,
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
    /// Whether it is sent byte by byte.
    pub slow: bool,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    events: VecDeque<Event>,
    connections: usize,
    idle: bool,
    /// The peers of connections that are read from, and of those that have been read to their end.
    open: Vec<SocketAddr>,
    closed: Vec<SocketAddr>,
}

/// How posts are answered.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// The answer to a post, byte for byte.
    pub post: Vec<u8>,
    /// Every connection is closed after a post has been answered, without a word about it.
    pub closes: bool,
    /// The answer to a post comes before its body is read, and the connection is closed behind it.
    pub refuses: bool,
    /// A connection is closed in the middle of a request after so many chunks.
    pub chunk_limit: Option<usize>,
}

/// The server.
pub struct FakeApi {
    state: Mutex<State>,
    changed: Condvar,
    behaviour: Behaviour,
    paused: AtomicBool,
    pub address: String,
}

impl FakeApi {
    /// Answers `next` with these messages in turn, then not at all.
    pub fn start(events: Vec<Event>, behaviour: Behaviour) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let api = Arc::new(Self {
            state: Mutex::new(State {
                events: events.into(),
                ..State::default()
            }),
            changed: Condvar::new(),
            behaviour,
            paused: AtomicBool::new(false),
            address: listener.local_addr().unwrap().to_string(),
        });
        let server = Arc::clone(&api);
        thread::spawn(move || {
            while let Ok((stream, peer)) = listener.accept() {
                server.state.lock().unwrap().open.push(peer);
                let server = Arc::clone(&server);
                thread::spawn(move || {
                    // A runtime that ends in the middle is no error here: tests look at what came in.
                    let _ = server.converse(stream);
                    let mut state = server.state.lock().unwrap();
                    state.open.retain(|one| *one != peer);
                    state.closed.push(peer);
                    server.changed.notify_all();
                });
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
            let Some((head, length)) = read_head(&mut stream, &mut raw)? else {
                return Ok(());
            };
            if self.behaviour.refuses && head.starts_with("POST") {
                stream.write_all(&self.behaviour.post)?;
                return Ok(());
            }
            while raw.len() < length {
                more(&mut stream, &mut raw)?;
            }
            let body = raw.drain(..length).collect();
            let head = head.replace(&self.address, "HOST");
            let request = Request {
                connection,
                head,
                body,
                chunks: Vec::new(),
                trailers: None,
            };
            let is_next = request.line().ends_with("/invocation/next");
            let is_restore = request.line().ends_with("/restore/next");
            let is_chunked = request.header("Transfer-Encoding") == Some("chunked");
            let index = {
                let mut state = self.state.lock().unwrap();
                state.requests.push(request);
                state.requests.len() - 1
            };
            if is_chunked && !self.read_chunks(&mut stream, &mut raw, index)? {
                return Ok(());
            }
            let mut state = self.state.lock().unwrap();
            if !is_next {
                drop(state);
                stream.write_all(if is_restore {
                    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
                } else {
                    &self.behaviour.post
                })?;
                if self.behaviour.closes {
                    return Ok(());
                }
            } else if let Some(event) = state.events.pop_front() {
                drop(state);
                for part in event
                    .message
                    .chunks(if event.slow { 1 } else { usize::MAX })
                {
                    stream.write_all(part)?;
                    if event.slow {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
                if event.closes {
                    return Ok(());
                }
            } else {
                state.idle = true;
                self.changed.notify_all();
            }
        }
    }

    /// Reads chunks into a request that is recorded already. False: the connection is to be closed.
    fn read_chunks(
        &self,
        stream: &mut TcpStream,
        raw: &mut Vec<u8>,
        index: usize,
    ) -> io::Result<bool> {
        let mut taken = 0;
        loop {
            if self.behaviour.chunk_limit == Some(taken) {
                return Ok(false);
            }
            while self.paused.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(5));
            }
            let line = read_until(stream, raw, b"\r\n")?;
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap(), 16).unwrap();
            if size == 0 {
                break;
            }
            while raw.len() < size + 2 {
                more(stream, raw)?;
            }
            let mut state = self.state.lock().unwrap();
            state.requests[index].body.extend(raw.drain(..size));
            state.requests[index].chunks.push(size);
            drop(state);
            assert_eq!(raw.drain(..2).collect::<Vec<_>>(), b"\r\n");
            taken += 1;
        }
        let mut trailers = String::new();
        loop {
            let line = read_until(stream, raw, b"\r\n")?;
            if line.is_empty() {
                break;
            }
            trailers.push_str(&format!("{}\n", String::from_utf8(line).unwrap()));
        }
        self.state.lock().unwrap().requests[index].trailers = Some(trailers);
        Ok(true)
    }

    /// Whether the server takes a rest in the middle of a chunked request.
    pub fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::SeqCst);
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

    /// After the runtime's end: waits until all that it sent has been read.
    pub fn drain(&self) {
        const LIMIT: Duration = Duration::from_secs(5);
        // Connections are accepted in their order, so this one is the last.
        let last = TcpStream::connect(&self.address).unwrap();
        let own = last.local_addr().unwrap();
        drop(last);
        let state = self.state.lock().unwrap();
        let is_busy = |state: &mut State| !state.closed.contains(&own) || !state.open.is_empty();
        drop(self.changed.wait_timeout_while(state, LIMIT, is_busy));
    }

    /// What came in.
    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }
}

fn more(stream: &mut TcpStream, raw: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 65536];
    match stream.read(&mut buffer)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => {
            raw.extend_from_slice(&buffer[..count]);
            Ok(())
        }
    }
}

fn read_until(stream: &mut TcpStream, raw: &mut Vec<u8>, end: &[u8]) -> io::Result<Vec<u8>> {
    loop {
        if let Some(at) = raw.windows(end.len()).position(|window| window == end) {
            let line = raw[..at].to_vec();
            raw.drain(..at + end.len());
            return Ok(line);
        }
        more(stream, raw)?;
    }
}

/// The head of a request and the length of its body.
fn read_head(stream: &mut TcpStream, raw: &mut Vec<u8>) -> io::Result<Option<(String, usize)>> {
    let head = match read_until(stream, raw, b"\r\n\r\n") {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        head => String::from_utf8_lossy(&head?).into_owned(),
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse::<usize>().unwrap())
    });
    Ok(Some((head, length.unwrap_or(0))))
}
