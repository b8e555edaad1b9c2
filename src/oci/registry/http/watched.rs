//! Sending a body with an eye on it. The client's own time limit is for all of a body together; here it is for the next
//! piece, and for the answer.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use reqwest::blocking::{Body, RequestBuilder, Response};

/// How fast a server at least looks at what it got before it answers, in bytes per second.
const SLOWEST_CHECK: u64 = 8 << 20;
/// A connection that was given up may last so much longer.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Counts what is sent.
struct Counted {
    reader: Box<dyn Read + Send>,
    sent: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.sent.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Sends `length` bytes after the headers; `None` if nothing moved for the time of `stall`.
pub(super) fn send(
    request: RequestBuilder,
    length: u64,
    reader: Box<dyn Read + Send>,
    stall: Duration,
) -> Option<reqwest::Result<Response>> {
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Counted {
        reader,
        sent: sent.clone(),
    };
    let request = request.timeout(LONGEST).body(Body::sized(counted, length));
    let (answer, answers) = mpsc::channel();
    std::thread::spawn(move || {
        // Nobody may be waiting any more.
        let _ = answer.send(request.send());
    });
    let check = Duration::from_secs(length / SLOWEST_CHECK);
    loop {
        let before = sent.load(Ordering::Relaxed);
        let patience = if before < length {
            stall
        } else {
            stall + check
        };
        match answers.recv_timeout(patience) {
            Ok(result) => return Some(result),
            Err(RecvTimeoutError::Timeout) if sent.load(Ordering::Relaxed) > before => {}
            Err(_) => return None,
        }
    }
}
