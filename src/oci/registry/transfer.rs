//! One download, whoever asks: comes in a digest and a way to open the stream at an offset, goes out a file with exactly
//! those bytes. Hashes on the way, resumes what broke (also in an earlier run), and bounds the size.

use std::io::{self, Read, Seek, Write};
use std::path::Path;

use fs_err as fs;
use reqwest::StatusCode;
use reqwest::blocking::Response;
use reqwest::header::CONTENT_RANGE;

use super::http::{HttpError, HttpOptions, deepest, host};
use super::retry::Attempts;
use crate::Digest;
use crate::digest::Hasher;

/// The bound where the size is not known.
const MAX_UNKNOWN_SIZE: u64 = 16 << 30;
const BUFFER: usize = 128 * 1024;

/// A file that did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The request or the connection.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The right length perhaps, but other bytes.
    #[error("expected {expected}, got {got}")]
    Mismatch {
        /// What was asked for.
        expected: Digest,
        /// What came.
        got: Digest,
    },
    /// More or fewer bytes than there should be.
    #[error("expected {expected} bytes, the server has {got}")]
    Size {
        /// The known size.
        expected: u64,
        /// What the server announces or sent so far.
        got: u64,
    },
    /// A server that answers for another part of the file than it was asked for.
    #[error("asked for the bytes from {from}, the server answered {answer:?}")]
    Range {
        /// The offset that was asked for.
        from: u64,
        /// Its `Content-Range`.
        answer: String,
    },
    /// The local file; the error names the path.
    #[error(transparent)]
    File(#[from] io::Error),
}

impl TransferError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Http(error) => error.hint(),
            _ => None,
        }
    }
}

/// Bytes on disk, and their hash so far.
struct Part {
    file: fs::File,
    hasher: Hasher<io::Sink>,
    size: u64,
}

/// Downloads into `part`, which may hold the beginning already, and leaves it complete and on the disk. `open` asks for
/// the stream from an offset; `at` hears how many bytes there are. A file with wrong bytes is emptied.
pub fn download(
    options: &HttpOptions,
    expected: &Digest,
    size: Option<u64>,
    part: &Path,
    open: &mut dyn FnMut(u64) -> Result<Response, HttpError>,
    at: &mut dyn FnMut(u64),
) -> Result<(), TransferError> {
    let mut have = Part::open(part)?;
    let mut attempts = Attempts::new(options);
    // Bytes of an earlier connection can be another file's; then, and only then, starting over can help.
    let mut resumed = false;
    let mut started_over = false;
    loop {
        let before = have.size;
        resumed |= before > 0;
        match have.complete(size, open, at) {
            Ok(()) => {
                let got = have.digest();
                if got == *expected {
                    return Ok(have.file.sync_all()?);
                }
                have.empty()?;
                if !resumed || std::mem::replace(&mut started_over, true) {
                    let expected = *expected;
                    return Err(TransferError::Mismatch { expected, got });
                }
                resumed = false;
            }
            Err(error) if resumed && !started_over && is_about_the_offset(&error) => {
                started_over = true;
                resumed = false;
                have.empty()?;
            }
            Err(TransferError::Http(error)) => {
                let progressed = have.size > before;
                if !attempts.again(&error, progressed) {
                    return Err(error.into());
                }
            }
            Err(error) => {
                have.empty()?;
                return Err(error);
            }
        }
    }
}

fn is_about_the_offset(error: &TransferError) -> bool {
    match error {
        TransferError::Http(HttpError::Status { status, .. }) => {
            *status == StatusCode::RANGE_NOT_SATISFIABLE
        }
        TransferError::Range { .. } | TransferError::Size { .. } => true,
        _ => false,
    }
}

impl Part {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?;
        let mut hasher = Hasher::new(io::sink());
        let size = io::copy(&mut file, &mut hasher)?;
        Ok(Self { file, hasher, size })
    }

    fn empty(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.digest();
        self.size = 0;
        Ok(())
    }

    /// The digest of what was written; hashing starts anew.
    fn digest(&mut self) -> Digest {
        std::mem::replace(&mut self.hasher, Hasher::new(io::sink()))
            .finish()
            .0
    }

    /// Asks for what is missing and reads to the end.
    fn complete(
        &mut self,
        size: Option<u64>,
        open: &mut dyn FnMut(u64) -> Result<Response, HttpError>,
        at: &mut dyn FnMut(u64),
    ) -> Result<(), TransferError> {
        let limit = size.unwrap_or(MAX_UNKNOWN_SIZE);
        if size == Some(self.size) {
            return Ok(());
        }
        if self.size > limit {
            return Err(too_long(limit, self.size));
        }
        at(self.size);
        let mut response = open(self.size)?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => check_range(&response, self.size, size)?,
            // It does not do ranges: all of it comes once more.
            StatusCode::OK if self.size > 0 => self.empty()?,
            StatusCode::OK => {}
            status => return Err(odd_status(&response, status).into()),
        }
        if let (Some(expected), Some(rest)) = (size, response.content_length()) {
            let got = self.size + rest;
            if got != expected {
                return Err(TransferError::Size { expected, got });
            }
        }
        self.read(&mut response, limit, at)?;
        match size {
            Some(size) if self.size < size => Err(HttpError::Broken {
                host: host(response.url()),
                reason: format!("it ended after {} of {size} bytes", self.size),
            }
            .into()),
            _ => Ok(()),
        }
    }

    fn read(
        &mut self,
        response: &mut Response,
        limit: u64,
        at: &mut dyn FnMut(u64),
    ) -> Result<(), TransferError> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let n = match response.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let (host, reason) = (host(response.url()), deepest(&error));
                    return Err(HttpError::Broken { host, reason }.into());
                }
            };
            if self.size + n as u64 > limit {
                return Err(too_long(limit, self.size + n as u64));
            }
            self.file.write_all(&buffer[..n])?;
            self.hasher.write_all(&buffer[..n])?;
            self.size += n as u64;
            at(self.size);
        }
    }
}

fn too_long(expected: u64, got: u64) -> TransferError {
    TransferError::Size { expected, got }
}

fn odd_status(response: &Response, status: StatusCode) -> HttpError {
    HttpError::Status {
        host: host(response.url()),
        status,
        message: String::new(),
        retry_after: None,
        challenges: Vec::new(),
    }
}

/// `Content-Range: bytes FROM-LAST/TOTAL`.
fn check_range(response: &Response, from: u64, size: Option<u64>) -> Result<(), TransferError> {
    let answer = response
        .headers()
        .get(CONTENT_RANGE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let total = parse_content_range(answer)
        .filter(|(first, _)| *first == from)
        .map(|(_, total)| total);
    match (total, size) {
        (Some(Some(total)), Some(expected)) if total != expected => Err(TransferError::Size {
            expected,
            got: total,
        }),
        (Some(_), _) => Ok(()),
        (None, _) => Err(TransferError::Range {
            from,
            answer: answer.chars().take(80).collect(),
        }),
    }
}

/// The first byte, and the total where it is not `*`.
pub(super) fn parse_content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let total = match total {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    (first <= last && total.is_none_or(|total| last < total)).then_some((first, total))
}

#[cfg(test)]
mod tests;
