//! rpm's package database: SQLite in Amazon Linux 2023, Berkeley DB in Amazon Linux 2. A row, whatever holds it, is an
//! rpm header: `il` entries of 16 bytes (tag, type, offset, count) and `dl` bytes of data, all numbers big-endian.

use oci::Tree;

use super::super::component::{Component, Kind, purl};
use super::super::licence::Licence;
use super::{OsRelease, berkeley, database, path, sqlite};

/// Where distributions keep it.
const FOLDERS: [&str; 2] = ["var/lib/rpm", "usr/lib/sysimage/rpm"];

/// What is installed; `None` without such a database, an error in words for one that cannot be read.
pub fn packages(root: &Tree, os: &OsRelease) -> Option<Result<Vec<Component>, String>> {
    FOLDERS.iter().find_map(|folder| {
        let file = |name: &str| database(root, &path(&format!("{folder}/{name}")));
        let rows = if let Some(bytes) = file("rpmdb.sqlite") {
            if file("rpmdb.sqlite-wal").is_some_and(|log| !log.is_empty()) {
                return Some(Err(
                    "rpm's database has changes in a write-ahead log".to_owned()
                ));
            }
            sqlite::column(&bytes, "Packages", 1).ok_or("rpm's database is no SQLite database")
        } else if let Some(bytes) = file("Packages") {
            berkeley::values(&bytes).ok_or("rpm's database is no hash of Berkeley DB")
        } else {
            file("Packages.db")?;
            Err("rpm's database is of the kind ndb")
        };
        Some(rows.map_err(str::to_owned).and_then(|rows| {
            let headers = rows.iter().filter_map(|row| Header::parse(row));
            let found: Vec<Component> = headers.filter_map(|header| header.component(os)).collect();
            if found.is_empty() {
                return Err("rpm's database lists none".to_owned());
            }
            Ok(found)
        }))
    })
}

/// One package's header.
struct Header<'a> {
    index: &'a [u8],
    data: &'a [u8],
}

#[derive(Clone, Copy)]
enum Tag {
    Name = 1000,
    Version = 1001,
    Release = 1002,
    Epoch = 1003,
    Vendor = 1011,
    License = 1014,
    Arch = 1022,
    SourceRpm = 1044,
}

const INT32: u32 = 4;
const STRING: u32 = 6;

impl<'a> Header<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let number =
            |at: usize| Some(usize::try_from(big_endian(bytes, at)?).unwrap_or(usize::MAX));
        let index = number(0)?.checked_mul(16)?.checked_add(8)?;
        let end = index.checked_add(number(4)?)?;
        Some(Self {
            index: bytes.get(8..index)?,
            data: bytes.get(index..end)?,
        })
    }

    /// The type and the data from a tag's offset on.
    fn entry(&self, tag: Tag) -> Option<(u32, &'a [u8])> {
        let entry = self
            .index
            .chunks_exact(16)
            .find(|entry| big_endian(entry, 0) == Some(tag as u32))?;
        let offset = usize::try_from(big_endian(entry, 8)?).ok()?;
        Some((big_endian(entry, 4)?, self.data.get(offset..)?))
    }

    fn text(&self, tag: Tag) -> Option<String> {
        let (kind, data) = self.entry(tag)?;
        let end = data.iter().position(|byte| *byte == 0)?;
        (kind == STRING).then(|| String::from_utf8_lossy(&data[..end]).into_owned())
    }

    fn number(&self, tag: Tag) -> Option<u32> {
        let (kind, data) = self.entry(tag)?;
        if kind == INT32 {
            big_endian(data, 0)
        } else {
            None
        }
    }

    /// `None` for the keys of signers, which rpm keeps as if they were packages.
    fn component(&self, os: &OsRelease) -> Option<Component> {
        let name = self.text(Tag::Name).filter(|name| name != "gpg-pubkey")?;
        let version = format!("{}-{}", self.text(Tag::Version)?, self.text(Tag::Release)?);
        let arch = self.text(Tag::Arch).unwrap_or_else(|| "noarch".to_owned());
        let epoch = self.number(Tag::Epoch).map(|epoch| epoch.to_string());
        let (distro, source) = (os.distro(), self.text(Tag::SourceRpm));
        let mut qualifiers = vec![("arch", arch.as_str()), ("distro", &distro)];
        if let Some(epoch) = &epoch {
            qualifiers.push(("epoch", epoch));
        }
        if let Some(source) = &source {
            qualifiers.push(("upstream", source));
        }
        let purl = purl("rpm", Some(os.id()), &name, &version, &qualifiers);
        let full = match &epoch {
            Some(epoch) => format!("{epoch}:{version}"),
            None => version,
        };
        Some(Component {
            supplier: Some(self.text(Tag::Vendor).unwrap_or_else(|| os.supplier())),
            purl,
            licence: self
                .text(Tag::License)
                .and_then(|text| Licence::declared(&text)),
            ..Component::new(Kind::Package, name, full)
        })
    }
}

fn big_endian(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}
