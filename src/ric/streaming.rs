//! Results that a handler has not finished: coroutines are run, generators are streamed to the platform piece by piece.
//!
//! A piece is bytes, anything bytes-like, or str (sent as UTF-8). The first one may be a dict: the status, headers and
//! cookies of an HTTP response. A piece is sent before the next one is asked for, so a peer that reads slowly slows the
//! generator down.

use std::io;
use std::time::Duration;

use crate::builtin_module::{self, with_client};
use crate::ffi::{Builtin, Kind, Object, Python, Raised, Result, SignalsHeld, Unfinished};
use crate::json::Encoder;
use crate::posting::{self, Refused};
use crate::runtime_api::{Answer, Answered};
use crate::streamed_response::{Progress, StreamedResponse};

/// What a handler's result turned out to be.
pub enum Settled {
    /// A value.
    Value(Object),
    /// A response in pieces.
    Stream(Stream),
}

/// A response in pieces whose first one is known.
pub struct Stream {
    /// The iterator, which has a method `close`.
    pub pieces: Object,
    /// The beginning of the response.
    pub first: Piece,
}

/// A piece of the response.
pub struct Piece {
    /// Whether this describes an HTTP response instead of being part of its body.
    pub is_http: bool,
    /// The bytes to send.
    pub bytes: Vec<u8>,
}

/// Runs coroutines until there is a value or a generator, and takes a generator's first piece. Raises what they raise, and
/// a FaultException for a piece of another type.
pub fn settle(py: Python, mut result: Object, request_id: &str) -> Result<Settled> {
    let run = |name: &str, result: &Object| builtin_module::name(py, name)?.call(py, &[result]);
    let pieces = loop {
        match result.unfinished(py)? {
            None => return Ok(Settled::Value(result)),
            Some(Unfinished::Coroutine) => result = run("run_coroutine", &result)?,
            Some(Unfinished::Generator) => break result,
            Some(Unfinished::AsyncGenerator) => break run("Pieces", &result)?,
        }
    };
    let nothing = Piece {
        is_http: false,
        bytes: Vec::new(),
    };
    let first = match pieces.next(py)? {
        Some(first) => piece(py, &first, true).or_else(|Raised| {
            let exception = py.take_exception();
            close(py, &pieces, request_id)?;
            Err(exception.map_or(Raised, |exception| py.restore(exception)))
        })?,
        None => nothing,
    };
    Ok(Settled::Stream(Stream { pieces, first }))
}

fn piece(py: Python, object: &Object, is_first: bool) -> Result<Piece> {
    const END_OF_HTTP_HEAD: [u8; 8] = [0; 8];
    let is_http = is_first && matches!(object.kind(), Kind::Dict | Kind::DictSubclass);
    let bytes = match object.kind() {
        Kind::Text => object.utf8(py).map(<[u8]>::to_vec),
        Kind::Bytes => object.as_bytes(py).map(<[u8]>::to_vec),
        _ if is_http => Encoder { ensure_ascii: true }
            .encode(py, object)
            .map(|head| [head.as_slice(), &END_OF_HTTP_HEAD].concat()),
        _ => bytes_like(py, object),
    };
    let bytes = bytes
        .map_err(|Raised| posting::fault(py, "MarshalError", "Unable to marshal response: "))?;
    Ok(Piece { is_http, bytes })
}

fn bytes_like(py: Python, object: &Object) -> Result<Vec<u8>> {
    let bytes = object.to_bytes(py).or_else(|Raised| {
        py.take_exception();
        let class = object.class(py)?.get(py, "__name__")?.to_string(py)?;
        Err(py.raise(
            Builtin::TypeError,
            &format!("Object of type {class} is not bytes or str"),
        ))
    })?;
    bytes.as_bytes(py).map(<[u8]>::to_vec)
}

/// Streams the response of an invocation. An exception on the way ends it with the trailers that report errors. A peer that
/// is gone is logged, closes the generator and is no error. Raises RuntimeError if the Runtime API refuses the response, and
/// what ends the process.
pub fn post(py: Python, answered: &Answered, stream: &Stream) -> Result<()> {
    let Stream { pieces, first } = stream;
    let content_type = if first.is_http {
        "application/vnd.awslambda.http-integration-response"
    } else {
        "application/octet-stream"
    };
    let opened = with_client(py, |client| {
        Ok(py.detached(|| client.stream_response(answered, content_type)))
    })?;
    let answer = match opened {
        Ok(mut response) => {
            response.push(&first.bytes);
            match transfer(py, answered, &mut response, pieces)? {
                Ok(answer) => Ok(answer),
                Err(gone) => {
                    posting::say_refused(&Refused::from(gone));
                    return close(py, pieces, &answered.request_id);
                }
            }
        }
        Err(error) => Err(error),
    };
    // A finished generator does not mind.
    close(py, pieces, &answered.request_id)?;
    posting::check(py, answer, "Failed to post invocation response")
}

/// The outer result is about Python, the inner one about the connection.
fn transfer(
    py: Python,
    answered: &Answered,
    response: &mut StreamedResponse,
    pieces: &Object,
) -> Result<io::Result<Answer>> {
    let body = || -> Result<Option<io::Result<Answer>>> {
        loop {
            match advance(py, response, Progress::Sent)? {
                Ok(None) => {}
                Ok(Some(answer)) => return Ok(Some(Ok(answer))),
                Err(gone) => return Ok(Some(Err(gone))),
            }
            match pieces.next(py)? {
                Some(next) => response.push(&piece(py, &next, false)?.bytes),
                None => return Ok(None),
            }
        }
    };
    match { body }() {
        Ok(Some(early)) => return Ok(early),
        Ok(None) => response.end(),
        Err(Raised) => {
            let Some(exception) = py.take_exception() else {
                return Err(Raised);
            };
            if !exception.is(Builtin::Exception) {
                return Err(py.restore(exception));
            }
            let [error, _] = posting::report(py, &answered.request_id, &exception)?;
            close(py, pieces, &answered.request_id)?;
            let kind = error.get_item(py, &py.text("errorType")?)?.to_string(py)?;
            let body = py.bytes(&posting::encode_error(py, &error)?)?;
            let body = py
                .import("binascii")?
                .call_method(py, "b2a_base64", &[&body])?;
            let body = String::from_utf8_lossy(body.as_bytes(py)?).into_owned();
            response.fail(&kind, body.trim_end());
        }
    }
    loop {
        match advance(py, response, Progress::Blocked)? {
            Ok(Some(answer)) => return Ok(Ok(answer)),
            Ok(None) => {}
            Err(gone) => return Ok(Err(gone)),
        }
    }
}

/// Sends what is queued, and waits while the peer is not ready. Returns None at `enough`; beyond that it waits for an
/// answer. Python's signal handlers run meanwhile.
fn advance(
    py: Python,
    response: &mut StreamedResponse,
    enough: Progress,
) -> Result<io::Result<Option<Answer>>> {
    // Ends a wait that a signal should have ended, but another thread got it.
    const LONGEST_WAIT: Duration = Duration::from_secs(1);
    loop {
        let progress = match py.detached(|| response.advance()) {
            Ok(Progress::Answered(answer)) => return Ok(Ok(Some(answer))),
            Ok(progress) if progress == enough => return Ok(Ok(None)),
            Ok(progress) => progress,
            Err(gone) => return Ok(Err(gone)),
        };
        py.check_signals()?;
        let held = SignalsHeld::new();
        py.check_signals()?;
        let descriptor = response.descriptor();
        py.detached(|| match progress {
            Progress::Blocked => held.wait_ready(descriptor, LONGEST_WAIT),
            _ => held.wait_readable(descriptor, LONGEST_WAIT),
        });
    }
}

/// Closes a generator. What it raises then is logged; nobody waits for it any more.
fn close(py: Python, pieces: &Object, request_id: &str) -> Result<()> {
    let Err(Raised) = pieces.call_method(py, "close", &[]) else {
        return Ok(());
    };
    match py.take_exception() {
        Some(exception) if exception.is(Builtin::Exception) => {
            posting::report(py, request_id, &exception).map(drop)
        }
        Some(exception) => Err(py.restore(exception)),
        None => Ok(()),
    }
}
