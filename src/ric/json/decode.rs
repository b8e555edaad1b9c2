//! JSON text to Python objects.

use super::first_special;
use crate::ffi::{Builtin, Object, Python, Raised, Result};

/// Decodes a document. Raises ValueError with simplejson's message, UnicodeDecodeError or RecursionError.
pub fn decode(py: Python, bytes: &[u8]) -> Result<Object> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return py.decode(bytes, c"strict");
    };
    let mut scanner = Scanner {
        py,
        text,
        bytes,
        at: 0,
        keys: vec![None; KEYS],
    };
    // The second form is a byte order mark that was decoded as Latin-1 and encoded again.
    for mark in ["\u{feff}", "\u{ef}\u{bb}\u{bf}"] {
        if text.starts_with(mark) {
            scanner.at = mark.len();
        }
    }
    scanner.skip_space();
    let value = py.uncollected(|| scanner.value())?;
    scanner.skip_space();
    if scanner.at < bytes.len() {
        return Err(scanner.extra_data());
    }
    Ok(value)
}

/// How many different keys are remembered, so that equal keys share one str.
const KEYS: usize = 128;
const LONGEST_KEY: usize = 64;

struct Scanner<'a> {
    py: Python,
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    keys: Vec<Option<(&'a [u8], Object)>>,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn place(&self, at: usize) -> (usize, usize, usize) {
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let lines = before.matches('\n').count() + 1;
        (
            lines,
            before[line_start..].chars().count() + 1,
            before.chars().count(),
        )
    }

    fn error(&self, message: &str, at: usize) -> Raised {
        let (line, column, index) = self.place(at);
        let message = format!("{message}: line {line} column {column} (char {index})");
        self.py.raise(Builtin::ValueError, &message)
    }

    fn error_at_character(&self, before: &str, at: usize, after: &str) -> Raised {
        let character = self.text[at..]
            .chars()
            .next()
            .map(String::from)
            .unwrap_or_default();
        let repr = self
            .py
            .text(&character)
            .and_then(|text| text.repr(self.py)?.to_string(self.py));
        repr.map_or_else(
            |raised| raised,
            |repr| self.error(&format!("{before}{repr}{after}"), at),
        )
    }

    fn extra_data(&self) -> Raised {
        let ((line, column, index), (end_line, end_column, end_index)) =
            (self.place(self.at), self.place(self.bytes.len()));
        let message = format!(
            "Extra data: line {line} column {column} - line {end_line} column {end_column} (char {index} - {end_index})"
        );
        self.py.raise(Builtin::ValueError, &message)
    }

    fn value(&mut self) -> Result<Object> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.string()
            }
            Some(b'{') => {
                self.at += 1;
                let py = self.py;
                py.deeper(c" while decoding a JSON object from a string", || {
                    self.object()
                })
            }
            Some(b'[') => {
                self.at += 1;
                let py = self.py;
                py.deeper(c" while decoding a JSON array from a string", || {
                    self.array()
                })
            }
            Some(b'n') if self.word("null") => Ok(self.py.none()),
            Some(b't') if self.word("true") => self.py.boolean(true),
            Some(b'f') if self.word("false") => self.py.boolean(false),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.error("Expecting value", self.at)),
        }
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.bytes[self.at..].starts_with(word.as_bytes());
        if found {
            self.at += word.len();
        }
        found
    }

    fn digits(&self, mut at: usize) -> usize {
        while self.bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    }

    fn number(&mut self) -> Result<Object> {
        let start = self.at;
        let first = start + usize::from(self.bytes[start] == b'-');
        let mut end = match self.bytes.get(first) {
            Some(b'0') => first + 1,
            Some(b'1'..=b'9') => self.digits(first),
            _ => return Err(self.error("Expecting value", start)),
        };
        let integer_end = end;
        if self.bytes.get(end) == Some(&b'.') && self.digits(end + 1) > end + 1 {
            end = self.digits(end + 1);
        }
        if let Some(b'e' | b'E') = self.bytes.get(end) {
            let sign = usize::from(matches!(self.bytes.get(end + 1), Some(b'+' | b'-')));
            let from = end + 1 + sign;
            if self.digits(from) > from {
                end = self.digits(from);
            }
        }
        self.at = end;
        let text = &self.text[start..end];
        if end > integer_end {
            let value = text
                .parse::<f64>()
                .map_err(|_| self.error("Expecting value", start))?;
            return self.py.float(value);
        }
        match text.parse::<i64>() {
            Ok(value) => self.py.integer(value),
            Err(_) => self.py.integer_from_digits(text),
        }
    }

    fn array(&mut self) -> Result<Object> {
        let mut items = Vec::new();
        self.skip_space();
        match self.peek() {
            Some(b']') => {
                self.at += 1;
                return self.py.list(items);
            }
            None => return Err(self.error("Expecting value or ']'", self.at)),
            Some(_) => {}
        }
        loop {
            items.push(self.value()?);
            self.skip_space();
            match self.peek() {
                Some(b']') => break,
                Some(b',') => {}
                _ => return Err(self.error("Expecting ',' delimiter or ']'", self.at)),
            }
            let comma = self.at;
            self.at += 1;
            self.skip_space();
            if self.peek() == Some(b']') {
                return Err(self.error("Illegal trailing comma before end of array", comma));
            }
        }
        self.at += 1;
        self.py.list(items)
    }

    fn object(&mut self) -> Result<Object> {
        let py = self.py;
        let dict = py.dict()?;
        self.skip_space();
        match self.peek() {
            Some(b'"') => {}
            Some(b'}') => {
                self.at += 1;
                return Ok(dict);
            }
            _ => {
                let message = "Expecting property name enclosed in double quotes or '}'";
                return Err(self.error(message, self.at));
            }
        }
        loop {
            self.at += 1;
            let key = self.key()?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.error("Expecting ':' delimiter", self.at));
            }
            self.at += 1;
            self.skip_space();
            let value = self.value()?;
            dict.set_key(py, &key, &value)?;
            self.skip_space();
            match self.peek() {
                Some(b'}') => break,
                Some(b',') => {}
                _ => return Err(self.error("Expecting ',' delimiter or '}'", self.at)),
            }
            let comma = self.at;
            self.at += 1;
            self.skip_space();
            match self.peek() {
                Some(b'"') => {}
                Some(b'}') => {
                    return Err(self.error("Illegal trailing comma before end of object", comma));
                }
                _ => {
                    return Err(
                        self.error("Expecting property name enclosed in double quotes", self.at)
                    );
                }
            }
        }
        self.at += 1;
        Ok(dict)
    }

    /// The end of a string without escapes that starts here: the index of the closing quote.
    fn plain_end(&self) -> Option<usize> {
        let rest = &self.bytes[self.at..];
        let special = first_special(rest, false)?;
        (rest[special] == b'"').then_some(self.at + special)
    }

    fn key(&mut self) -> Result<Object> {
        let Some(end) = self.plain_end().filter(|end| end - self.at <= LONGEST_KEY) else {
            return self.string();
        };
        let raw = &self.bytes[self.at..end];
        // FNV-1a: the keys are short, and a collision only costs the memory of a second str.
        let hash = raw.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let slot = hash as usize % KEYS;
        self.at = end + 1;
        if let Some((known, key)) = &self.keys[slot]
            && *known == raw
        {
            return Ok(key.clone());
        }
        let key = self.py.decode(raw, c"strict")?;
        self.keys[slot] = Some((raw, key.clone()));
        Ok(key)
    }

    /// A string; its opening quote is behind us.
    fn string(&mut self) -> Result<Object> {
        if let Some(end) = self.plain_end() {
            let raw = &self.bytes[self.at..end];
            self.at = end + 1;
            return self.py.decode(raw, c"strict");
        }
        let begin = self.at - 1;
        let mut content = Vec::new();
        loop {
            let rest = &self.bytes[self.at..];
            let Some(special) = first_special(rest, false) else {
                return Err(self.error("Unterminated string starting at", begin));
            };
            content.extend_from_slice(&rest[..special]);
            self.at += special + 1;
            match rest[special] {
                b'"' => return self.py.decode(&content, c"surrogatepass"),
                b'\\' => self.escape(begin, &mut content)?,
                _ => {
                    return Err(self.error_at_character(
                        "Invalid control character ",
                        self.at - 1,
                        " at",
                    ));
                }
            }
        }
    }

    fn escape(&mut self, begin: usize, content: &mut Vec<u8>) -> Result<()> {
        let Some(letter) = self.peek() else {
            return Err(self.error("Unterminated string starting at", begin));
        };
        let byte = match letter {
            b'"' | b'\\' | b'/' => letter,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let mut unit = u32::from(self.hex4(self.at + 1)?);
                self.at += 5;
                if unit & 0xfc00 == 0xd800 && self.bytes[self.at..].starts_with(b"\\u") {
                    let low = u32::from(self.hex4(self.at + 2)?);
                    if low & 0xfc00 == 0xdc00 {
                        unit = 0x10000 + (((unit - 0xd800) << 10) | (low - 0xdc00));
                        self.at += 6;
                    }
                }
                push_code_point(content, unit);
                return Ok(());
            }
            _ => return Err(self.error_at_character("Invalid \\X escape sequence ", self.at, "")),
        };
        content.push(byte);
        self.at += 1;
        Ok(())
    }

    fn hex4(&self, at: usize) -> Result<u16> {
        let digits = self
            .bytes
            .get(at..at + 4)
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        digits
            .and_then(|digits| u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())
            .ok_or_else(|| self.error("Invalid \\uXXXX escape sequence", at - 2))
    }
}

/// As UTF-8, where a lone surrogate is encoded like a character.
fn push_code_point(content: &mut Vec<u8>, code: u32) {
    if let Some(character) = char::from_u32(code) {
        content.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        content.extend([
            0xe0 | (code >> 12) as u8,
            0x80 | (code >> 6 & 0x3f) as u8,
            0x80 | (code & 0x3f) as u8,
        ]);
    }
}
