//! When to try again: pauses that double, jitter, and what the server asks for, within limits.

mod clock;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use jiff::fmt::rfc2822;

pub use clock::Clock;

use super::http::{HttpError, HttpOptions, Request};

/// No transfer is tried more often than this, even if each attempt brings a few bytes.
const MOST_ATTEMPTS: u32 = 100;

/// Counts the attempts at one transfer.
pub(super) struct Attempts<'o> {
    options: &'o HttpOptions,
    in_a_row: u32,
    total: u32,
    /// When something came last.
    since: Duration,
}

impl<'o> Attempts<'o> {
    pub(super) fn new(options: &'o HttpOptions) -> Self {
        Self {
            options,
            in_a_row: 0,
            total: 0,
            since: options.clock.now(),
        }
    }

    /// After a failure: sleeps and returns true if another attempt is due. One that made progress starts the count anew.
    pub(super) fn again(&mut self, error: &HttpError, progressed: bool) -> bool {
        if !error.is_transient() {
            return false;
        }
        let clock = &self.options.clock;
        if progressed {
            (self.in_a_row, self.since) = (0, clock.now());
        }
        self.in_a_row += 1;
        self.total += 1;
        if self.in_a_row >= self.options.attempts || self.total >= MOST_ATTEMPTS {
            return false;
        }
        let pause = self.pause(error);
        if clock.now().saturating_sub(self.since) + pause > self.options.patience {
            return false;
        }
        clock.sleep(pause);
        true
    }

    fn pause(&self, error: &HttpError) -> Duration {
        if let HttpError::Status {
            retry_after: Some(asked),
            ..
        } = error
        {
            return (*asked).min(self.options.longest_pause);
        }
        let doubled = self
            .options
            .pause
            .saturating_mul(1 << (self.in_a_row - 1).min(10));
        // Between half and all of it, so that many clients do not come back together.
        doubled
            .min(self.options.longest_pause)
            .mul_f64(0.5 + random() / 2.0)
    }
}

/// Sends a request, and again only if it may be repeated.
pub(super) fn once_or_again<T>(
    options: &HttpOptions,
    request: &Request,
    mut send: impl FnMut() -> Result<T, HttpError>,
) -> Result<T, HttpError> {
    match request.is_repeatable() {
        true => retrying(options, send),
        false => send(),
    }
}

/// Repeats what is safe to repeat.
pub(super) fn retrying<T>(
    options: &HttpOptions,
    mut request: impl FnMut() -> Result<T, HttpError>,
) -> Result<T, HttpError> {
    let mut attempts = Attempts::new(options);
    loop {
        match request() {
            Err(error) if attempts.again(&error, false) => {}
            result => return result,
        }
    }
}

/// Of `Retry-After`: seconds, or an HTTP date against the server's own `Date`.
pub(super) fn parse_retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = rfc2822::parse(value).ok()?.timestamp();
    let now = rfc2822::parse(date?).ok()?.timestamp();
    Some(Duration::try_from(then - now).unwrap_or_default())
}

/// From 0 to 1; the standard library seeds its hashers from the system.
fn random() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    random as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_in_both_forms() {
        let date = Some("Sun, 22 Nov 2026 12:00:00 GMT");
        let table = [
            ("2", Some(2)),
            (" 0 ", Some(0)),
            ("Sun, 22 Nov 2026 12:00:30 GMT", Some(30)),
            ("Sun, 22 Nov 2026 11:00:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ];
        for (value, seconds) in table {
            assert_eq!(
                parse_retry_after(value, date),
                seconds.map(Duration::from_secs),
                "{value:?}"
            );
        }
        assert_eq!(
            parse_retry_after("Sun, 22 Nov 2026 12:00:30 GMT", None),
            None
        );
    }
}
