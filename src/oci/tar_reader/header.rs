//! One header block, with the extensions in front of it taken in.

use std::collections::BTreeMap;

use super::fault::TarFault;
use super::pax::Pax;

/// Sizes from here on do not fit into the twelve octal digits of a header.
const OCTAL_SIZE_END: u64 = 1 << 33;

/// The fields that matter.
pub(super) struct Header {
    /// The type byte as it stands there: 0 and `0` differ.
    pub kind: u8,
    pub name: Vec<u8>,
    pub link: Vec<u8>,
    pub size: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: i64,
    pub device: (u32, u32),
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

impl Header {
    pub fn parse(block: &[u8; 512]) -> Result<Self, TarFault> {
        let header = tar::Header::from_byte_slice(block);
        let sum: u64 = block[..148]
            .iter()
            .chain(&[b' '; 8])
            .chain(&block[156..])
            .map(|b| u64::from(*b))
            .sum();
        if number("checksum", &block[148..156]).ok() != Some(sum.into()) {
            return Err(TarFault::Checksum);
        }
        let kind = block[156];
        // Where POSIX has the front of the name, GNU has times; Python reads a name there whatever the header is.
        let is_plain = matches!(kind, 0 | b'0'..=b'7');
        if is_plain && header.as_ustar().is_none() && block[345..500].iter().any(|b| *b != 0) {
            return Err(TarFault::Prefix);
        }
        let device = match kind {
            b'3' | b'4' => (
                in_range("devmajor", &block[329..337])?,
                in_range("devminor", &block[337..345])?,
            ),
            _ => (0, 0),
        };
        Ok(Self {
            kind,
            name: header.path_bytes().into_owned(),
            link: header.link_name_bytes().unwrap_or_default().into_owned(),
            size: in_range("size", &block[124..136])?,
            mode: in_range("mode", &block[100..108])?,
            uid: in_range("uid", &block[108..116])?,
            gid: in_range("gid", &block[116..124])?,
            mtime: in_range("mtime", &block[136..148])?,
            device,
            xattrs: BTreeMap::new(),
        })
    }

    /// PAX records win over the header's fields.
    pub fn with(mut self, pax: Pax) -> Result<Self, TarFault> {
        if let Some(size) = pax.size {
            if size != self.size && size < OCTAL_SIZE_END {
                return Err(TarFault::PaxSize {
                    pax: size,
                    header: self.size,
                });
            }
            self.size = size;
        }
        if let Some(path) = pax.path {
            self.name = path;
        }
        if let Some(link) = pax.linkpath {
            self.link = link;
        }
        self.uid = pax.uid.unwrap_or(self.uid);
        self.gid = pax.gid.unwrap_or(self.gid);
        self.mtime = pax.mtime.unwrap_or(self.mtime);
        self.xattrs = pax.xattrs;
        Ok(self)
    }
}

fn in_range<T: TryFrom<i128>>(field: &'static str, bytes: &[u8]) -> Result<T, TarFault> {
    number(field, bytes)?
        .try_into()
        .map_err(|_| TarFault::Number(field))
}

/// Octal text that ends with a blank or NUL, or the base-256 numbers of GNU. An empty field is 0.
fn number(field: &'static str, bytes: &[u8]) -> Result<i128, TarFault> {
    if bytes[0] & 0x80 != 0 {
        // Two's complement of the whole field, the first bit only marks it.
        let negative = bytes[0] & 0x40 != 0;
        let first = if negative {
            i128::from(bytes[0] as i8)
        } else {
            i128::from(bytes[0] & 0x3f)
        };
        return Ok(bytes[1..]
            .iter()
            .fold(first, |n, b| n << 8 | i128::from(*b)));
    }
    let text = bytes.trim_ascii_start();
    let end = text
        .iter()
        .position(|b| matches!(b, b' ' | 0))
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if rest.iter().any(|b| !matches!(b, b' ' | 0)) {
        return Err(TarFault::Number(field));
    }
    digits.iter().try_fold(0, |n, digit| match digit {
        b'0'..=b'7' => Ok(n << 3 | i128::from(digit - b'0')),
        _ => Err(TarFault::Number(field)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_tars_write_them() {
        for (bytes, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"644     ", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"77777777", Some(0o7777_7777)),
            (b"\x80\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Some(8_589_934_592)),
            (b"0000648\0", None),
            (b"-000644\0", None),
            (b"12\x0034\0\0\0", None),
            (b"0x12\0\0\0\0", None),
        ] {
            assert_eq!(
                number("x", bytes).ok(),
                expected,
                "{}",
                bytes.escape_ascii()
            );
        }
        assert!(in_range::<u64>("size", &[0xff; 12]).is_err());
        assert!(in_range::<u32>("uid", b"\x80\0\0\x01\0\0\0\0").is_err());
    }
}
