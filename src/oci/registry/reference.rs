//! References: `registry/repository[:tag][@digest]`, as people write them.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

use crate::{Digest, ManifestDigest};

const DOCKER_HUB: &str = "docker.io";

/// Names an image in a registry.
///
/// ```
/// use oci::registry::Reference;
/// let reference: Reference = "localhost:5000/team/python:3.13".parse().unwrap();
/// assert_eq!(reference.repository(), "team/python");
/// assert_eq!("debian".parse::<Reference>().unwrap().to_string(), "docker.io/library/debian:latest");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<ManifestDigest>,
}

/// A text that is not a reference.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not an image reference: {reason}")]
pub struct InvalidReference {
    text: String,
    reason: &'static str,
}

impl Reference {
    /// Host and port, as in the reference.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository, with any `library/` spelled out.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if one was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was given.
    pub fn digest(&self) -> Option<&ManifestDigest> {
        self.digest.as_ref()
    }

    /// The same repository, pinned.
    pub fn with_digest(&self, digest: ManifestDigest) -> Self {
        Self {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// What to ask the registry for: the digest, else the tag, else `latest`.
    pub(super) fn target(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// Where the registry's API is.
    pub(super) fn api(&self, plain_http: bool) -> Option<Url> {
        let scheme = if plain_http { "http" } else { "https" };
        // Docker Hub's API lives on another host than its name says.
        let host = if self.registry == DOCKER_HUB {
            "registry-1.docker.io"
        } else {
            &self.registry
        };
        Url::parse(&format!("{scheme}://{host}/v2/")).ok()
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let invalid = |reason| InvalidReference {
            text: without_login(text).chars().take(300).collect(),
            reason,
        };
        if without_login(text) != text {
            return Err(invalid("a user and password do not belong in it"));
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let digest: Digest = digest
                    .parse()
                    .map_err(|_| invalid("the digest is not sha256:<64 hex digits>"))?;
                (name, Some(ManifestDigest(digest)))
            }
            None => (text, None),
        };
        // A colon after the last slash begins a tag; one before it, a port.
        let colon = name
            .rfind(':')
            .filter(|colon| !name[*colon..].contains('/'));
        let (name, tag) = match colon {
            Some(colon) => (&name[..colon], Some(&name[colon + 1..])),
            None => (name, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(invalid(
                "a tag is at most 128 letters, digits, `_`, `.` and `-`",
            ));
        }
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if is_host(first) => (first, rest.to_owned()),
            _ => (DOCKER_HUB, name.to_owned()),
        };
        let registry = canonical_host(registry);
        if !is_valid_host(registry) {
            return Err(invalid("the registry is not a host and port"));
        }
        let repository = match registry {
            DOCKER_HUB if !repository.contains('/') && !repository.is_empty() => {
                format!("library/{repository}")
            }
            _ => repository,
        };
        if !is_repository(&repository) {
            return Err(invalid(
                "a repository is lower-case letters and digits, separated by `/`, `.`, `_` and `-`",
            ));
        }
        Ok(Self {
            registry: registry.to_owned(),
            repository,
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        match (&self.tag, &self.digest) {
            (Some(tag), Some(digest)) => write!(f, ":{tag}@{digest}"),
            (Some(tag), None) => write!(f, ":{tag}"),
            (None, Some(digest)) => write!(f, "@{digest}"),
            (None, None) => f.write_str(":latest"),
        }
    }
}

/// Of a text that may have `user:password@` in front, what may be shown.
pub fn without_login(text: &str) -> String {
    let ends = text.match_indices('@').map(|(at, _)| &text[at + 1..]);
    let is_digest = |rest: &str| {
        let algorithms = ["sha256:", "sha512:", "md5:"];
        algorithms
            .iter()
            .any(|algorithm| rest.starts_with(algorithm))
    };
    let login = ends.rev().find(|rest| !is_digest(rest));
    login.map_or_else(|| text.to_owned(), |rest| format!("…@{rest}"))
}

/// Docker Hub has several names.
pub(super) fn canonical_host(host: &str) -> &str {
    match host {
        "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => DOCKER_HUB,
        other => other,
    }
}

/// The first component is a host if it could not be part of a repository's name.
fn is_host(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':'])
}

fn is_valid_host(host: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    host.chars().all(plain)
        && Url::parse(&format!("https://{host}/"))
            .is_ok_and(|url| url.has_host() && url.path() == "/")
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=128).contains(&tag.len())
        && tag.starts_with(word)
        && tag.chars().all(|c| word(c) || c == '.' || c == '-')
}

fn is_repository(name: &str) -> bool {
    (1..=255).contains(&name.len()) && name.split('/').all(is_component)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = component.split(word).filter(|between| !between.is_empty());
    component.starts_with(word)
        && component.ends_with(word)
        && separators
            .into_iter()
            .all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_references_mean() {
        let hex = "0".repeat(64);
        let table = [
            ("debian", "docker.io/library/debian:latest"),
            ("a/b", "docker.io/a/b:latest"),
            ("docker.io/library/a:1", "docker.io/library/a:1"),
            ("index.docker.io/a", "docker.io/library/a:latest"),
            ("localhost/a", "localhost/a:latest"),
            ("localhost:5000/a:t", "localhost:5000/a:t"),
            ("host:5000/a/b__c-d.e:tag", "host:5000/a/b__c-d.e:tag"),
            ("[::1]:5000/a", "[::1]:5000/a:latest"),
            (
                &format!("h.example/a:t@sha256:{hex}"),
                &format!("h.example/a:t@sha256:{hex}"),
            ),
            (
                &format!("h.example/a@sha256:{hex}"),
                &format!("h.example/a@sha256:{hex}"),
            ),
        ];
        for (text, shown) in table {
            assert_eq!(
                text.parse::<Reference>().unwrap().to_string(),
                shown,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_refused() {
        let long_repository = format!("h.example/{}", "a".repeat(256));
        let long_tag = format!("a:{}", "t".repeat(129));
        let table = [
            "",
            "A",
            "h.example/A",
            "h.example/",
            "a:",
            "a:-t",
            "a@md5:00",
            "a@sha256:../x",
            "a//b",
            "a/-b",
            "a/b-",
            "a/b___c",
            "a/../b",
            "user@h.example/a",
            "h.example:99999/a",
            "h.example:x/a",
            "https://h.example/a",
            "h.example/a?b",
            "a b",
            "h.example/%2e%2e/a",
            &long_repository,
            &long_tag,
        ];
        for text in table {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_login_in_a_reference_is_not_shown() {
        let hex = "0".repeat(64);
        for text in [
            "user:canary@h.example/a:1",
            "https://user:canary@h.example/a",
            "user:can/canary@h.example/a",
            "user:canary@canary@h.example/a",
            &format!("user:canary@h.example/a@sha256:{hex}"),
        ] {
            let error = text.parse::<Reference>().unwrap_err().to_string();
            assert!(error.contains("…@h.example/a"), "{error}");
            assert!(!error.contains("canary"), "{error}");
            assert!(
                error.ends_with("a user and password do not belong in it"),
                "{error}"
            );
        }
    }
}
