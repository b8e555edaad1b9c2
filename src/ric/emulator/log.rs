//! The environment's log: what the platform says and what processes write, to the emulator's own standard output and error.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::subscription::Category;
use super::telemetry::Telemetry;
use crate::ffi::{SignalsHeld, Wake};

/// So much of an invocation's log goes back to a caller that asks for it, in bytes.
const TAIL: usize = 4096;
/// A line that is longer becomes several records.
const LONGEST_LINE: usize = 256 * 1024;

/// The log.
pub struct Log {
    telemetry: Arc<Telemetry>,
    tail: Mutex<Vec<u8>>,
    sources: Mutex<Vec<Arc<Source>>>,
}

/// Where a process's bytes go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// The reading end of a process's stream.
struct Source {
    category: Category,
    stream: Stream,
    state: Mutex<Reading>,
}

struct Reading {
    pipe: io::PipeReader,
    line: Vec<u8>,
    is_open: bool,
}

impl Log {
    /// An empty log.
    pub fn new(telemetry: Arc<Telemetry>) -> Self {
        Self {
            telemetry,
            tail: Mutex::default(),
            sources: Mutex::default(),
        }
    }

    /// The platform's own lines, with their line ends.
    pub fn platform(&self, text: &str) {
        self.write(Stream::Output, text.as_bytes());
    }

    fn write(&self, stream: Stream, bytes: &[u8]) {
        // Nobody is left to tell if a stream is closed.
        let _ = match stream {
            Stream::Output => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes).and_then(|()| stdout.flush())
            }
            Stream::Error => io::stderr().lock().write_all(bytes),
        };
        let mut tail = lock(&self.tail);
        tail.extend_from_slice(bytes);
        let surplus = tail.len().saturating_sub(TAIL);
        tail.drain(..surplus);
    }

    /// An invocation begins.
    pub fn clear_tail(&self) {
        lock(&self.tail).clear();
    }

    /// The last 4 KiB of the log since the invocation began.
    pub fn tail(&self) -> Vec<u8> {
        lock(&self.tail).clone()
    }

    /// Takes what comes out of `pipe` until its end, in a thread of its own.
    pub fn follow(self: &Arc<Self>, pipe: io::PipeReader, category: Category, stream: Stream) {
        let source = Arc::new(Source {
            category,
            stream,
            state: Mutex::new(Reading {
                pipe,
                line: Vec::new(),
                is_open: true,
            }),
        });
        lock(&self.sources).push(Arc::clone(&source));
        let log = Arc::clone(self);
        thread::spawn(move || {
            const LONG: Duration = Duration::from_secs(3600);
            let held = SignalsHeld::new();
            let pipe = lock(&source.state).pipe.as_raw_fd();
            loop {
                held.wait_readable(pipe, LONG);
                if !log.drain_source(&held, &source) {
                    break;
                }
            }
            lock(&log.sources).retain(|other| !Arc::ptr_eq(other, &source));
        });
    }

    /// Takes everything that processes have written so far. What they wrote before they asked for the next event is in the
    /// log before the line that says that the invocation has ended.
    pub fn drain(&self) {
        let sources = lock(&self.sources).clone();
        let held = SignalsHeld::new();
        for source in sources {
            self.drain_source(&held, &source);
            // The invocation is over: a line without an end is a line.
            let line = std::mem::take(&mut lock(&source.state).line);
            self.line(&source, &line);
        }
    }

    /// False at the end of the stream.
    fn drain_source(&self, held: &SignalsHeld, source: &Source) -> bool {
        const ROOM: usize = 64 * 1024;
        // A process that writes without pause must not hold up the others.
        const MOST_READS: usize = 64;
        let mut reading = lock(&source.state);
        let mut room = vec![0; ROOM];
        for _ in 0..MOST_READS {
            if !reading.is_open {
                return false;
            }
            if held.wait_readable(reading.pipe.as_raw_fd(), Duration::ZERO) != Wake::Ready {
                return true;
            }
            let count = match reading.pipe.read(&mut room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result.unwrap_or_default(),
            };
            if count == 0 {
                reading.is_open = false;
                let line = std::mem::take(&mut reading.line);
                self.line(source, &line);
                return false;
            }
            self.write(source.stream, &room[..count]);
            for part in room[..count].split_inclusive(|&byte| byte == b'\n') {
                reading.line.extend_from_slice(part);
                if part.ends_with(b"\n") || reading.line.len() > LONGEST_LINE {
                    let line = std::mem::take(&mut reading.line);
                    self.line(source, &line);
                }
            }
        }
        true
    }

    fn line(&self, source: &Source, line: &[u8]) {
        if !line.is_empty() {
            let text = String::from_utf8_lossy(line);
            self.telemetry
                .line(source.category, text.trim_end_matches(['\n', '\r']));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
