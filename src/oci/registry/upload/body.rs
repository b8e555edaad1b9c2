//! A blob's bytes as the body of a request: counted, reported, and hashed when it is all of them.

use std::io::{self, BufReader, Read, Write as _};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::blocking::Response;

use super::{Failure, OpenBlob};
use crate::Digest;
use crate::digest::Hasher;
use crate::registry::http::HttpError;
use crate::registry::push::PushError;
use crate::registry::{Descriptor, Watch};

const BUFFER: usize = 256 * 1024;

/// Part of a blob or all of it, to be opened for each attempt.
#[derive(Clone)]
pub(super) struct Body {
    blob: Descriptor,
    range: Range<u64>,
    open: OpenBlob,
    watch: Arc<dyn Watch>,
    /// What was wrong with the bytes, which a failed request cannot say.
    fault: Arc<Mutex<Option<PushError>>>,
}

struct Reader {
    body: Body,
    inner: BufReader<Box<dyn Read + Send>>,
    at: u64,
    /// Only of the whole blob.
    hasher: Option<Hasher<io::Sink>>,
}

impl Body {
    pub fn new(
        blob: &Descriptor,
        range: Range<u64>,
        open: OpenBlob,
        watch: Arc<dyn Watch>,
    ) -> Self {
        Self {
            blob: blob.clone(),
            range,
            open,
            watch,
            fault: Arc::default(),
        }
    }

    /// From its beginning; as often as it is asked to.
    pub fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let inner = (self.open)(self.range.start).map_err(|source| self.unreadable(source))?;
        let whole = self.range == (0..self.blob.size);
        Ok(Box::new(Reader {
            body: self.clone(),
            inner: BufReader::with_capacity(BUFFER, inner),
            at: self.range.start,
            hasher: whole.then(|| Hasher::new(io::sink())),
        }))
    }

    /// A request that failed because of these bytes failed because of them, whatever it looks like.
    pub fn judge(&self, result: Result<Response, HttpError>) -> Result<Response, Failure> {
        match self.fault() {
            Some(fault) => Err(Failure::Final(fault)),
            None => Ok(result?),
        }
    }

    pub fn fault(&self) -> Option<PushError> {
        self.fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn fail(&self, fault: PushError) -> io::Error {
        let said = io::Error::other(fault.to_string());
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        said
    }

    fn unreadable(&self, source: io::Error) -> io::Error {
        self.fail(PushError::Read {
            digest: self.blob.digest,
            source,
        })
    }

    fn damaged(&self, got: Digest, got_size: u64) -> io::Error {
        self.fail(PushError::Damaged {
            expected: self.blob.digest,
            expected_size: self.blob.size,
            got,
            got_size,
        })
    }
}

impl Reader {
    /// Before the last bytes go: they are all there is, and the right ones.
    fn finish(&mut self) -> io::Result<()> {
        let Some(hasher) = self.hasher.take() else {
            return Ok(());
        };
        let (got, size, _) = hasher.finish();
        let more = self
            .inner
            .read(&mut [0])
            .map_err(|source| self.body.unreadable(source))?;
        if got != self.body.blob.digest || more > 0 {
            return Err(self.body.damaged(got, size + more as u64));
        }
        Ok(())
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.body.range.end - self.at;
        let wanted = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let n = loop {
            match self.inner.read(&mut buffer[..wanted]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result.map_err(|error| self.body.unreadable(error))?,
            }
        };
        if n == 0 {
            let hasher = self
                .hasher
                .take()
                .unwrap_or_else(|| Hasher::new(io::sink()));
            return Err(self.body.damaged(hasher.finish().0, self.at));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.write_all(&buffer[..n])?;
        }
        self.at += n as u64;
        if self.at == self.body.range.end {
            self.finish()?;
        }
        self.body.watch.at(&self.body.blob, self.at);
        Ok(n)
    }
}
