//! Where a copy goes, as people write it.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::registry::{InvalidReference, Reference, without_login};

/// A place that can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A folder, and the image's name in it.
    Layout(PathBuf, Option<String>),
    /// One file, and the image's name in it.
    Archive(PathBuf, Option<String>),
    /// A registry.
    Registry(Reference),
}

/// A text that names no place.
#[derive(Debug, thiserror::Error)]
pub enum InvalidDestination {
    /// No registry's name.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
    /// Nothing at all.
    #[error("the destination is empty")]
    Empty,
}

impl Destination {
    /// `oci:DIR[:NAME]`, `oci-archive:FILE[:NAME]` and `docker://REFERENCE` are what skopeo means by them. Without such a
    /// word, `HOST/REPOSITORY` is a registry's if HOST has a dot or a port or is `localhost`; `FILE.tar` is an archive;
    /// everything else is the folder of a layout.
    pub fn parse(text: &str) -> Result<Self, InvalidDestination> {
        if let Some(reference) = text.strip_prefix("docker://") {
            return Ok(Self::Registry(reference.parse()?));
        }
        if let Some(path) = text.strip_prefix("oci-archive:") {
            return local(path).map(|(path, name)| Self::Archive(path, name));
        }
        if let Some(path) = text.strip_prefix("oci:") {
            return local(path).map(|(path, name)| Self::Layout(path, name));
        }
        if without_login(text) != text && !Path::new(text).exists() {
            // No folder is called so: it is a registry with a login in front, which the reference refuses without showing it.
            return Ok(Self::Registry(text.parse()?));
        }
        let host = text.split_once('/').map(|(host, _)| host);
        let is_host = |host: &str| host.contains(['.', ':']) || host == "localhost";
        if !text.starts_with(['/', '.']) && host.is_some_and(is_host) && !Path::new(text).exists() {
            return Ok(Self::Registry(text.parse()?));
        }
        if let Some(file) = text.strip_suffix(".tar") {
            return Ok(Self::Archive(format!("{file}.tar").into(), None));
        }
        if let Some((file, name)) = text.split_once(".tar:") {
            return Ok(Self::Archive(
                format!("{file}.tar").into(),
                Some(name.to_owned()),
            ));
        }
        local(text).map(|(path, name)| Self::Layout(path, name))
    }
}

/// What stands behind the last colon is the name.
fn local(text: &str) -> Result<(PathBuf, Option<String>), InvalidDestination> {
    let (path, name) = match text.rsplit_once(':') {
        Some((path, name)) if !name.contains('/') => (path, Some(name.to_owned())),
        _ => (text, None),
    };
    if path.is_empty() {
        return Err(InvalidDestination::Empty);
    }
    Ok((path.into(), name.filter(|name| !name.is_empty())))
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Layout(path, name) | Self::Archive(path, name) => {
                write!(f, "{}", path.display())?;
                name.as_ref().map_or(Ok(()), |name| write!(f, ":{name}"))
            }
            Self::Registry(reference) => reference.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_neither_a_folder_nor_shown() {
        for text in ["user:canary@h.example:5000", "user:canary@localhost"] {
            let said = Destination::parse(text).unwrap_err().to_string();
            assert!(
                said.contains("do not belong") && !said.contains("canary"),
                "{said}"
            );
        }
    }

    #[test]
    fn what_destinations_mean() {
        let layout =
            |path: &str, name: Option<&str>| Destination::Layout(path.into(), name.map(Into::into));
        let archive = |path: &str, name: Option<&str>| {
            Destination::Archive(path.into(), name.map(Into::into))
        };
        let table = [
            ("dist/copy", layout("dist/copy", None)),
            ("copy:3.13", layout("copy", Some("3.13"))),
            ("./a.b/c:t", layout("./a.b/c", Some("t"))),
            ("/srv/x:y/z", layout("/srv/x:y/z", None)),
            ("oci:a.b/c:t", layout("a.b/c", Some("t"))),
            ("x.tar", archive("x.tar", None)),
            (
                "out/x.tar:python:3.13",
                archive("out/x.tar", Some("python:3.13")),
            ),
            ("oci-archive:x:t", archive("x", Some("t"))),
        ];
        for (text, expected) in table {
            assert_eq!(Destination::parse(text).unwrap(), expected, "{text}");
        }
        for text in [
            "registry.example/a:t",
            "localhost/a",
            "localhost:5000/a/b",
            "docker://debian:12",
        ] {
            let parsed = Destination::parse(text).unwrap();
            assert!(matches!(parsed, Destination::Registry(_)), "{text}");
        }
        for text in ["", ":t", "docker://", "registry.example/A"] {
            assert!(Destination::parse(text).is_err(), "{text}");
        }
    }
}
