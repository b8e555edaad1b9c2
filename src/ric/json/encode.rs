//! Python objects to JSON text.

use super::first_special;
use crate::ffi::{Builtin, Kind, Object, Python, Raised, Result};
use crate::version;

/// Whether characters outside ASCII are escaped. Python 3.12 and later on Lambda leave them as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoder {
    /// Escape everything outside 0x20–0x7e.
    pub ensure_ascii: bool,
}

impl Encoder {
    /// Encodes an object as UTF-8 text. Raises TypeError, ValueError, UnicodeError or RecursionError.
    pub fn encode(self, py: Python, object: &Object) -> Result<Vec<u8>> {
        let mut writer = Writer {
            py,
            ensure_ascii: self.ensure_ascii,
            out: Vec::with_capacity(64),
            open: Vec::new(),
        };
        writer.value(object, object.kind())?;
        Ok(writer.out)
    }
}

struct Writer {
    py: Python,
    ensure_ascii: bool,
    out: Vec<u8>,
    /// The containers around the current value, to find circles.
    open: Vec<usize>,
}

impl Writer {
    fn value(&mut self, object: &Object, kind: Kind) -> Result<()> {
        match kind {
            Kind::Text => self.text(object),
            Kind::Bytes => {
                let bytes = object.as_bytes(self.py)?;
                let text = self.py.decode(bytes, c"strict")?;
                self.text(&text)
            }
            Kind::None | Kind::True | Kind::False | Kind::Integer | Kind::Float => {
                self.scalar(object, kind)
            }
            _ => {
                let py = self.py;
                // simplejson runs into the limit at another place since 3.12.
                let place = match version::minor() {
                    12.. => c" while calling a Python object",
                    _ => c" while encoding a JSON object",
                };
                py.deeper(place, || self.container(object, kind))
            }
        }
    }

    fn scalar(&mut self, object: &Object, kind: Kind) -> Result<()> {
        match kind {
            Kind::None => self.out.extend_from_slice(b"null"),
            Kind::True => self.out.extend_from_slice(b"true"),
            Kind::False => self.out.extend_from_slice(b"false"),
            Kind::Integer => match object.as_i64(self.py)? {
                Some(value) => push_integer(&mut self.out, value),
                // A subclass may print itself in its own way; int() takes its value.
                None => {
                    let class = self.py.import("builtins")?.get(self.py, "int")?;
                    let digits = class.call(self.py, &[object])?.to_text(self.py)?;
                    self.out.extend_from_slice(digits.utf8(self.py)?);
                }
            },
            _ => self.float(object.as_f64(self.py)?)?,
        }
        Ok(())
    }

    fn float(&mut self, value: f64) -> Result<()> {
        if !push_float(&mut self.out, value) {
            let repr = self.py.float(value)?.repr(self.py)?;
            self.out.extend_from_slice(repr.utf8(self.py)?);
        }
        Ok(())
    }

    fn container(&mut self, object: &Object, kind: Kind) -> Result<()> {
        if self.open.contains(&object.id()) {
            return Err(self
                .py
                .raise(Builtin::ValueError, "Circular reference detected"));
        }
        self.open.push(object.id());
        if !matches!(kind, Kind::Dict | Kind::List | Kind::Tuple)
            && let Some(fields) = self.as_dict(object)?
        {
            let fields_kind = fields.kind();
            if !matches!(fields_kind, Kind::Dict | Kind::DictSubclass) {
                let class = class_name(self.py, &fields)?;
                let message = format!("_asdict() must return a dict, not {class}");
                return Err(self.py.raise(Builtin::TypeError, &message));
            }
            self.object(&fields)?;
        } else {
            match kind {
                Kind::Dict | Kind::DictSubclass => self.object(object)?,
                Kind::List | Kind::Tuple | Kind::ListSubclass | Kind::TupleSubclass => {
                    self.array(object)?
                }
                _ => self.other(object)?,
            }
        }
        self.open.pop();
        Ok(())
    }

    /// What a named tuple, or anything with a method `_asdict`, says about itself.
    fn as_dict(&self, object: &Object) -> Result<Option<Object>> {
        let method = match object.get(self.py, "_asdict") {
            Ok(method) if method.is_callable() => method,
            Ok(_) => return Ok(None),
            Err(Raised) => return self.unless(Builtin::AttributeError),
        };
        match method.call(self.py, &[]) {
            Ok(fields) => Ok(Some(fields)),
            Err(Raised) => self.unless(Builtin::TypeError),
        }
    }

    fn unless(&self, kind: Builtin) -> Result<Option<Object>> {
        match self.py.take_exception() {
            Some(exception) if !exception.is(kind) => Err(self.py.restore(exception)),
            _ => Ok(None),
        }
    }

    fn array(&mut self, object: &Object) -> Result<()> {
        self.out.push(b'[');
        for (index, item) in object.to_vec(self.py)?.into_iter().enumerate() {
            if index > 0 {
                self.out.extend_from_slice(b", ");
            }
            self.value(&item, item.kind())?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, object: &Object) -> Result<()> {
        // A subclass may have items() of its own, but when it is empty nobody asks.
        if !object.is_true(self.py)? {
            self.out.extend_from_slice(b"{}");
            return Ok(());
        }
        self.out.push(b'{');
        let items = match object.kind() {
            Kind::Dict => object.dict_items(self.py)?,
            _ => object.items(self.py)?,
        };
        for (index, (key, value)) in items.into_iter().enumerate() {
            if index > 0 {
                self.out.extend_from_slice(b", ");
            }
            self.key(&key)?;
            self.out.extend_from_slice(b": ");
            self.value(&value, value.kind())?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn key(&mut self, key: &Object) -> Result<()> {
        let kind = key.kind();
        match kind {
            Kind::Text | Kind::Bytes => self.value(key, kind),
            Kind::None | Kind::True | Kind::False | Kind::Integer | Kind::Float => {
                self.out.push(b'"');
                self.scalar(key, kind)?;
                self.out.push(b'"');
                Ok(())
            }
            _ => {
                let class = class_name(self.py, key)?;
                let message = format!("keys must be str, int, float, bool or None, not {class}");
                Err(self.py.raise(Builtin::TypeError, &message))
            }
        }
    }

    fn other(&mut self, object: &Object) -> Result<()> {
        let py = self.py;
        // Who has a Decimal has imported the module.
        if let Some(decimal) = py.imported("decimal")
            && object.is_instance(py, &decimal.get(py, "Decimal")?)?
        {
            if object.call_method(py, "is_nan", &[])?.is_true(py)? {
                return self.float(f64::NAN);
            }
            self.out.extend_from_slice(object.to_text(py)?.utf8(py)?);
            return Ok(());
        }
        // Python 3.15 has a second mapping in its builtins.
        if let Some(frozen) = self.frozen_dict()?
            && object.is_instance(py, &frozen)?
        {
            return self.object(object);
        }
        let class = class_name(py, object)?;
        Err(py.raise(
            Builtin::TypeError,
            &format!("Object of type {class} is not JSON serializable"),
        ))
    }

    fn frozen_dict(&self) -> Result<Option<Object>> {
        match self.py.import("builtins")?.get(self.py, "frozendict") {
            Ok(class) => Ok(Some(class)),
            Err(Raised) => self.unless(Builtin::AttributeError),
        }
    }

    fn text(&mut self, object: &Object) -> Result<()> {
        match object.utf8(self.py) {
            Ok(text) => {
                if self.ensure_ascii {
                    escape_ascii(&mut self.out, text);
                } else {
                    escape(&mut self.out, text);
                }
                Ok(())
            }
            Err(Raised) if self.ensure_ascii => {
                self.py.take_exception();
                let text = object.utf8_with_surrogates(self.py)?;
                escape_ascii(&mut self.out, &text);
                Ok(())
            }
            Err(Raised) => Err(Raised),
        }
    }
}

fn class_name(py: Python, object: &Object) -> Result<String> {
    object.class(py)?.get(py, "__name__")?.to_string(py)
}

fn push_integer(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[first..]);
}

/// As Python's repr: the fewest digits that give the same number again, with an exponent below -4 and from 16 on.
/// False, and nothing written, if it takes so many digits that there may be two ways, between which Python has its own choice.
fn push_float(out: &mut Vec<u8>, value: f64) -> bool {
    /// Up to here every text is another number (C's DBL_DIG).
    const UNIQUE: usize = 15;
    if !value.is_finite() {
        let text: &[u8] = match value {
            f64::INFINITY => b"Infinity",
            f64::NEG_INFINITY => b"-Infinity",
            _ => b"NaN",
        };
        out.extend_from_slice(text);
        return true;
    }
    // Like -1.2345e-7: Rust's digits are the same, only their place is not.
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    if digits.bytes().filter(u8::is_ascii_digit).count() > UNIQUE {
        return false;
    }
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        out.extend_from_slice(format!("{digits}e{sign}{:02}", exponent.abs()).as_bytes());
        return true;
    }
    let digits = match digits.strip_prefix('-') {
        Some(digits) => {
            out.push(b'-');
            digits
        }
        None => digits,
    };
    let digits = digits.bytes().filter(|byte| *byte != b'.');
    let before = usize::try_from(exponent + 1).unwrap_or_default();
    if before == 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(
            b'0',
            exponent.unsigned_abs() as usize - 1,
        ));
    }
    let start = out.len();
    for digit in digits {
        if before > 0 && out.len() == start + before {
            out.push(b'.');
        }
        out.push(digit);
    }
    if before > 0 && out.len() <= start + before {
        out.resize(start + before, b'0');
        out.extend_from_slice(b".0");
    }
    true
}

fn short_escape(byte: u8) -> Option<u8> {
    Some(match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => return None,
    })
}

fn push_escape(out: &mut Vec<u8>, unit: u16) {
    match u8::try_from(unit).ok().and_then(short_escape) {
        Some(letter) => out.extend([b'\\', letter]),
        None => out.extend_from_slice(format!("\\u{unit:04x}").as_bytes()),
    }
}

fn escape(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut rest = text;
    while let Some(special) = first_special(rest, false) {
        out.extend_from_slice(&rest[..special]);
        push_escape(out, u16::from(rest[special]));
        rest = &rest[special + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// `text` is UTF-8, possibly with surrogates encoded like characters.
fn escape_ascii(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut rest = text;
    while let Some(special) = first_special(rest, true) {
        out.extend_from_slice(&rest[..special]);
        rest = &rest[special..];
        let (code, length) = code_point(rest);
        rest = &rest[length..];
        if code > 0xffff {
            let above = code - 0x10000;
            push_escape(out, 0xd800 | (above >> 10) as u16);
            push_escape(out, 0xdc00 | (above & 0x3ff) as u16);
        } else {
            push_escape(out, code as u16);
        }
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// The first code point of valid (surrogates allowed) UTF-8 and its length.
fn code_point(text: &[u8]) -> (u32, usize) {
    let first = u32::from(text[0]);
    let (start, length) = match first {
        0..0x80 => (first, 1),
        0x80..0xe0 => (first & 0x1f, 2),
        0xe0..0xf0 => (first & 0x0f, 3),
        _ => (first & 0x07, 4),
    };
    let length = length.min(text.len());
    let code = text[1..length]
        .iter()
        .fold(start, |code, &byte| code << 6 | u32::from(byte & 0x3f));
    (code, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(text: &str) -> (String, String) {
        let (mut plain, mut ascii) = (Vec::new(), Vec::new());
        escape(&mut plain, text.as_bytes());
        escape_ascii(&mut ascii, text.as_bytes());
        (
            String::from_utf8(plain).unwrap(),
            String::from_utf8(ascii).unwrap(),
        )
    }

    #[test]
    fn characters_are_escaped_as_simplejson_does() {
        for (text, plain, ascii) in [
            ("", r#""""#, r#""""#),
            ("a/b", r#""a/b""#, r#""a/b""#),
            (
                "\"\\\u{8}\u{c}\n\r\t",
                r#""\"\\\b\f\n\r\t""#,
                r#""\"\\\b\f\n\r\t""#,
            ),
            ("\0\u{1f}", r#""\u0000\u001f""#, r#""\u0000\u001f""#),
            ("\u{7f}", "\"\u{7f}\"", r#""\u007f""#),
            ("£\u{2028}", "\"£\u{2028}\"", r#""\u00a3\u2028""#),
            ("x😀y", "\"x😀y\"", r#""x\ud83d\ude00y""#),
        ] {
            assert_eq!(both(text), (plain.to_owned(), ascii.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn integers_are_written_in_full() {
        for value in [0, 7, -1, 10, 1234567890, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            push_integer(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }

    #[test]
    fn floats_are_written_as_python_writes_them() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-2.5, "-2.5"),
            (0.1, "0.1"),
            (0.25, "0.25"),
            (100.0, "100.0"),
            (123456.789, "123456.789"),
            (0.0001, "0.0001"),
            (0.00012345, "0.00012345"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (123456789012345.0, "123456789012345.0"),
            (1e16, "1e+16"),
            (1.5e22, "1.5e+22"),
            (1e100, "1e+100"),
            (5e-324, "5e-324"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            let mut out = b"[".to_vec();
            assert!(push_float(&mut out, value));
            assert_eq!(String::from_utf8(out).unwrap(), format!("[{expected}"));
        }
        // Halfway between 3546674961224.1562 and …1563.
        let between = 28373399689793.25 / 8.0;
        assert!(!push_float(&mut Vec::new(), between));
    }

    #[test]
    fn a_lone_surrogate_is_escaped() {
        let mut out = Vec::new();
        escape_ascii(&mut out, &[b'a', 0xed, 0xa0, 0x80]);
        assert_eq!(out, br#""a\ud800""#);
    }
}
