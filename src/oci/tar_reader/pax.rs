//! PAX extended headers: `length key=value\n` records. Values may hold any byte, line feeds too.

use std::collections::{BTreeMap, BTreeSet};

use super::fault::TarFault;

/// The records that matter.
#[derive(Default)]
pub(super) struct Pax {
    pub path: Option<Vec<u8>>,
    pub linkpath: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub mtime: Option<i64>,
    pub xattrs: BTreeMap<String, Vec<u8>>,
    keys: BTreeSet<Vec<u8>>,
}

impl Pax {
    pub fn parse(mut bytes: &[u8]) -> Result<Self, TarFault> {
        let mut pax = Self::default();
        while !bytes.is_empty() {
            let (key, value, rest) = record(bytes).ok_or(TarFault::Pax)?;
            pax.take(key, value)?;
            bytes = rest;
        }
        Ok(pax)
    }

    /// Whether nothing in it changes a member.
    pub fn is_comment_only(&self) -> bool {
        self.keys.iter().all(|key| key == b"comment")
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarFault> {
        if !self.keys.insert(key.to_owned()) {
            return Err(TarFault::PaxTwice(lossy(key)));
        }
        match key {
            b"path" | b"linkpath" if value.is_empty() || value.contains(&0) => {
                return Err(TarFault::Pax);
            }
            b"path" => self.path = Some(value.to_owned()),
            b"linkpath" => self.linkpath = Some(value.to_owned()),
            b"size" => self.size = Some(decimal("PAX size", value)?),
            b"uid" => self.uid = Some(decimal("PAX uid", value)?),
            b"gid" => self.gid = Some(decimal("PAX gid", value)?),
            b"mtime" => self.mtime = Some(seconds(value)?),
            _ if key.starts_with(b"GNU.sparse.") => return Err(TarFault::Sparse),
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.take_xattr(name, value.to_owned())?;
                } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                    let value = base64(value).ok_or_else(|| TarFault::Xattr(lossy(name)))?;
                    self.take_xattr(&percent_decoded(name)?, value)?;
                }
            }
        }
        Ok(())
    }

    fn take_xattr(&mut self, name: &[u8], value: Vec<u8>) -> Result<(), TarFault> {
        let refused = || TarFault::Xattr(lossy(name));
        let text = str::from_utf8(name).map_err(|_| refused())?;
        // An overlay's own attributes could make a directory opaque behind the reader's back.
        if text.is_empty() || text.contains(['\0', '=']) || text.starts_with("trusted.") {
            return Err(refused());
        }
        match self.xattrs.insert(text.to_owned(), value.clone()) {
            // bsdtar writes both forms.
            Some(other) if other != value => Err(refused()),
            _ => Ok(()),
        }
    }
}

fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = bytes.iter().take(20).position(|b| *b == b' ')?;
    let digits = &bytes[..blank];
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let len: usize = str::from_utf8(digits).ok()?.parse().ok()?;
    if len <= blank + 1 || len > bytes.len() {
        return None;
    }
    let (record, rest) = bytes.split_at(len);
    let record = record[blank + 1..].strip_suffix(b"\n")?;
    let equals = record.iter().position(|b| *b == b'=')?;
    (equals > 0).then(|| (&record[..equals], &record[equals + 1..], rest))
}

fn decimal<T: std::str::FromStr>(field: &'static str, value: &[u8]) -> Result<T, TarFault> {
    str::from_utf8(value)
        .ok()
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or(TarFault::Number(field))
}

/// Whole seconds; a fraction is cut off.
fn seconds(value: &[u8]) -> Result<i64, TarFault> {
    let whole = value.split(|b| *b == b'.').next().unwrap_or_default();
    str::from_utf8(whole)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(TarFault::Number("PAX mtime"))
}

fn lossy(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(100)].escape_ascii().to_string()
}

/// libarchive writes bytes outside of printable ASCII as `%XX`.
fn percent_decoded(name: &[u8]) -> Result<Vec<u8>, TarFault> {
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let hex = after.get(..2).and_then(|hex| str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        decoded.push(byte.ok_or_else(|| TarFault::Xattr(lossy(name)))?);
        rest = &after[2..];
    }
    Ok(decoded)
}

/// Standard alphabet, padding optional.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().rposition(|b| *b != b'=').map_or(0, |i| i + 1);
    let mut bytes = Vec::with_capacity(end * 3 / 4);
    let (mut bits, mut have) = (0u32, 0);
    for c in &text[..end] {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        have += 6;
        if have >= 8 {
            have -= 8;
            bytes.push((bits >> have) as u8);
        }
    }
    (have < 6 && text.len() - end <= 2).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records() {
        let pax = Pax::parse(
            b"9 path=a\n28 SCHILY.xattr.user.a=1\n2\n\n19 mtime=12.999999\n11 size=42\n",
        );
        let pax = pax.unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"a"[..]));
        assert_eq!(pax.size, Some(42));
        assert_eq!(pax.mtime, Some(12));
        assert_eq!(pax.xattrs["user.a"], b"1\n2\n");
    }

    #[test]
    fn malformed_records() {
        for bytes in [
            &b"x"[..],
            b"8 path=a\n",
            b"11 path=a\n",
            b"9 path=a ",
            b"+9 path=a\n",
            b"4 a\n",
            b"5 =a\n",
            b"0 path=a\n",
            b"99999999999999999999999 path=a\n",
            b"9 path=a\n\0\0\0",
            b"8 path=\n",
            b"11 path=a\0\n",
            b"11 size=-1\n",
            b"9 path=a\n9 path=b\n",
            b"24 GNU.sparse.major=1.0\n",
            b"35 SCHILY.xattr.trusted.overlay.o=y\n",
            b"31 LIBARCHIVE.xattr.user.a=****\n",
        ] {
            assert!(Pax::parse(bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn base64_as_libarchive_writes_it() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg", b"f"),
            ("Zg==", b"f"),
            ("Zm8=", b"fo"),
            ("Zm9v", b"foo"),
            ("+/8", b"\xfb\xff"),
        ] {
            assert_eq!(base64(text.as_bytes()).as_deref(), Some(bytes), "{text}");
        }
        for bad in ["Z", "Zg===", "Z=g", "Zg!"] {
            assert_eq!(base64(bad.as_bytes()), None, "{bad}");
        }
    }
}
