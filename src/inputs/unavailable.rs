//! The one error for everything that could not be fetched: each artifact, each origin tried, and why it failed.

use std::fmt;

use super::StoreError;
use super::origins::Reason;

const INSTALL: &str = "apt-get install ";

/// Inputs are missing.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No origin had them.
    #[error("cannot fetch {}", names(&_0.inputs))]
    Unavailable(#[source] Box<Tried>),
    /// An input without artifacts.
    #[error("the input {0} names no artifact")]
    Empty(String),
    /// The store failed, not an origin.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was tried; displays as one line per origin.
#[derive(Debug)]
pub struct Tried {
    /// What is missing.
    pub inputs: Vec<Unavailable>,
}

/// One missing input.
#[derive(Debug)]
pub struct Unavailable {
    /// Its name.
    pub name: String,
    /// The version that was asked for.
    pub version: String,
    /// Whether the network was off limits.
    pub offline: bool,
    /// Each place that was asked, in order.
    pub attempts: Vec<Attempt>,
}

/// One place that was asked in vain.
#[derive(Debug)]
pub struct Attempt {
    /// The version that the place was asked for.
    pub version: String,
    /// The place, as people know it.
    pub place: String,
    /// Why it did not work.
    pub reason: Reason,
}

impl FetchError {
    pub(super) fn unavailable(inputs: Vec<Unavailable>) -> Self {
        Self::Unavailable(Box::new(Tried { inputs }))
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unavailable(tried) => Some(tried.hint()),
            Self::Store(error) => error.hint(),
            Self::Empty(_) => None,
        }
    }
}

impl Tried {
    fn hint(&self) -> String {
        let attempts = || self.inputs.iter().flat_map(|input| &input.attempts);
        let mut advice: Vec<String> = attempts()
            .filter_map(|attempt| attempt.reason.hint())
            .collect();
        advice.sort();
        advice.dedup();
        let mut advice = one_install(advice);
        if let Some(changed) = self
            .inputs
            .iter()
            .find(|input| input.attempts.iter().any(|a| a.reason.is_mismatch()))
        {
            advice.insert(
                0,
                format!(
                    "somebody serves other bytes of {} than the lock pins: inspect them; `imgbuild update` pins what there is today, `imgbuild lock` what you write into sources.yaml",
                    changed.name
                ),
            );
        }
        if attempts().any(|attempt| attempt.reason.is_gone()) {
            let update = "archives drop what was replaced: `imgbuild update` pins the newest, for compilers sources.yaml does";
            advice.push(update.to_owned());
        }
        if self.inputs.iter().any(|input| input.offline) {
            advice.push(
                "go online, or put the files into a folder and name it with --mirror DIR"
                    .to_owned(),
            );
        } else if advice.is_empty() {
            advice.push(
                "check the network and the proxy, or put the files into a folder and name it with --mirror DIR"
                    .to_owned(),
            );
        }
        advice.join("; ")
    }
}

impl std::error::Error for Tried {}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut first = true;
        for input in &self.inputs {
            if input.attempts.is_empty() {
                line(f, &mut first)?;
                let place = if input.offline {
                    "offline, and not in the store"
                } else {
                    "no origins"
                };
                write!(f, "{} {}: {place}", input.name, input.version)?;
            }
            for attempt in &input.attempts {
                line(f, &mut first)?;
                if self.inputs.len() > 1 {
                    write!(f, "{}: ", input.name)?;
                }
                if attempt.version != input.version {
                    write!(f, "{} as a fallback, ", attempt.version)?;
                }
                write!(f, "{}: {}", attempt.place, attempt.reason)?;
            }
        }
        Ok(())
    }
}

/// Several `apt-get install` as one.
fn one_install(advice: Vec<String>) -> Vec<String> {
    let (installs, mut others): (Vec<String>, Vec<String>) = advice
        .into_iter()
        .partition(|line| line.starts_with(INSTALL));
    let packages: Vec<&str> = installs
        .iter()
        .filter_map(|line| line.strip_prefix(INSTALL))
        .collect();
    if !packages.is_empty() {
        others.insert(0, format!("{INSTALL}{}", packages.join(" ")));
    }
    others
}

fn line(f: &mut fmt::Formatter, first: &mut bool) -> fmt::Result {
    if std::mem::take(first) {
        Ok(())
    } else {
        f.write_str("\n")
    }
}

fn names(inputs: &[Unavailable]) -> String {
    let shown: Vec<String> = inputs
        .iter()
        .take(3)
        .map(|input| format!("{} {}", input.name, input.version))
        .collect();
    match inputs.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
