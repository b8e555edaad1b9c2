//! The catalogue of sources as a text that people wrote: versions in it are replaced, everything else stays, comments too.

use std::path::{Path, PathBuf};

use crate::inputs::{Artifact, Origin};
use crate::lock::{ResolveError, parse_catalogue};

/// The text, which is always one that can be read.
pub struct Catalogue {
    path: PathBuf,
    lines: Vec<String>,
}

/// A catalogue that is written in another way than the one that is understood here.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot write the new version of {name}", path.display())]
pub struct CatalogueError {
    path: PathBuf,
    name: String,
}

impl CatalogueError {
    /// What the user can do.
    pub fn hint(&self) -> &'static str {
        "write its versions as a list of blocks, as the program's own recipes/sources.yaml has them"
    }
}

impl Catalogue {
    /// Reads a text.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ResolveError> {
        parse_catalogue(path, text)?;
        Ok(Self {
            path: path.to_owned(),
            lines: text.lines().map(str::to_owned).collect(),
        })
    }

    /// The text.
    pub fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line, "\n"]).collect()
    }

    /// The versions of a source, best first.
    pub fn artifacts(&self, name: &str) -> Option<Vec<Artifact>> {
        parse_catalogue(&self.path, &self.text()).ok()?.remove(name)
    }

    /// Puts another version in a source's place counted from 0.
    pub fn replace(
        &mut self,
        name: &str,
        place: usize,
        artifact: &Artifact,
    ) -> Result<(), CatalogueError> {
        let (start, end) = self.block(name, place)?;
        self.lines.splice(start..end, written(artifact));
        self.check(name, place, artifact)
    }

    /// Makes the version in a place the wanted one.
    pub fn move_first(&mut self, name: &str, place: usize) -> Result<(), CatalogueError> {
        let (start, end) = self.block(name, place)?;
        let (first, _) = self.block(name, 0)?;
        let block: Vec<String> = self.lines.drain(start..end).collect();
        self.lines.splice(first..first, block);
        Ok(())
    }

    /// The lines of the version in a place, without comments behind it.
    fn block(&self, name: &str, place: usize) -> Result<(usize, usize), CatalogueError> {
        let failed = || CatalogueError {
            path: self.path.clone(),
            name: name.to_owned(),
        };
        let head = self
            .lines
            .iter()
            .position(|line| line.trim_end() == format!("{name}:"))
            .ok_or_else(failed)?;
        let mut starts = Vec::new();
        let mut end = head + 1;
        for (number, line) in self.lines.iter().enumerate().skip(head + 1) {
            if line.starts_with("  - ") {
                starts.push(number);
            } else if !line.starts_with("    ") {
                break;
            }
            end = number + 1;
        }
        let start = *starts.get(place).ok_or_else(failed)?;
        Ok((start, starts.get(place + 1).copied().unwrap_or(end)))
    }

    /// Whether the text says what it should.
    fn check(&self, name: &str, place: usize, artifact: &Artifact) -> Result<(), CatalogueError> {
        match self
            .artifacts(name)
            .and_then(|artifacts| artifacts.get(place).cloned())
        {
            Some(written) if written == *artifact => Ok(()),
            _ => Err(CatalogueError {
                path: self.path.clone(),
                name: name.to_owned(),
            }),
        }
    }
}

fn written(artifact: &Artifact) -> Vec<String> {
    let mut lines = vec![
        format!("  - version: \"{}\"", artifact.version),
        format!("    sha256: {}", artifact.sha256),
    ];
    lines.extend(artifact.size.map(|size| format!("    size: {size}")));
    lines.extend(
        artifact
            .subdir
            .as_ref()
            .map(|subdir| format!("    subdir: {subdir}")),
    );
    lines.push("    origins:".to_owned());
    lines.extend(
        artifact
            .origins
            .iter()
            .map(|origin| format!("      - {}", written_origin(origin))),
    );
    lines
}

fn written_origin(origin: &Origin) -> String {
    match origin {
        Origin::Url(url) => format!("url: {url}"),
        Origin::Oci { reference, arch } => {
            format!("oci: {{reference: \"{reference}\", arch: {arch}}}")
        }
        Origin::Wheel {
            name,
            version,
            filename,
        } => {
            format!("wheel: {{name: {name}, version: \"{version}\", filename: {filename}}}")
        }
        Origin::Crate { name, version } => {
            format!("crate: {{name: {name}, version: \"{version}\"}}")
        }
        Origin::DebianSource {
            package,
            version,
            suite,
            file,
        } => format!(
            "debian-source: {{package: {package}, version: \"{version}\", suite: {suite}, file: \"{file}\"}}"
        ),
        Origin::DebianPackage {
            package,
            version,
            source,
            suite,
            arch,
        } => format!(
            "debian-package: {{package: {package}, version: \"{version}\", source: {source}, suite: {suite}, arch: {arch}}}"
        ),
        Origin::File(path) => format!("file: \"{}\"", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_own_catalogue_is_written_as_it_is_read() {
        let path = Path::new("recipes/sources.yaml");
        let text =
            fs_err::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
        let mut catalogue = Catalogue::parse(path, &text).unwrap();
        for (name, artifacts) in parse_catalogue(path, &text).unwrap() {
            for (place, artifact) in artifacts.iter().enumerate() {
                catalogue.replace(&name, place, artifact).unwrap();
            }
        }
        assert_eq!(catalogue.text(), text);
        // One version replaced and made the first: two blocks change places, and nothing else moves.
        let mut other = catalogue.artifacts("openssl").unwrap()[1].clone();
        other.version = "3.5.99".to_owned();
        catalogue.replace("openssl", 1, &other).unwrap();
        catalogue.move_first("openssl", 1).unwrap();
        assert_eq!(catalogue.artifacts("openssl").unwrap()[0], other);
        let comments = |text: &str| text.lines().filter(|line| line.contains('#')).count();
        assert_eq!(comments(&catalogue.text()), comments(&text));
        assert_eq!(catalogue.text().lines().count(), text.lines().count());
    }
}
