//! The way of records to one subscriber: buffered, in batches, by a thread of its own.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::subscription::{Destination, Subscription};
use crate::http::{Reader, Side};

/// How long a subscriber may take to accept a connection, and a batch.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long nothing is sent after a failure.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Buffer {
    records: VecDeque<String>,
    bytes: usize,
    oldest: Option<Instant>,
    dropped: (usize, usize),
    is_sending: bool,
    is_flushing: bool,
    is_over: bool,
}

/// A subscriber's buffer.
pub struct Delivery {
    subscription: Subscription,
    buffer: Mutex<Buffer>,
    changed: Condvar,
}

impl Delivery {
    /// Starts a thread that delivers until [`Delivery::end`]. `dropped` makes the record that says how many records and
    /// bytes were lost.
    pub fn start(
        subscription: Subscription,
        dropped: impl Fn(usize, usize) -> String + Send + 'static,
    ) -> Arc<Self> {
        let delivery = Arc::new(Self {
            subscription,
            buffer: Mutex::default(),
            changed: Condvar::new(),
        });
        let worker = Arc::clone(&delivery);
        thread::spawn(move || worker.run(dropped));
        delivery
    }

    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more record, as JSON.
    pub fn push(&self, record: String) {
        let mut buffer = self.buffer();
        // A subscriber that does not keep up costs no more memory than this.
        if buffer.bytes + record.len() > 2 * self.subscription.most_bytes && buffer.bytes > 0 {
            buffer.dropped.0 += 1;
            buffer.dropped.1 += record.len();
            return;
        }
        buffer.bytes += record.len();
        buffer.records.push_back(record);
        buffer.oldest.get_or_insert_with(Instant::now);
        self.changed.notify_all();
    }

    /// Delivers what there is without waiting for more; gives up after `limit`.
    pub fn flush(&self, limit: Duration) {
        let mut buffer = self.buffer();
        buffer.is_flushing = true;
        self.changed.notify_all();
        let is_busy = |buffer: &mut Buffer| !buffer.records.is_empty() || buffer.is_sending;
        let waited = self.changed.wait_timeout_while(buffer, limit, is_busy);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_flushing = false;
    }

    /// Nothing is delivered any more.
    pub fn end(&self) {
        self.buffer().is_over = true;
        self.changed.notify_all();
    }

    fn run(&self, dropped: impl Fn(usize, usize) -> String) {
        while let Some(batch) = self.batch() {
            let sent = send(&self.subscription.destination, &batch);
            let mut buffer = self.buffer();
            buffer.is_sending = false;
            if sent.is_ok() {
                buffer.oldest = (!buffer.records.is_empty()).then(Instant::now);
                let (records, bytes) = std::mem::take(&mut buffer.dropped);
                if records > 0 {
                    let record = dropped(records, bytes);
                    buffer.bytes += record.len();
                    buffer.records.push_back(record);
                }
                self.changed.notify_all();
                continue;
            }
            // It may not listen yet, or have trouble: the same batch again after a pause.
            for record in batch.into_iter().rev() {
                buffer.bytes += record.len();
                buffer.records.push_front(record);
            }
            let over = |buffer: &mut Buffer| !buffer.is_over;
            drop(self.changed.wait_timeout_while(buffer, PAUSE, over));
        }
    }

    /// The next batch, when it is due. None: the end.
    fn batch(&self) -> Option<Vec<String>> {
        let Subscription {
            most_items,
            most_bytes,
            timeout,
            ..
        } = self.subscription;
        let mut buffer = self.buffer();
        loop {
            if buffer.is_over {
                return None;
            }
            let age = buffer
                .oldest
                .map_or(Duration::ZERO, |oldest| oldest.elapsed());
            let is_due = buffer.is_flushing
                || buffer.records.len() >= most_items
                || buffer.bytes >= most_bytes
                || age >= timeout;
            if is_due && !buffer.records.is_empty() {
                break;
            }
            buffer = if buffer.records.is_empty() {
                self.changed
                    .wait(buffer)
                    .unwrap_or_else(PoisonError::into_inner)
            } else {
                let waited = self.changed.wait_timeout(buffer, timeout - age);
                waited.unwrap_or_else(PoisonError::into_inner).0
            };
        }
        let (mut batch, mut size) = (Vec::new(), 0);
        while batch.len() < most_items {
            let fits = |record: &&String| batch.is_empty() || size + record.len() <= most_bytes;
            let Some(length) = buffer.records.front().filter(fits).map(String::len) else {
                break;
            };
            size += length;
            batch.extend(buffer.records.pop_front());
        }
        buffer.bytes -= size;
        buffer.is_sending = true;
        Some(batch)
    }
}

fn send(destination: &Destination, batch: &[String]) -> io::Result<()> {
    let (Destination::Http { port, .. } | Destination::Tcp { port }) = destination;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    match destination {
        Destination::Tcp { .. } => stream.write_all((batch.join("\n") + "\n").as_bytes()),
        Destination::Http {
            method, host, path, ..
        } => {
            let body = format!("[{}]", batch.join(","));
            let length = body.len();
            let head = format!(
                "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
                 Connection: close\r\nContent-Length: {length}\r\n\r\n"
            );
            stream.write_all((head + &body).as_bytes())?;
            let is_accepted = read_status(&mut stream)?.is_some_and(|status| status < 300);
            is_accepted
                .then_some(())
                .ok_or_else(|| io::Error::other("not accepted"))
        }
    }
}

fn read_status(stream: &mut TcpStream) -> io::Result<Option<u16>> {
    const LIMIT: usize = 64 * 1024;
    let mut reader = Reader::new(Side::Response, LIMIT, LIMIT);
    let begun = Instant::now();
    loop {
        match reader.take() {
            Ok(Some(message)) => return Ok(message.head.status()),
            Ok(None) if begun.elapsed() < PATIENCE && reader.read_from(stream)? => {}
            // The end of the stream may be the end of the message.
            Ok(None) => return Ok(reader.take().ok().flatten().and_then(|m| m.head.status())),
            Err(_) => return Ok(None),
        }
    }
}
