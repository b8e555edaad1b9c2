//! Request, invocation and extension identifiers: random UUIDs (RFC 9562, version 4).

use std::hash::{BuildHasher, Hasher, RandomState};

/// A fresh one.
pub fn fresh() -> String {
    // RandomState draws its keys from the system's random numbers.
    let random = || RandomState::new().build_hasher().finish();
    let (high, low) = (random(), random());
    let hex = format!(
        "{:016x}{:016x}",
        high & !0xf000 | 0x4000,
        low & !(0b11 << 62) | 0b10 << 62
    );
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

/// Whether a text has the form of a UUID.
pub fn is_valid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups
            .iter()
            .all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_and_differ() {
        let (one, two) = (fresh(), fresh());
        assert_ne!(one, two);
        assert!(is_valid(&one), "{one}");
        assert_eq!(&one[14..15], "4");
        assert!("89ab".contains(&one[19..20]));
    }

    #[test]
    fn other_texts_are_none() {
        for text in ["", "x", "12345678-1234-1234-1234-12345678901g", "----"] {
            assert!(!is_valid(text), "{text}");
        }
    }
}
