//! What a user types as IMAGE, told apart: a folder, a file, or a name in a registry. Reads nothing but what exists.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::Digest;
use crate::registry::{InvalidReference, Reference, without_login};

/// Where an image is. In this order, the first that fits:
///
/// | typed | means |
/// | --- | --- |
/// | `oci:PATH`, `oci-archive:PATH`, `docker-archive:PATH`, `docker://REFERENCE` | what skopeo means by it |
/// | a word without `/` that is a folder of built images | the layout in that folder |
/// | what exists on this machine, or starts with `/`, `./` or `../` | a path |
/// | `HOST/REPOSITORY`, where HOST has a dot or a port or is `localhost` | an image in a registry |
///
/// A path may end with `:NAME` or `@sha256:DIGEST`; it is the longest part in front of a `:` or `@` that exists. A
/// reference without a host is not taken for one of Docker Hub: a path with a slip of the pen looks just like that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// On this machine.
    Local {
        /// The folder or file.
        path: PathBuf,
        /// Which of its images.
        name: Option<Name>,
        /// What it must be.
        form: Form,
    },
    /// In a registry.
    Registry(Reference),
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A folder is a layout, a file is an archive.
    AsFound,
    /// A folder with an OCI layout.
    Layout,
    /// A tar of an OCI layout or of `docker save`, plain or gzip.
    Archive,
}

/// Names one of several images at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// As annotated in a layout, or in Docker's list of names.
    Tag(String),
    /// A manifest or index.
    Digest(Digest),
}

/// A text that names no image.
#[derive(Debug, thiserror::Error)]
pub enum InvalidLocation {
    /// Neither a path nor a reference with a host.
    #[error("there is no image {0:?}: no such file or folder, and no registry in front of it")]
    Nothing(String),
    /// A path that is not there.
    #[error("there is no file or folder {}", .0.display())]
    NoPath(PathBuf),
    /// Said to be a reference, and is none.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
}

impl InvalidLocation {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Nothing(_) => {
                "build it first, or write ./PATH for a layout or tarball, registry.example/repository:tag for a registry, docker.io/library/NAME for Docker Hub"
            }
            Self::NoPath(_) => "name an OCI layout, or a tarball of one or of `docker save`",
            Self::Reference(_) => "write registry.example/repository:tag or …@sha256:…",
        }
    }
}

impl Location {
    /// Understands `text`; `built` is the folder in which words are looked up.
    pub fn parse(text: &str, built: Option<&Path>) -> Result<Self, InvalidLocation> {
        if let Some(reference) = text.strip_prefix("docker://") {
            return Ok(Self::Registry(reference.parse()?));
        }
        for (prefix, form) in [
            ("oci:", Form::Layout),
            ("oci-archive:", Form::Archive),
            ("docker-archive:", Form::Archive),
        ] {
            if let Some(path) = text.strip_prefix(prefix) {
                return local(Path::new(""), path, form)
                    .unwrap_or_else(|| Err(InvalidLocation::NoPath(path.into())));
            }
        }
        let is_word = !text.contains('/') && !matches!(text, "" | "." | "..");
        if let Some(dir) = built.filter(|_| is_word)
            && let Some(found) = local(dir, text, Form::AsFound)
        {
            return found;
        }
        if let Some(found) = local(Path::new(""), text, Form::AsFound) {
            return found;
        }
        if text.starts_with(['/', '.']) && !is_word {
            return Err(InvalidLocation::NoPath(text.into()));
        }
        match text.split_once('/') {
            Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => {
                Ok(Self::Registry(text.parse()?))
            }
            _ => Err(InvalidLocation::Nothing(
                without_login(text).chars().take(300).collect(),
            )),
        }
    }
}

/// The longest part of `text` that is a path in `dir`, and the rest as a name; `None` if no part is.
fn local(dir: &Path, text: &str, form: Form) -> Option<Result<Location, InvalidLocation>> {
    let exists = |path: &str| !path.is_empty() && dir.join(path).exists();
    let mut ends: Vec<usize> = text.rmatch_indices([':', '@']).map(|(at, _)| at).collect();
    ends.insert(0, text.len());
    let end = ends.into_iter().find(|end| exists(&text[..*end]))?;
    let name = match text.get(end..end + 1) {
        None | Some("") => None,
        Some("@") => match text[end + 1..].parse() {
            Ok(digest) => Some(Name::Digest(digest)),
            Err(_) => return Some(Err(InvalidLocation::NoPath(dir.join(text)))),
        },
        Some(_) if end + 1 == text.len() => None,
        Some(_) => Some(Name::Tag(text[end + 1..].to_owned())),
    };
    let path = dir.join(&text[..end]);
    Some(Ok(Location::Local { path, name, form }))
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Registry(reference) => reference.fmt(f),
            Self::Local { path, name, .. } => {
                path.display().fmt(f)?;
                name.as_ref().map_or(Ok(()), |name| name.fmt(f))
            }
        }
    }
}

/// As it stands behind a path.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, ":{tag}"),
            Self::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        for folder in ["dist/python3.13", "odd:folder", "localhost/mirror"] {
            fs_err::create_dir_all(at.join(folder)).unwrap();
        }
        fs_err::write(at.join("image.tar"), b"").unwrap();
        let built = at.join("dist");
        let root = at.display();
        let digest = Digest::of(b"x");
        for (text, expected) in [
            ("python3.13", format!("{root}/dist/python3.13")),
            ("python3.13:jit", format!("{root}/dist/python3.13:jit")),
            (
                &format!("python3.13@{digest}"),
                format!("{root}/dist/python3.13@{digest}"),
            ),
            (&format!("{root}/image.tar"), format!("{root}/image.tar")),
            (
                &format!("oci-archive:{root}/image.tar:a"),
                format!("{root}/image.tar:a"),
            ),
            (
                &format!("{root}/image.tar:team/a:1"),
                format!("{root}/image.tar:team/a:1"),
            ),
            (&format!("{root}/odd:folder"), format!("{root}/odd:folder")),
            (
                &format!("oci:{root}/odd:folder:t"),
                format!("{root}/odd:folder:t"),
            ),
            (
                "localhost/mirror/none:1",
                "localhost/mirror/none:1".to_owned(),
            ),
            ("localhost:5000/a", "localhost:5000/a:latest".to_owned()),
            ("registry.example/a:1", "registry.example/a:1".to_owned()),
            (
                "docker://debian",
                "docker.io/library/debian:latest".to_owned(),
            ),
        ] {
            let found = Location::parse(text, Some(&built)).expect(text);
            assert_eq!(found.to_string(), expected, "{text}");
        }
        let Location::Local { form, .. } =
            Location::parse(&format!("oci:{root}/dist"), None).unwrap()
        else {
            panic!("a path");
        };
        assert_eq!(form, Form::Layout);
    }

    #[test]
    fn what_names_nothing() {
        let dir = tempfile::tempdir().unwrap();
        for (text, message) in [
            ("", "there is no image"),
            ("nothing", "there is no image"),
            ("debian:12", "there is no image"),
            ("dits/python3.13", "there is no image"),
            ("./nothing", "there is no file or folder ./nothing"),
            ("../nothing:1", "there is no file or folder"),
            ("/no/thing", "there is no file or folder"),
            ("oci:/no/thing:1", "there is no file or folder"),
            ("registry.example/UPPER", "is not an image reference"),
            ("docker://a:", "is not an image reference"),
        ] {
            let error = Location::parse(text, Some(dir.path())).unwrap_err();
            assert!(error.to_string().contains(message), "{text}: {error}");
        }
    }
}
