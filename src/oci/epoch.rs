//! The one clock of an image: SOURCE_DATE_EPOCH, handed in as a number. Reads no clock and no environment.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use jiff::Timestamp;

/// Seconds since 1970-01-01T00:00:00Z: the time of everything that is made here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

/// Not a SOURCE_DATE_EPOCH.
#[derive(Debug, thiserror::Error)]
pub enum InvalidEpoch {
    /// Not a number.
    #[error("{text:?} is not a number of seconds since 1970")]
    NotANumber {
        /// As given.
        text: String,
        /// Why.
        source: ParseIntError,
    },
    /// After the year 9999, which RFC 3339 cannot write.
    #[error("{0} seconds since 1970 is after the year 9999")]
    TooLate(u64),
}

impl Epoch {
    /// What the files of an image of this time get: 2000-01-01 unless the image is older. So the same files are the same bytes
    /// in every image, which registries and Lambda keep once. Zip files can say no year before 1980.
    pub fn of_files(self) -> Self {
        self.min(Self(946_684_800))
    }

    /// Checks that the time can be written as RFC 3339.
    pub fn new(seconds: u64) -> Result<Self, InvalidEpoch> {
        match timestamp(seconds) {
            Some(_) => Ok(Self(seconds)),
            None => Err(InvalidEpoch::TooLate(seconds)),
        }
    }

    /// Seconds since 1970.
    pub fn seconds(self) -> u64 {
        self.0
    }

    /// As `2026-11-22T12:00:00Z`.
    pub fn rfc3339(self) -> String {
        timestamp(self.0).unwrap_or(Timestamp::MAX).to_string()
    }
}

fn timestamp(seconds: u64) -> Option<Timestamp> {
    Timestamp::from_second(seconds.try_into().ok()?).ok()
}

impl FromStr for Epoch {
    type Err = InvalidEpoch;

    fn from_str(text: &str) -> Result<Self, InvalidEpoch> {
        let seconds = text.parse().map_err(|source| InvalidEpoch::NotANumber {
            text: text.to_owned(),
            source,
        })?;
        Self::new(seconds)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_rfc3339() {
        assert_eq!(Epoch::default().rfc3339(), "1970-01-01T00:00:00Z");
        assert_eq!(
            "1700000000".parse::<Epoch>().unwrap().rfc3339(),
            "2023-11-14T22:13:20Z"
        );
    }

    #[test]
    fn files_have_one_time_in_all_images() {
        let files = |image: u64| Epoch(image).of_files().rfc3339();
        assert_eq!(files(1_700_000_000), "2000-01-01T00:00:00Z");
        assert_eq!(files(1), "1970-01-01T00:00:01Z");
    }

    #[test]
    fn only_seconds_up_to_the_year_9999() {
        for bad in [
            "",
            "-1",
            "1.5",
            "now",
            "253402300800",
            "18446744073709551615",
        ] {
            assert!(bad.parse::<Epoch>().is_err(), "{bad}");
        }
    }
}
