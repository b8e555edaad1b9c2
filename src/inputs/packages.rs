//! Names of Debian packages → these and everything they need, each with its version, size and sha256.

use super::debian::Apt;
use super::origins::Reason;
use super::{Artifact, Input, Origin, Store};
use crate::arch::Arch;
use oci::Digest;

/// Resolves packages with apt, for locks.
pub struct DebianPackages<'s> {
    apt: Apt<'s>,
}

impl<'s> DebianPackages<'s> {
    /// apt's lists lie in the store.
    pub fn new(store: &'s Store) -> Self {
        Self {
            apt: Apt::new(store),
        }
    }

    /// The packages and what they need on an empty system, sorted by name.
    pub fn resolve(&self, suite: &str, arch: Arch, names: &[String]) -> Result<Vec<Input>, Reason> {
        let printed = self.apt.closure(suite, arch.name(), names)?;
        let mut inputs: Vec<Input> = printed
            .lines()
            .filter_map(|line| parse(line, suite))
            .collect();
        inputs.sort_by(|a, b| a.name.cmp(&b.name));
        match inputs.is_empty() {
            true => Err(Reason::NoFile("apt-get", names.join(" "))),
            false => Ok(inputs),
        }
    }
}

/// A source package's upstream tarball.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewestSource {
    /// The suite that has it.
    pub suite: String,
    /// The package's Debian version.
    pub version: String,
    /// `NAME_VERSION.orig.tar.xz`.
    pub file: String,
    /// Of the file, in bytes.
    pub size: u64,
    /// Of the file.
    pub sha256: Digest,
}

impl DebianPackages<'_> {
    /// The newest version that a suite has of a source package; `None` when it has none, or when there is no such suite.
    pub fn newest_source(
        &self,
        suite: &str,
        package: &str,
    ) -> Result<Option<NewestSource>, Reason> {
        match self.apt.newest_source(suite, package) {
            Ok(printed) => Ok(parse_source(&printed, suite)),
            Err(Reason::Tool(error)) if is_absent(error.tail()) => Ok(None),
            Err(reason) => Err(reason),
        }
    }
}

fn is_absent(said: &str) -> bool {
    let words = [
        "Unable to find a source package",
        "does not have a Release file",
        // apt's words for a suite without any sources.
        "You must put some 'deb-src' URIs",
    ];
    words.iter().any(|words| said.contains(words))
}

/// The version stands in the name of the `.dsc`, but for its epoch.
fn parse_source(printed: &str, suite: &str) -> Option<NewestSource> {
    let files: Vec<[&str; 3]> = printed
        .lines()
        .filter_map(|line| {
            let rest = line.strip_prefix('\'')?.split_once("' ")?.1;
            rest.split_whitespace().collect::<Vec<_>>().try_into().ok()
        })
        .collect();
    let [description, ..] = files.iter().find(|[file, ..]| file.ends_with(".dsc"))?;
    let version = description.strip_suffix(".dsc")?.split_once('_')?.1;
    let is_tarball = |file: &str| file.contains(".orig.tar.") && !file.ends_with(".asc");
    let [file, size, hash] = files.iter().find(|[file, ..]| is_tarball(file))?;
    Some(NewestSource {
        suite: suite.to_owned(),
        version: version.replace("%3a", ":"),
        file: (*file).to_owned(),
        size: size.parse().ok()?,
        sha256: format!("sha256:{}", hash.strip_prefix("SHA256:")?)
            .parse()
            .ok()?,
    })
}

/// `'ADDRESS' NAME_VERSION_ARCH.deb SIZE SHA256:HEX`, the version's colon written as `%3a`.
fn parse(line: &str, suite: &str) -> Option<Input> {
    let (address, rest) = line.strip_prefix('\'')?.split_once("' ")?;
    // `…/pool/main/g/glibc/libc6_2.36-9_amd64.deb`
    let source = address.rsplit('/').nth(1)?;
    let [file, size, hash] = rest.split_whitespace().collect::<Vec<_>>()[..] else {
        return None;
    };
    let [package, version, arch] = file
        .strip_suffix(".deb")?
        .splitn(3, '_')
        .collect::<Vec<_>>()[..]
    else {
        return None;
    };
    let version = version.replace("%3a", ":");
    let sha256 = format!("sha256:{}", hash.strip_prefix("SHA256:")?);
    let origin = Origin::DebianPackage {
        package: package.to_owned(),
        version: version.clone(),
        source: source.to_owned(),
        suite: suite.to_owned(),
        arch: arch.to_owned(),
    };
    let artifact = Artifact {
        version,
        sha256: sha256.parse().ok()?,
        size: size.parse().ok(),
        subdir: None,
        origins: vec![origin],
    };
    Some(Input {
        name: package.to_owned(),
        artifacts: vec![artifact],
    })
}

/// Any text as what apt prints.
#[cfg(any(test, fuzzing))]
pub fn fuzz_apt(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = super::debian::parse_mirrors(&text);
    for input in text.lines().filter_map(|line| parse(line, "bookworm")) {
        assert_eq!(input.artifacts.len(), 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_apt_names_a_package() {
        let hex = "ab".repeat(32);
        let line = format!(
            "'http://a.example/pool/main/s/shadow/p.deb' passwd_1%3a4.13-1_amd64.deb 977 SHA256:{hex}"
        );
        let input = parse(&line, "bookworm").unwrap();
        let artifact = &input.artifacts[0];
        assert_eq!(
            (
                input.name.as_str(),
                artifact.version.as_str(),
                artifact.size
            ),
            ("passwd", "1:4.13-1", Some(977))
        );
        let Origin::DebianPackage { source, .. } = &artifact.origins[0] else {
            panic!("{artifact:?}");
        };
        assert_eq!(source, "shadow");
        assert_eq!(parse("Reading package lists...", "bookworm"), None);
    }

    #[test]
    fn lines_of_apt_name_a_source() {
        let [a, b] = ["ab", "cd"].map(|hex| hex.repeat(32));
        let printed = format!(
            "'http://a.example/x.dsc' x_1.2-1~deb13u1.dsc 900 SHA256:{a}\n\
             'http://a.example/x.orig.tar.xz.asc' x_1.2.orig.tar.xz.asc 1 SHA256:{a}\n\
             'http://a.example/x.orig.tar.xz' x_1.2.orig.tar.xz 977 SHA256:{b}\n"
        );
        let found = parse_source(&printed, "trixie").unwrap();
        assert_eq!(
            (found.version.as_str(), found.file.as_str(), found.size),
            ("1.2-1~deb13u1", "x_1.2.orig.tar.xz", 977)
        );
        assert_eq!(found.sha256.hex(), b);
        assert_eq!(parse_source("", "trixie"), None);
    }
}
