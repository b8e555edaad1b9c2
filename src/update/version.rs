//! Which of two versions is newer. Numbers count as numbers; `~` comes before everything, as Debian has it.

use std::cmp::Ordering;

/// Whether `version` is newer than `other`.
pub fn is_newer(version: &str, other: &str) -> bool {
    compare(version, other) == Ordering::Greater
}

/// Whether two versions differ in their last number only.
pub fn is_patch(old: &str, new: &str) -> bool {
    let series = |version: &str| {
        let numbers: Vec<String> = version.split('.').map(str::to_owned).collect();
        numbers[..numbers.len() - 1].to_vec()
    };
    series(old) == series(new)
}

fn compare(a: &str, b: &str) -> Ordering {
    // An epoch that only one has is Debian's 0.
    let (a, b) = match (a.contains(':'), b.contains(':')) {
        (true, false) => (a.to_owned(), format!("0:{b}")),
        (false, true) => (format!("0:{a}"), b.to_owned()),
        _ => (a.to_owned(), b.to_owned()),
    };
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let text = |bytes: &[u8]| {
            bytes
                .iter()
                .position(u8::is_ascii_digit)
                .unwrap_or(bytes.len())
        };
        let (x, y) = (text(a), text(b));
        let order = words(&a[..x], &b[..y]);
        (a, b) = (&a[x..], &b[y..]);
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .position(|c| !c.is_ascii_digit())
                .unwrap_or(bytes.len())
        };
        let (x, y) = (number(a), number(b));
        let value = |digits: &[u8]| -> (usize, Vec<u8>) {
            let start = digits.iter().take_while(|c| **c == b'0').count();
            (digits.len() - start, digits[start..].to_vec())
        };
        let order = order.then_with(|| value(&a[..x]).cmp(&value(&b[..y])));
        (a, b) = (&a[x..], &b[y..]);
        if order != Ordering::Equal || (a.is_empty() && b.is_empty()) {
            return order;
        }
    }
}

/// `~` first, then the end, then letters, then all else.
fn words(a: &[u8], b: &[u8]) -> Ordering {
    let rank = |c: Option<&u8>| match c {
        Some(b'~') => (0, 0),
        None => (1, 0),
        Some(c) if c.is_ascii_alphabetic() => (2, *c),
        Some(c) => (3, *c),
    };
    (0..a.len().max(b.len()))
        .map(|i| rank(a.get(i)).cmp(&rank(b.get(i))))
        .find(|order| *order != Ordering::Equal)
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_their_order() {
        let order = [
            "0.9",
            "3.5.7~rc1",
            "3.5.7",
            "3.5.7-1~deb13u1",
            "3.5.7-1~deb13u2",
            "3.5.7-1~deb13u10",
            "3.5.7-1",
            "3.5.7-1+deb13u1",
            "3.5.10",
            "1:0.1",
            "300.5.5+3.5.5",
        ];
        for (i, a) in order[..10].iter().enumerate() {
            for (j, b) in order[..10].iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} {b}");
            }
        }
        assert!(is_newer("300.5.6+3.5.6", "300.5.5+3.5.5"));
    }

    #[test]
    fn patch_releases() {
        assert!(
            is_patch("3.5.7", "3.5.10") && is_patch("6.4", "6.5") && is_patch("3.13.5", "3.13.16")
        );
        assert!(!is_patch("2.8.3", "2.9.0") && !is_patch("3.5.7", "3.5.7.1"));
    }
}
