//! Every parser of bytes from elsewhere in this crate that needs no interpreter, as a function of bytes: for `tests/fuzz`,
//! whose seeds are tried here as well. A target panics when its parser does, and when what was parsed breaks a promise.

use crate::emulator::{base64, json};
use crate::http::{Malformed, Message, Reader, Side};

/// A name in `tests/fuzz/fuzz_targets` and `tests/fuzz/seeds`, and what is tried.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("ric_base64", base64),
    ("ric_emulator_json", emulator_json),
    ("ric_http_request", http_request),
    ("ric_http_response", http_response),
];

/// Requests, as the emulator's APIs and the runtime's own server read them.
pub fn http_request(bytes: &[u8]) {
    http(Side::Request, bytes);
}

/// Responses of the Runtime API.
pub fn http_response(bytes: &[u8]) {
    http(Side::Response, bytes);
}

/// Whatever the pieces in which bytes arrive: the same messages, then the same fault.
fn http(side: Side, bytes: &[u8]) {
    let whole = messages(side, bytes, usize::MAX);
    for piece in [1, 7] {
        assert_eq!(messages(side, bytes, piece), whole, "in pieces of {piece}");
    }
}

fn messages(side: Side, bytes: &[u8], piece: usize) -> (Vec<Message>, Option<Malformed>) {
    const HEAD: usize = 256;
    const BODY: usize = 1024;
    let mut reader = Reader::new(side, HEAD, BODY);
    let (mut rest, mut found, mut open) = (bytes, Vec::new(), true);
    while open {
        let (mut next, after) = rest.split_at(piece.min(rest.len()));
        rest = after;
        loop {
            open = reader.read_from(&mut next).expect("memory can be read");
            if next.is_empty() {
                break;
            }
        }
        loop {
            match reader.take() {
                Ok(Some(message)) => {
                    assert!(message.body.len() <= BODY);
                    let _ = (message.head.closes(), message.head.request());
                    found.push(message);
                }
                Ok(None) => break,
                Err(fault) => return (found, Some(fault)),
            }
            // An end is the end of one message only.
            if reader.is_empty() {
                break;
            }
        }
    }
    (found, None)
}

/// JSON of the emulator's APIs: what is read, quoted and read again is the same.
pub fn emulator_json(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if let Some(value) = json::Value::parse(text) {
        let _ = (value.get("a"), value.as_integer());
        if let Some(text) = value.as_text() {
            let again = json::Value::parse(&json::quote(text));
            assert_eq!(again.as_ref().and_then(json::Value::as_text), Some(text));
        }
    }
}

/// Base64 of client contexts and events.
pub fn base64(bytes: &[u8]) {
    let written = base64::encode(bytes);
    assert_eq!(base64::decode(&written).as_deref(), Some(bytes));
    if let Ok(text) = str::from_utf8(bytes) {
        let _ = base64::decode(text);
    }
}

#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;
