//! The head of a message: its first line and its headers.

use super::Malformed;

/// The first line and the headers of a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Request line or status line.
    pub start: String,
    headers: Vec<(String, String)>,
}

impl Head {
    /// Reads a head without the empty line that ends it.
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let mut lines = text
            .split(|&byte| byte == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let start = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
        if start.is_empty() {
            return Err(Malformed::Head);
        }
        let mut headers = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let colon = line
                .iter()
                .position(|&byte| byte == b':')
                .ok_or(Malformed::Head)?;
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.is_empty() || name.iter().any(u8::is_ascii_whitespace) {
                return Err(Malformed::Head);
            }
            headers.push((
                String::from_utf8_lossy(name).to_ascii_lowercase(),
                String::from_utf8_lossy(value).into_owned(),
            ));
        }
        Ok(Self { start, headers })
    }

    /// The first header of that name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Every header of that name (in lower case).
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.headers.iter().filter(move |(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The status code of a response.
    pub fn status(&self) -> Option<u16> {
        let mut words = self.start.split(' ');
        words
            .next()
            .filter(|version| version.starts_with("HTTP/1."))?;
        words
            .next()?
            .parse()
            .ok()
            .filter(|code| (100..1000).contains(code))
    }

    /// Method and target of a request.
    pub fn request(&self) -> Option<(&str, &str)> {
        let mut words = self.start.split(' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        (version.starts_with("HTTP/1.") && words.next().is_none()).then_some((method, target))
    }

    /// Whether the sender will close the connection after this message.
    pub fn closes(&self) -> bool {
        let says = |word: &str| {
            let header = self.header("connection").unwrap_or_default();
            header
                .split(',')
                .any(|option| option.trim().eq_ignore_ascii_case(word))
        };
        says("close") || (self.start.contains("HTTP/1.0") && !says("keep-alive"))
    }
}

/// Where the head ends, behind its empty line.
pub fn end(raw: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(newline) = raw[from..].iter().position(|&byte| byte == b'\n') {
        let after = from + newline + 1;
        match raw[after..] {
            [b'\n', ..] => return Some(after + 1),
            [b'\r', b'\n', ..] => return Some(after + 2),
            _ => from = after,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_case_and_the_first_wins() {
        let text = b"HTTP/1.1 202 Accepted\r\nX-One:  a b \r\nx-one: second\r\n";
        let head = Head::parse(text).unwrap();
        assert_eq!(head.header("x-one"), Some("a b"));
        assert_eq!(head.all("x-one").collect::<Vec<_>>(), ["a b", "second"]);
        assert_eq!(
            (head.header("x-two"), head.status(), head.request()),
            (None, Some(202), None)
        );
    }

    #[test]
    fn the_end_is_found_with_and_without_carriage_returns() {
        for (text, expected) in [
            ("a\r\n\r\nb", Some(5)),
            ("a\n\nb", Some(3)),
            ("a\r\n", None),
            ("a\nb\n", None),
        ] {
            assert_eq!(end(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn a_connection_closes_when_somebody_says_so() {
        for (text, expected) in [
            ("HTTP/1.1 200 OK\r\n", false),
            ("HTTP/1.1 200 OK\r\nConnection: a, Close\r\n", true),
            ("HTTP/1.0 200 OK\r\n", true),
            ("GET / HTTP/1.0\r\nconnection: keep-alive\r\n", false),
        ] {
            assert_eq!(
                Head::parse(text.as_bytes()).unwrap().closes(),
                expected,
                "{text:?}"
            );
        }
    }
}
