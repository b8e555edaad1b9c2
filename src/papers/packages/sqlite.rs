//! One column of one table of an SQLite database, without SQLite: a table is a B-tree of pages, and rpm's has rows of a
//! number and a blob. Source: <https://www.sqlite.org/fileformat2.html>, sections 1.3, 1.6, 2.1.

use std::cell::Cell;

/// The values of a column, in the order of the rows; `None` for what is no such database.
pub fn column(file: &[u8], table: &str, column: usize) -> Option<Vec<Vec<u8>>> {
    let database = Database::open(file)?;
    let mut root = None;
    // The schema: type, name, tbl_name, rootpage, sql.
    database.rows(1, &mut |row| {
        if value(&row, 1).is_some_and(|(_, name)| name == table.as_bytes()) {
            root = value(&row, 3).map(|(_, bytes)| number(bytes));
        }
    })?;
    let mut values = Vec::new();
    database.rows(root?, &mut |row| {
        values.extend(value(&row, column).map(|(_, bytes)| bytes.to_vec()));
    })?;
    Some(values)
}

struct Database<'a> {
    file: &'a [u8],
    page: usize,
    /// A page without the bytes that extensions reserve at its end.
    usable: usize,
    /// How many pages may still be looked at: each belongs to one tree, so a file that wants more leads in circles.
    budget: Cell<usize>,
}

impl<'a> Database<'a> {
    fn open(file: &'a [u8]) -> Option<Self> {
        let header = file.get(..100)?;
        let page = match u16::from_be_bytes([header[16], header[17]]) {
            1 => 65536,
            size => usize::from(size),
        };
        let right =
            header.starts_with(b"SQLite format 3\0") && page.is_power_of_two() && page >= 512;
        let usable = page.checked_sub(usize::from(header[20]))?;
        let budget = Cell::new(2 * (file.len() / page.max(1)));
        (right && usable >= 480).then_some(Self {
            file,
            page,
            usable,
            budget,
        })
    }

    fn page(&self, number: u64) -> Option<&'a [u8]> {
        self.budget.set(self.budget.get().checked_sub(1)?);
        let from = usize::try_from(number.checked_sub(1)?)
            .ok()?
            .checked_mul(self.page)?;
        self.file.get(from..from.checked_add(self.page)?)
    }

    /// Calls `each` with every record below a page.
    fn rows(&self, number: u64, each: &mut dyn FnMut(Vec<u8>)) -> Option<()> {
        let page = self.page(number)?;
        let header = if number == 1 { 100 } else { 0 };
        let is_leaf = match page.get(header)? {
            0x0d => true,
            0x05 => false,
            _ => return None,
        };
        let cells = usize::from(half(page, header + 3)?);
        let pointers = header + if is_leaf { 8 } else { 12 };
        for cell in 0..cells {
            let at = usize::from(half(page, pointers + 2 * cell)?);
            if is_leaf {
                each(self.record(page, at)?);
            } else {
                self.rows(word(page, at)?, each)?;
            }
        }
        if is_leaf {
            return Some(());
        }
        self.rows(word(page, header + 8)?, each)
    }

    /// A cell's record, what lies on overflow pages included.
    fn record(&self, page: &[u8], mut at: usize) -> Option<Vec<u8>> {
        let length = usize::try_from(varint(page, &mut at)?).ok()?;
        varint(page, &mut at)?;
        if length > self.file.len() {
            return None;
        }
        let most = self.usable - 35;
        let least = (self.usable - 12) * 32 / 255 - 23;
        let here = match length.checked_sub(least) {
            _ if length <= most => length,
            Some(rest) if least + rest % (self.usable - 4) <= most => {
                least + rest % (self.usable - 4)
            }
            _ => least,
        };
        let mut record = page.get(at..at.checked_add(here)?)?.to_vec();
        let mut next = if here < length {
            word(page, at + here)?
        } else {
            0
        };
        while record.len() < length {
            let page = self.page(next)?;
            let rest = (length - record.len()).min(self.usable - 4);
            record.extend(page.get(4..4 + rest)?);
            next = word(page, 0)?;
        }
        Some(record)
    }
}

/// A value of a record: its serial type and its bytes.
fn value(record: &[u8], column: usize) -> Option<(u64, &[u8])> {
    let mut at = 0;
    let header = usize::try_from(varint(record, &mut at)?).ok()?;
    let mut from = header;
    for number in 0..=column {
        if at >= header {
            return None;
        }
        let kind = varint(record, &mut at)?;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            kind => usize::try_from((kind - 12) / 2).ok()?,
        };
        let end = from.checked_add(length)?;
        if number == column {
            return Some((kind, record.get(from..end)?));
        }
        from = end;
    }
    None
}

/// A whole number that is not negative.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn half(page: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(page.get(at..at + 2)?.try_into().ok()?))
}

fn word(page: &[u8], at: usize) -> Option<u64> {
    Some(u32::from_be_bytes(page.get(at..at + 4)?.try_into().ok()?).into())
}

/// Seven bits a byte, the ninth byte with eight.
fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0u64;
    for count in 0..9 {
        let byte = *bytes.get(*at)?;
        *at += 1;
        if count == 8 {
            return Some(value << 8 | u64::from(byte));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
