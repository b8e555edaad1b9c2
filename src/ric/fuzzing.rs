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

/// JSON between the Runtime API and Python objects: what the interpreter's own `json` reads is read as it reads it, and
/// what is written is read again. Needs an interpreter, unlike the others.
#[cfg(fuzzing)]
pub fn json_codec(bytes: &[u8]) {
    use crate::ffi::{Object, Python, Result, in_interpreter};
    use crate::json::{Encoder, decode};

    const ORACLE: &str = "\
import json
def refuse(name):
    raise ValueError(name)
def check(text, has_value, value, written):
    try:
        expected = repr(json.loads(text, parse_constant=refuse))
    except RecursionError:
        return
    except ValueError as error:
        assert not has_value, f'{error} in {text!r}'
        return
    assert has_value, f'refused: {text!r}'
    assert repr(value) == expected, f'{value!r} instead of {expected}'
    for again in written:
        assert repr(json.loads(again)) == expected, f'{again!r} for {expected}'
";
    thread_local! {
        static CHECK: std::cell::OnceCell<Object> = const { std::cell::OnceCell::new() };
    }
    let check = |py: Python, check: &Object| -> Result<()> {
        let text = py.decode(bytes, c"strict")?;
        let value = decode(py, bytes);
        let (mut written, mut raised) = (Vec::new(), String::new());
        match &value {
            Ok(value) => {
                for ensure_ascii in [true, false] {
                    // Infinity and half of a surrogate pair cannot be written.
                    match (Encoder { ensure_ascii }).encode(py, value) {
                        Ok(bytes) => written.push(py.decode(&bytes, c"strict")?),
                        Err(_) => drop(py.take_exception()),
                    }
                }
            }
            Err(_) => {
                let exception = py.take_exception().expect("it was raised");
                raised = exception.kind.get(py, "__name__")?.to_string(py)?;
            }
        }
        // Marks are skipped here and refused there; the limit of depth is another.
        let marked = [&b"\xef\xbb\xbf"[..], b"\xc3\xaf\xc2\xbb\xc2\xbf"];
        if raised == "RecursionError" || marked.iter().any(|mark| bytes.starts_with(mark)) {
            return Ok(());
        }
        let has_value = py.boolean(value.is_ok())?;
        let value = value.unwrap_or_else(|_| py.none());
        check.call(py, &[&text, &has_value, &value, &py.list(written)?])?;
        Ok(())
    };
    in_interpreter(|py| {
        CHECK.with(|cell| {
            let oracle = cell.get_or_init(|| {
                let made = || -> Result<Object> {
                    let globals = py.dict()?;
                    py.execute(&py.compile(ORACLE, "oracle")?, &globals)?;
                    Ok(globals
                        .get_key(py, &py.text("check")?)?
                        .expect("it is defined"))
                };
                made().expect("the oracle is Python")
            });
            if str::from_utf8(bytes).is_err() {
                assert!(decode(py, bytes).is_err());
                drop(py.take_exception());
            } else if check(py, oracle).is_err() {
                let exception = py.take_exception().expect("it was raised");
                panic!("{}", exception.value.to_string(py).unwrap_or_default());
            }
        });
    });
}

#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;
