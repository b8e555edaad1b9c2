//! JSON between bytes and Python objects, with the rules and the messages of simplejson, which the official client uses.
//!
//! simplejson and not the standard library: NaN in an event is refused, named tuples become objects, bytes become text.

mod decode;
mod encode;

pub use decode::decode;
pub use encode::Encoder;

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The place of the first byte that a JSON string cannot hold as it is: a quote, a backslash, or below 0x20.
/// With `ascii`, also what is outside 0x20–0x7e.
fn first_special(bytes: &[u8], ascii: bool) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // Below a true hit no byte is ever marked, so the lowest mark is exact.
        let zero_in = |word: u64| word.wrapping_sub(LOW) & !word & HIGH;
        let mut marks = zero_in(word ^ (LOW * 0x22))
            | zero_in(word ^ (LOW * 0x5c))
            | word.wrapping_sub(LOW * 0x20) & !word & HIGH;
        if ascii {
            marks |= word & HIGH | zero_in(word ^ (LOW * 0x7f));
        }
        if marks != 0 {
            return Some(index * 8 + marks.trailing_zeros() as usize / 8);
        }
    }
    let is_special = |&byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20) || ascii && byte > 0x7e;
    rest.iter()
        .position(is_special)
        .map(|index| words.len() * 8 + index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_bytes_find_the_same() {
        for ascii in [false, true] {
            for byte in 0..=255u8 {
                let special = byte < 0x20 || byte == b'"' || byte == b'\\' || ascii && byte > 0x7e;
                for at in 0..20 {
                    for neighbour in [b' ', b'!', b'~', 0x21, 0x5b, 0x5d] {
                        let mut bytes = [neighbour; 20];
                        bytes[at] = byte;
                        assert_eq!(
                            first_special(&bytes, ascii),
                            special.then_some(at),
                            "{byte:#x} at {at}"
                        );
                    }
                }
            }
        }
    }
}
