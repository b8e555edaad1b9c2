//! A Runtime API that hands out prepared events and writes down, in order, everything that the client does.
//!
//! Standard output, standard error and the telemetry descriptor are files. Whenever a request has come in, they are read
//! to their ends first: what the client wrote before it asked stands before the request.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::host;

/// An answer to `next`, and how the posts that follow it are answered.
#[derive(Clone)]
pub struct Event {
    pub label: String,
    pub message: Vec<u8>,
    pub closes: bool,
    pub answer: (u16, &'static str),
}

impl Event {
    pub fn new(label: &str, message: Vec<u8>) -> Self {
        Self {
            label: label.to_owned(),
            message,
            closes: false,
            answer: (202, "{\"status\":\"OK\"}\n"),
        }
    }
}

/// What a trace is about. Every part of an event is compared on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Stdout,
    Stderr,
    Frames,
    Requests,
    /// In which order the others took turns.
    Order,
    /// How the process ended, and after how many events.
    Exit,
}

/// What the client did between two calls of `next`, in order.
pub type Segment = Vec<(Part, Vec<u8>)>;

/// A file that the client writes and this server reads on.
struct Stream {
    part: Part,
    path: PathBuf,
    seen: usize,
}

struct State {
    /// One for the initialisation and one for each event that was taken.
    segments: Vec<Segment>,
    streams: Vec<Stream>,
    connections: usize,
    idle: bool,
}

impl State {
    fn read_streams(&mut self) {
        let segment = self.segments.last_mut().expect("there is always one");
        for stream in &mut self.streams {
            let content = host::read(&stream.path);
            if content.len() > stream.seen {
                segment.push((stream.part, content[stream.seen..].to_vec()));
                stream.seen = content.len();
            }
        }
    }
}

/// The server.
pub struct Recorder {
    state: Mutex<State>,
    changed: Condvar,
    events: Vec<Event>,
    alone: [(u16, &'static str); 3],
    pub address: String,
}

impl Recorder {
    pub fn start(
        events: Vec<Event>,
        alone: [(u16, &'static str); 3],
        streams: Vec<(Part, PathBuf)>,
    ) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let streams = streams.into_iter().map(|(part, path)| Stream {
            part,
            path,
            seen: 0,
        });
        let recorder = Arc::new(Self {
            state: Mutex::new(State {
                segments: vec![Segment::new()],
                streams: streams.collect(),
                connections: 0,
                idle: false,
            }),
            changed: Condvar::new(),
            events,
            alone,
            address: listener.local_addr().unwrap().to_string(),
        });
        let server = Arc::clone(&recorder);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = Arc::clone(&server);
                thread::spawn(move || server.converse(stream));
            }
        });
        recorder
    }

    fn converse(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let connection = {
            let mut state = self.state.lock().unwrap();
            state.connections += 1;
            state.connections
        };
        let mut raw = Vec::new();
        while let Some((head, body)) = read_request(&mut stream, &mut raw)? {
            let mut state = self.state.lock().unwrap();
            state.read_streams();
            let mut request = format!("on connection {connection}\n").into_bytes();
            request.extend_from_slice(&head);
            request.extend_from_slice(&body);
            state
                .segments
                .last_mut()
                .unwrap()
                .push((Part::Requests, request));
            let path = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
            let (status, body) = match path.strip_prefix(b"/2018-06-01/runtime/").unwrap_or(path) {
                b"invocation/next" => {
                    let next = state.segments.len() - 1;
                    state.segments.push(Segment::new());
                    let Some(event) = self.events.get(next) else {
                        state.segments.pop();
                        state.idle = true;
                        self.changed.notify_all();
                        continue;
                    };
                    drop(state);
                    stream.write_all(&event.message)?;
                    if event.closes {
                        return Ok(());
                    }
                    continue;
                }
                b"init/error" => self.alone[0],
                b"restore/next" => self.alone[1],
                b"restore/error" => self.alone[2],
                _ => self.events[state.segments.len().saturating_sub(2)].answer,
            };
            drop(state);
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n\r\n{body}"
            )?;
        }
        Ok(())
    }

    /// Waits until the client asks for an event that is not there, or `ended` says that it never will.
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
        panic!("the client neither ended nor asked for the next event");
    }

    /// Everything, once the client has ended.
    pub fn finish(&self) -> Vec<Segment> {
        let mut state = self.state.lock().unwrap();
        state.read_streams();
        std::mem::take(&mut state.segments)
    }
}

/// The head with its empty line, and the body.
fn read_request(
    stream: &mut TcpStream,
    raw: &mut Vec<u8>,
) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let mut more = |raw: &mut Vec<u8>| -> io::Result<bool> {
        let mut buffer = [0; 65536];
        let count = stream.read(&mut buffer)?;
        raw.extend_from_slice(&buffer[..count]);
        Ok(count > 0)
    };
    let end = loop {
        if let Some(end) = raw.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if !more(raw)? {
            return Ok(None);
        }
    };
    let head: Vec<u8> = raw.drain(..end).collect();
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let chunked = text.contains("\r\ntransfer-encoding: chunked\r\n");
    let complete = |raw: &[u8]| match length {
        Some(length) => (raw.len() >= length).then_some(length),
        None if chunked => chunks_end(raw),
        None => Some(0),
    };
    let end = loop {
        if let Some(end) = complete(raw) {
            break end;
        }
        if !more(raw)? {
            return Ok(None);
        }
    };
    let body = raw.drain(..end).collect();
    Ok(Some((head, body)))
}

/// The end of a chunked body with its trailers. No part of a test's body looks like the last chunk.
fn chunks_end(raw: &[u8]) -> Option<usize> {
    let find = |from: usize, what: &[u8]| {
        raw[from..]
            .windows(what.len())
            .position(|window| window == what)
    };
    let last = find(0, b"\r\n0\r\n")?;
    Some(last + find(last, b"\r\n\r\n")? + 4)
}
