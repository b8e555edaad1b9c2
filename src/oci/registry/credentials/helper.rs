//! What credential helpers say. Their stdout holds secrets, and is never shown; of their stderr a line is, without what
//! looks like a secret.

use std::fmt;

use serde::Deserialize;

use super::Credentials;
use crate::registry::Secret;
use crate::registry::http::shortened;

/// What all helpers say when they have nothing.
const NOT_FOUND: &str = "credentials not found in native keychain";
/// What stands for a helper's identity tokens.
const TOKEN_USER: &str = "<token>";
/// A word of so many letters and digits may be a token.
const LONG: usize = 20;

/// How a helper ended.
pub struct HelperOutput {
    /// How it ended, if that was not well: as in `exit status: 1`.
    pub failure: Option<String>,
    /// Secret.
    pub stdout: Vec<u8>,
    /// May be shown, in part.
    pub stderr: Vec<u8>,
}

/// A helper that does not help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HelperFault {
    /// Not in PATH.
    Missing,
    /// A name that no helper has.
    Name,
    /// It could not start.
    Start(String),
    /// It did not end; the seconds it had.
    Slow(u64),
    /// It does not stop talking.
    TooMuch,
    /// It ended badly, and said why.
    Failed(String, String),
    /// What it said is no login.
    Nonsense,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// Only a name: not a path, not an option.
pub(super) fn is_program(program: &str) -> bool {
    program
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

pub(super) fn understand(output: HelperOutput) -> Result<Option<Credentials>, HelperFault> {
    let says = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(NOT_FOUND);
    match output.failure {
        Some(_) if says(&output.stdout) || says(&output.stderr) => return Ok(None),
        Some(status) => return Err(HelperFault::Failed(status, last_words(&output.stderr))),
        None => {}
    }
    let answer: Answer =
        serde_json::from_slice(&output.stdout).map_err(|_| HelperFault::Nonsense)?;
    let secret = Secret::new(answer.secret);
    Ok(match answer.username.as_str() {
        "" => None,
        TOKEN_USER => Some(Credentials::IdentityToken(secret)),
        _ => Some(Credentials::Password {
            username: answer.username,
            password: secret,
        }),
    })
}

fn last_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rfind(|line| !line.trim().is_empty());
    shortened(&without_tokens(line.unwrap_or_default().trim()))
}

/// Long runs of the letters that tokens are made of are left out, unless they are plain words.
fn without_tokens(line: &str) -> String {
    let of_token = |c: char| c.is_ascii_alphanumeric() || "+/=_-.~".contains(c);
    let (mut text, mut run) = (String::new(), String::new());
    for c in line.chars().map(Some).chain([None]) {
        match c {
            Some(c) if of_token(c) => run.push(c),
            other => {
                let is_word = run
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || "-_./".contains(c));
                if run.len() >= LONG && !is_word {
                    run = "…".to_owned();
                }
                text.push_str(&std::mem::take(&mut run));
                text.extend(other);
            }
        }
    }
    text
}

impl fmt::Display for HelperFault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is not installed"),
            Self::Name => f.write_str("that is not the name of a helper"),
            Self::Start(reason) => write!(f, "it cannot be run: {reason}"),
            Self::Slow(seconds) => write!(f, "it did not answer within {seconds} s"),
            Self::TooMuch => f.write_str("it answers too much"),
            Self::Failed(status, words) if words.is_empty() => write!(f, "it failed ({status})"),
            Self::Failed(status, words) => write!(f, "it failed ({status}): {words}"),
            Self::Nonsense => f.write_str("its answer is not a login"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_and_tokens_go() {
        let table = [
            ("no such profile: default", "no such profile: default"),
            ("token=AbCdEf0123456789AbCdEf0123 refused", "… refused"),
            ("bad \"eyJhbGciOi.eyJzdWIiOiI.c2lnbmF0dXJl\"", "bad \"…\""),
            (
                "/usr/local/bin/helper/somewhere: missing",
                "/usr/local/bin/helper/somewhere: missing",
            ),
        ];
        for (said, shown) in table {
            assert_eq!(last_words(format!("noise\n{said}\n\n").as_bytes()), shown);
        }
        assert_eq!(last_words(b"\xff\x1b[31m"), "\u{fffd}[31m");
    }
}
