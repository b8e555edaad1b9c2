//! Names of Debian packages → these and everything they need, each with its version, size and sha256.

use super::debian::Apt;
use super::origins::Reason;
use super::{Artifact, Input, Origin, Store};
use crate::arch::Arch;

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

/// `'ADDRESS' NAME_VERSION_ARCH.deb SIZE SHA256:HEX`, the version's colon written as `%3a`.
fn parse(line: &str, suite: &str) -> Option<Input> {
    let rest = line.strip_prefix('\'')?.split_once("' ")?.1;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_apt_names_a_package() {
        let hex = "ab".repeat(32);
        let line = format!("'http://a.example/p.deb' passwd_1%3a4.13-1_amd64.deb 977 SHA256:{hex}");
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
        assert_eq!(parse("Reading package lists...", "bookworm"), None);
    }
}
