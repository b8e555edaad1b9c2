//! Where a tar's bytes come from.

use std::io::{self, BufReader, Read};

/// Bytes that can be read, or jumped over.
pub trait Source: Read {
    /// Goes forward; `UnexpectedEof` when fewer bytes are left.
    fn skip(&mut self, bytes: u64) -> io::Result<()>;
}

/// A tar as a stream, such as a decompressor: what is skipped is read.
pub struct Stream<R>(pub R);

impl<R: Read> Read for Stream<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl<R: Read> Source for Stream<R> {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut self.0).take(bytes), &mut io::sink())?;
        if skipped < bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

/// A tar as a file: what is skipped is not read.
pub struct Seekable {
    file: BufReader<fs_err::File>,
    at: u64,
    len: u64,
}

impl Seekable {
    pub(super) fn new(file: fs_err::File) -> io::Result<Self> {
        Ok(Self {
            len: file.metadata()?.len(),
            at: 0,
            file: BufReader::with_capacity(4096, file),
        })
    }
}

impl Read for Seekable {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buf)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Source for Seekable {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        // Seeking beyond the end of a file is no error for the kernel.
        let at = self.at.checked_add(bytes).filter(|at| *at <= self.len);
        self.at = at.ok_or(io::ErrorKind::UnexpectedEof)?;
        // Below the limit of i64: a file's length is one.
        self.file.seek_relative(bytes as i64)
    }
}
