//! The flags about what an archive from elsewhere may ask of this machine.

use clap::Args;

const LIMITS: &str = "Limits";

/// Bounds for reading base layers, root file systems, wheels, crates and packages.
#[derive(Clone, Debug, Args)]
pub struct Limits {
    /// Members of one archive
    #[arg(long, global = true, value_name = "N", default_value_t = defaults().entries, hide_default_value = true, help_heading = LIMITS)]
    pub max_entries: u64,
    /// What one archive may unpack to, as in 500MiB or 64GiB
    #[arg(long, global = true, value_name = "SIZE", value_parser = size, default_value_t = defaults().size, hide_default_value = true, help_heading = LIMITS)]
    pub max_unpacked: u64,
    /// How many times its own size a compressed archive may unpack to; 256 MiB are free
    #[arg(long, global = true, value_name = "N", default_value_t = defaults().ratio, hide_default_value = true, help_heading = LIMITS)]
    pub max_ratio: u64,
}

fn defaults() -> oci::Limits {
    oci::Limits::default()
}

impl From<&Limits> for oci::Limits {
    fn from(flags: &Limits) -> Self {
        Self {
            entries: flags.max_entries,
            size: flags.max_unpacked,
            ratio: flags.max_ratio,
            ..Self::default()
        }
    }
}

/// Bytes, or a number with KiB, MiB, GiB or TiB behind it.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &text[digits.len()..] {
        "" => Some(0),
        "KiB" => Some(10),
        "MiB" => Some(20),
        "GiB" => Some(30),
        "TiB" => Some(40),
        _ => None,
    };
    let bytes = shift.and_then(|shift| digits.parse::<u64>().ok()?.checked_mul(1 << shift));
    bytes.ok_or_else(|| "expected bytes, or as in 500MiB or 64GiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        for (text, bytes) in [("7", 7), ("1KiB", 1 << 10), ("64GiB", 64 << 30)] {
            assert_eq!(size(text), Ok(bytes));
        }
        for bad in ["", "GiB", "-1", "1GB", "1 GiB", "99999999999TiB", "1.5GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
