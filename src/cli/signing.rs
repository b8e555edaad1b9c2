//! Signing with the user's own tool: `--sign 'cosign sign --yes {ref}'`. The command is split into words as a shell does
//! it, but no shell runs it: nothing is expanded, and the reference is one argument whatever it holds.

use std::str::FromStr;

use crate::process::Process;

/// What stands for the reference.
const REFERENCE: &str = "{ref}";

/// The command to sign with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer(Vec<String>);

/// A text that is no such command.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidSigner {
    /// Quotes that do not end.
    #[error("its quotes do not match")]
    Quotes,
    /// No place for the image.
    #[error("it has no {REFERENCE}, as in 'cosign sign --yes {REFERENCE}'")]
    NoReference,
}

impl FromStr for Signer {
    type Err = InvalidSigner;

    fn from_str(text: &str) -> Result<Self, InvalidSigner> {
        let words = shlex::split(text).ok_or(InvalidSigner::Quotes)?;
        match words.split_first() {
            Some((_, arguments)) if arguments.iter().any(|word| word.contains(REFERENCE)) => {
                Ok(Self(words))
            }
            _ => Err(InvalidSigner::NoReference),
        }
    }
}

/// A signature that was not made.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The tool ran and failed; it said why on stderr.
    #[error("{program} did not sign {reference} ({status})")]
    Failed {
        /// The tool.
        program: String,
        /// The image.
        reference: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// The tool could not be started.
    #[error(transparent)]
    Start(#[from] crate::process::ProcessError),
}

impl SignError {
    /// What the user can do.
    pub fn hint(&self) -> &'static str {
        "the image is in the registry under its digest, and no tag was moved: push again when the command works"
    }
}

impl Signer {
    /// Runs the command for `registry/repository@sha256:…`, with the user's environment and terminal. What it prints goes
    /// to stderr: stdout is for the result of the push.
    pub fn sign(&self, reference: &str) -> Result<(), SignError> {
        let words: Vec<String> = self
            .0
            .iter()
            .map(|word| word.replace(REFERENCE, reference))
            .collect();
        let status = Process::inheriting(&words[0])
            .args(&words[1..])
            .run_on_stderr()?;
        if status.success() {
            return Ok(());
        }
        Err(SignError::Failed {
            program: words[0].clone(),
            reference: reference.to_owned(),
            status,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_words_with_a_place_for_the_reference() {
        let words = |text: &str| text.parse::<Signer>().map(|signer| signer.0);
        assert_eq!(
            words("cosign sign --key 'my key' image={ref}").unwrap(),
            ["cosign", "sign", "--key", "my key", "image={ref}"]
        );
        assert_eq!(words("cosign sign"), Err(InvalidSigner::NoReference));
        assert_eq!(words("{ref}"), Err(InvalidSigner::NoReference));
        assert_eq!(words(""), Err(InvalidSigner::NoReference));
        assert_eq!(words("cosign 'sign {ref}"), Err(InvalidSigner::Quotes));
    }
}
