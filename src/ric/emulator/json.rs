//! JSON of the emulator's own APIs. Events and results are the function's business and pass through unread.

/// A value. Objects keep their order; of equal keys the last one counts.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean(bool),
    /// Any number.
    Number(f64),
    /// A text.
    Text(String),
    /// `[…]`
    Array(Vec<Value>),
    /// `{…}`
    Object(Vec<(String, Value)>),
}

impl Value {
    /// Reads a document. None: not JSON, or nested deeper than anything these APIs know.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parser = Parser { text, at: 0 };
        let value = parser.value(0)?;
        parser.skip_space();
        (parser.at == text.len()).then_some(value)
    }

    /// A member of an object.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let Self::Object(members) = self else {
            return None;
        };
        let found = members.iter().rev().find(|(name, _)| name == key);
        found.map(|(_, value)| value)
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items, if it is an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The number, if it is a whole one that is not negative.
    pub fn as_integer(&self) -> Option<u64> {
        match self {
            Self::Number(number) if *number >= 0.0 && *number < 9e15 && number.fract() == 0.0 => {
                Some(*number as u64)
            }
            _ => None,
        }
    }
}

/// A text as JSON, with its quotes.
pub fn quote(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\0'..=' ' if character < ' ' => json.push_str(&format!("\\u{:04x}", character as u32)),
            _ => json.push(character),
        }
    }
    json.push('"');
    json
}

const DEEPEST: usize = 64;

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Takes this byte after white space, if it comes.
    fn take(&mut self, byte: u8) -> Option<()> {
        self.skip_space();
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        self.skip_space();
        match self.peek()? {
            _ if depth > DEEPEST => None,
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(Value::Text),
            b't' => self.word("true", Value::Boolean(true)),
            b'f' => self.word("false", Value::Boolean(false)),
            b'n' => self.word("null", Value::Null),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Option<Value> {
        self.text[self.at..].starts_with(word).then(|| {
            self.at += word.len();
            value
        })
    }

    fn number(&mut self) -> Option<Value> {
        let rest = &self.text[self.at..];
        let end = rest
            .find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'))
            .unwrap_or(rest.len());
        let (digits, number) = (rest.as_bytes(), &rest[..end]);
        let first = usize::from(digits.first() == Some(&b'-'));
        let is_plain = match digits.get(first)? {
            b'0' => !digits.get(first + 1).is_some_and(u8::is_ascii_digit),
            byte => byte.is_ascii_digit(),
        };
        self.at += end;
        let ends_well = number.ends_with(|c: char| c.is_ascii_digit());
        let has_bare_point = number.contains(".e") || number.contains(".E");
        (is_plain && ends_well && !has_bare_point)
            .then(|| number.parse().ok().map(Value::Number))
            .flatten()
    }

    fn string(&mut self) -> Option<String> {
        self.take(b'"')?;
        let mut content = String::new();
        loop {
            let rest = &self.text[self.at..];
            let special = rest.find(|c: char| matches!(c, '"' | '\\') || c < ' ')?;
            content.push_str(&rest[..special]);
            self.at += special + 1;
            match rest.as_bytes()[special] {
                b'"' => return Some(content),
                b'\\' => content.push(self.escape()?),
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += 1;
        Some(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let mut code = self.hex()?;
                if code & 0xfc00 == 0xd800 && self.text[self.at..].starts_with("\\u") {
                    self.at += 2;
                    let low = self.hex()?;
                    if low & 0xfc00 != 0xdc00 {
                        return None;
                    }
                    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                }
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return None,
        })
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        let valid = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        valid.then(|| u32::from_str_radix(digits, 16).ok())?
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        self.take(b'[')?;
        let mut items = Vec::new();
        if self.take(b']').is_some() {
            return Some(Value::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.take(b']').is_some() {
                return Some(Value::Array(items));
            }
            self.take(b',')?;
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.take(b'{')?;
        let mut members = Vec::new();
        if self.take(b'}').is_some() {
            return Some(Value::Object(members));
        }
        loop {
            self.skip_space();
            let key = self.string()?;
            self.take(b':')?;
            members.push((key, self.value(depth + 1)?));
            if self.take(b'}').is_some() {
                return Some(Value::Object(members));
            }
            self.take(b',')?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read() {
        let text =
            r#" {"a": [1, -2.5e1, true, null, {}], "b": "x\n\u00e9\ud83d\ude00\/", "a": []} "#;
        let value = Value::parse(text).unwrap();
        assert_eq!(value.get("b").and_then(Value::as_text), Some("x\né😀/"));
        assert_eq!(value.get("a"), Some(&Value::Array(vec![])));
        let numbers = Value::parse("[0, 25, 2.5, -1, 1e3]").unwrap();
        let integers: Vec<_> = numbers
            .as_array()
            .unwrap()
            .iter()
            .map(Value::as_integer)
            .collect();
        assert_eq!(integers, [Some(0), Some(25), None, None, Some(1000)]);
    }

    #[test]
    fn nonsense_is_none() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\"}",
            "{\"a\":1,}",
            "tru",
            "01",
            "1.",
            "-",
            "1.e2",
            "\"",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\ud800\\u0041\"",
            "[1] 2",
            "nan",
            "\"\\u+123\"",
            "é",
            &deep,
        ] {
            assert_eq!(Value::parse(text), None, "{text:.20}");
        }
    }

    #[test]
    fn quoted_text_reads_back() {
        for text in ["", "a\"b\\c", "\0\u{1f}\n\r\t\u{7f}é😀"] {
            assert_eq!(
                Value::parse(&quote(text)),
                Some(Value::Text(text.to_owned()))
            );
        }
    }
}
