//! The values of a hash of Berkeley DB, without Berkeley DB: every page is looked at, so the hash itself does not matter.
//! Pages and items are laid out as Berkeley DB's `dbinc/db_page.h` says, in the byte order of the machine that wrote them.

use std::cell::Cell;

const MAGIC: u32 = 0x0006_1561;
const HASH_PAGES: [u8; 2] = [2, 13];
const OVERFLOW_PAGE: u8 = 7;
/// An item that lies on the page.
const ON_PAGE: u8 = 1;
/// An item that lies on overflow pages.
const OFF_PAGE: u8 = 3;
/// Bytes of a page before its items' offsets; on an overflow page, before its data.
const HEADER: usize = 26;

/// The values, in the order of the pages; `None` for what is no such hash.
pub fn values(file: &[u8]) -> Option<Vec<Vec<u8>>> {
    let little = match u32::from_le_bytes(file.get(12..16)?.try_into().ok()?) {
        MAGIC => true,
        magic if magic.swap_bytes() == MAGIC => false,
        _ => return None,
    };
    let mut hash = Hash {
        file,
        little,
        page: 0,
        budget: Cell::new(0),
    };
    hash.page = hash.word(file, 20)?;
    if !hash.page.is_power_of_two() || !(512..=65536).contains(&hash.page) {
        return None;
    }
    hash.budget.set(2 * (file.len() / hash.page));
    let mut values = Vec::new();
    for number in 1..file.len() / hash.page {
        let page = hash.page(number)?;
        if HASH_PAGES.contains(&page[25]) {
            hash.items(page, &mut values)?;
        }
    }
    Some(values)
}

struct Hash<'a> {
    file: &'a [u8],
    little: bool,
    page: usize,
    /// How many pages may still be looked at: a file that wants more leads in circles.
    budget: Cell<usize>,
}

impl<'a> Hash<'a> {
    fn page(&self, number: usize) -> Option<&'a [u8]> {
        self.budget.set(self.budget.get().checked_sub(1)?);
        let from = number.checked_mul(self.page)?;
        self.file.get(from..from.checked_add(self.page)?)
    }

    /// Keys and values take turns; items fill a page from its end.
    fn items(&self, page: &[u8], values: &mut Vec<Vec<u8>>) -> Option<()> {
        let offset = |item: usize| self.half(page, HEADER + 2 * item);
        for value in (1..self.half(page, 20)?).step_by(2) {
            let (from, end) = (offset(value)?, offset(value - 1)?);
            let item = page.get(from..end)?;
            match *item.first()? {
                ON_PAGE => values.push(item[1..].to_vec()),
                OFF_PAGE => values.push(self.overflow(self.word(item, 4)?, self.word(item, 8)?)?),
                _ => return None,
            }
        }
        Some(())
    }

    fn overflow(&self, mut number: usize, length: usize) -> Option<Vec<u8>> {
        if length > self.file.len() {
            return None;
        }
        let mut value = Vec::with_capacity(length);
        while value.len() < length {
            let page = self.page(number)?;
            let there = page.get(HEADER..HEADER + self.half(page, 22)?)?;
            if page[25] != OVERFLOW_PAGE || there.is_empty() {
                return None;
            }
            value.extend_from_slice(there);
            number = self.word(page, 16)?;
        }
        (value.len() == length).then_some(value)
    }

    fn half(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let bytes: [u8; 2] = bytes.get(at..at + 2)?.try_into().ok()?;
        let number = if self.little {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        };
        Some(number.into())
    }

    fn word(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let bytes: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        let number = if self.little {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        };
        usize::try_from(number).ok()
    }
}
