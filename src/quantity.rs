//! Amounts as people write them: comes in a text, goes out bytes or a time.

use std::time::Duration;

/// `500MB`, `16GiB`, `16G` (which is 16GiB), `4096`: bytes.
pub fn bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 14] = [
        ("", 1),
        ("B", 1),
        ("K", 1 << 10),
        ("KiB", 1 << 10),
        ("kB", 1000),
        ("KB", 1000),
        ("M", 1 << 20),
        ("MiB", 1 << 20),
        ("MB", 1_000_000),
        ("G", 1 << 30),
        ("GiB", 1 << 30),
        ("GB", 1_000_000_000),
        ("T", 1 << 40),
        ("TB", 1_000_000_000_000),
    ];
    amount(text, &UNITS).ok_or_else(|| "expected a size, as in 500MB or 16GiB".to_owned())
}

/// `90s`, `30m`, `2h`, `7d`, `4w`.
pub fn time(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 5] = [
        ("s", 1),
        ("m", 60),
        ("h", 3600),
        ("d", 24 * 3600),
        ("w", 7 * 24 * 3600),
    ];
    amount(text, &UNITS)
        .map(Duration::from_secs)
        .ok_or_else(|| "expected a time, as in 90s, 30m, 2h or 7d".to_owned())
}

fn amount(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        assert_eq!(bytes("10GB"), Ok(10_000_000_000));
        assert_eq!(bytes("16G"), bytes("16GiB"));
        assert_eq!(bytes("7"), Ok(7));
        assert_eq!(time("2h"), Ok(Duration::from_secs(7200)));
        for wrong in ["", "G", "-1", "1.5G", "10 GB", "10X", "99999999999T"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
            assert!(time(wrong).is_err(), "{wrong}");
        }
        assert!(time("10").is_err(), "of what?");
    }
}
