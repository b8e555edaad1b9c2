//! Gzip whose bytes depend on its input only: not on the number of threads, not on how the caller cuts its writes.
//!
//! The input is cut into blocks of 1 MiB. Each becomes a piece of raw deflate, primed with the 32 KiB in
//! front of it and ended by a sync flush, the last one by the final bit; the pieces in order are one gzip member.
//! Block size, level, header and the versions of flate2 and zlib-rs are the format: a change changes every layer's
//! digest, and the golden test says so.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::mem;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// Bytes of input per piece.
const BLOCK: usize = 1 << 20;
/// What deflate can look back at.
const WINDOW: usize = 32 << 10;
const LEVEL: u32 = 9;
/// Deflate, no name, no time, no level hint, unknown operating system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Compresses what is written to it on several threads. Memory: about 4 MiB per thread.
pub struct GzipWriter<W> {
    inner: W,
    block: Vec<u8>,
    /// The end of the block before.
    window: Vec<u8>,
    jobs: Sender<Job>,
    waiting: VecDeque<Receiver<io::Result<Piece>>>,
    most_waiting: usize,
    crc: Crc,
}

struct Job {
    window: Vec<u8>,
    block: Vec<u8>,
    last: bool,
    done: SyncSender<io::Result<Piece>>,
}

struct Piece {
    bytes: Vec<u8>,
    crc: Crc,
}

impl<W: Write> GzipWriter<W> {
    /// Writes the header and starts the threads (at least one).
    pub fn new(mut inner: W, threads: usize) -> io::Result<Self> {
        inner.write_all(&HEADER)?;
        let threads = threads.max(1);
        let (jobs, todo) = mpsc::channel();
        let todo = Arc::new(Mutex::new(todo));
        for _ in 0..threads {
            let todo = Arc::clone(&todo);
            // Ends when the sender is gone, so nobody has to wait for it.
            thread::Builder::new()
                .name("gzip".into())
                .spawn(move || work(&todo))?;
        }
        Ok(Self {
            inner,
            block: Vec::with_capacity(BLOCK),
            window: Vec::new(),
            jobs,
            waiting: VecDeque::new(),
            most_waiting: threads + 1,
            crc: Crc::new(),
        })
    }

    /// Compresses what is left, writes the trailer, and gives the inner writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.send(true)?;
        while !self.waiting.is_empty() {
            self.receive()?;
        }
        self.inner.write_all(&self.crc.sum().to_le_bytes())?;
        self.inner.write_all(&self.crc.amount().to_le_bytes())?;
        Ok(self.inner)
    }

    fn send(&mut self, last: bool) -> io::Result<()> {
        if self.waiting.len() >= self.most_waiting {
            self.receive()?;
        }
        let next = Vec::with_capacity(if last { 0 } else { BLOCK });
        let block = mem::replace(&mut self.block, next);
        let window = block[block.len().saturating_sub(WINDOW)..].to_vec();
        let (done, piece) = mpsc::sync_channel(1);
        let job = Job {
            window: mem::replace(&mut self.window, window),
            block,
            last,
            done,
        };
        self.jobs.send(job).map_err(|_| thread_died())?;
        self.waiting.push_back(piece);
        Ok(())
    }

    fn receive(&mut self) -> io::Result<()> {
        if let Some(piece) = self.waiting.pop_front() {
            let piece = piece.recv().map_err(|_| thread_died())??;
            self.inner.write_all(&piece.bytes)?;
            self.crc.combine(&piece.crc);
        }
        Ok(())
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        // A full block waits for the next byte: only then is it known not to be the last.
        if self.block.len() == BLOCK && !buf.is_empty() {
            self.send(false)?;
        }
        let n = buf.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&buf[..n]);
        Ok(n)
    }

    /// Does nothing: a flush would change the bytes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn thread_died() -> io::Error {
    io::Error::other("a compression thread ended early")
}

fn work(todo: &Mutex<Receiver<Job>>) {
    loop {
        let Ok(job) = todo
            .lock()
            .map_err(drop)
            .and_then(|jobs| jobs.recv().map_err(drop))
        else {
            return;
        };
        // Nobody listens any more when the writer failed.
        let _ = job.done.send(compress(&job));
    }
}

/// A new compressor each time: a reused one may remember.
fn compress(job: &Job) -> io::Result<Piece> {
    let mut deflate = Compress::new(Compression::new(LEVEL), false);
    if !job.window.is_empty() {
        deflate.set_dictionary(&job.window)?;
    }
    let flush = if job.last {
        FlushCompress::Finish
    } else {
        FlushCompress::Sync
    };
    let mut bytes = Vec::with_capacity(job.block.len() / 2 + 64);
    loop {
        let rest = &job.block[deflate.total_in() as usize..];
        let status = deflate.compress_vec(rest, &mut bytes, flush)?;
        // A sync flush is complete when it leaves room in the output.
        let complete = match status {
            Status::StreamEnd => true,
            _ => !job.last && bytes.len() < bytes.capacity(),
        };
        if complete && deflate.total_in() as usize == job.block.len() {
            break;
        }
        bytes.reserve(bytes.capacity().max(1 << 16));
    }
    let mut crc = Crc::new();
    crc.update(&job.block);
    Ok(Piece { bytes, crc })
}

#[cfg(test)]
pub(crate) mod tests;
