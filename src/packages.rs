//! A root file system → the packages that say that they are in it: Debian's, and Python's distributions. Comes in a tree,
//! goes out names and versions. What says nothing of itself is not found.

use std::collections::{BTreeMap, BTreeSet};

use oci::{Entry, ImagePath, Tree, TreeError};
use serde::Serialize;

/// Larger than every real database of packages.
const MAX_DATABASE: u64 = 64 << 20;

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackageKind {
    /// dpkg's database.
    Debian,
    /// A `.dist-info` folder.
    Python,
}

/// One package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Package {
    /// Who says it.
    pub kind: PackageKind,
    /// Its name there.
    pub name: String,
    /// Its version there.
    pub version: String,
}

/// A package with other versions; an empty list: not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackageChange {
    /// Who says it.
    pub kind: PackageKind,
    /// Its name there.
    pub name: String,
    /// In the first image; several where it is installed in several places.
    pub old: BTreeSet<String>,
    /// In the second image.
    pub new: BTreeSet<String>,
}

/// Everything that is found, sorted.
pub fn inventory(root: &Tree) -> Result<BTreeSet<Package>, TreeError> {
    let mut found = BTreeSet::new();
    for (path, entry) in root.iter() {
        let Some(kind) = kind_of(path, entry) else {
            continue;
        };
        let text = root.content(path)?.read(MAX_DATABASE)?;
        for paragraph in String::from_utf8_lossy(&text).split("\n\n") {
            found.extend(package(kind, paragraph));
            // What follows in a distribution's file is its description.
            if kind == PackageKind::Python {
                break;
            }
        }
    }
    Ok(found)
}

fn kind_of(path: &ImagePath, entry: &Entry) -> Option<PackageKind> {
    let bytes = path.as_bytes();
    let is_debian = bytes == b"var/lib/dpkg/status"
        || (bytes.starts_with(b"var/lib/dpkg/status.d/") && !bytes.ends_with(b".md5sums"));
    match () {
        () if !matches!(entry.kind, oci::Kind::File(_)) => None,
        () if is_debian => Some(PackageKind::Debian),
        () if bytes.ends_with(b".dist-info/METADATA") => Some(PackageKind::Python),
        () => None,
    }
}

fn package(kind: PackageKind, paragraph: &str) -> Option<Package> {
    let field = |name: &str| {
        let mut values = paragraph.lines().filter_map(|line| line.strip_prefix(name));
        values.next().map(|value| value.trim().to_owned())
    };
    let name = match kind {
        PackageKind::Debian => field("Package:")?,
        PackageKind::Python => field("Name:")?,
    };
    let is_gone = field("Status:").is_some_and(|status| !status.ends_with(" installed"));
    let version = field("Version:").filter(|_| !is_gone)?;
    Some(Package {
        kind,
        name,
        version,
    })
}

/// What is another version, or in one only.
pub fn difference(old: &BTreeSet<Package>, new: &BTreeSet<Package>) -> Vec<PackageChange> {
    let versions = |packages: &BTreeSet<Package>| {
        let mut all: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        for package in packages {
            let key = (package.kind, package.name.clone());
            all.entry(key).or_default().insert(package.version.clone());
        }
        all
    };
    let (mut old, mut new) = (versions(old), versions(new));
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).cloned().collect();
    let change = |key: (PackageKind, String)| {
        let change = PackageChange {
            old: old.remove(&key).unwrap_or_default(),
            new: new.remove(&key).unwrap_or_default(),
            kind: key.0,
            name: key.1,
        };
        (change.old != change.new).then_some(change)
    };
    keys.into_iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(boto3: &str, removed: &str) -> Tree {
        let mut tree = Tree::new();
        let status = format!(
            "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\nDescription: C\n Package: no\n\n\
             Package: old\nStatus: deinstall ok config-files\nVersion: 1\n{removed}"
        );
        let metadata =
            format!("Metadata-Version: 2.1\nName: boto3\nVersion: {boto3}\n\nVersion: 9\n");
        for (path, text) in [
            ("var/lib/dpkg/status", status),
            (
                "var/lang/lib/python3.13/site-packages/boto3-1.dist-info/METADATA",
                metadata,
            ),
            (
                "opt/METADATA",
                "Name: not-installed\nVersion: 1\n".to_owned(),
            ),
        ] {
            tree.insert(path.parse().unwrap(), Entry::file(text, 0o644))
                .unwrap();
        }
        tree
    }

    #[test]
    fn databases_are_read_and_compared() {
        let old = inventory(&tree("1.44.4", "")).unwrap();
        let names: Vec<_> = old
            .iter()
            .map(|package| (package.name.as_str(), package.version.as_str()))
            .collect();
        assert_eq!(names, [("libc6", "2.36-9"), ("boto3", "1.44.4")]);
        let new = inventory(&tree("1.44.5", "\n\nPackage: new\nVersion: 2\n")).unwrap();
        let changes: Vec<String> = difference(&old, &new)
            .into_iter()
            .map(|change| format!("{} {:?} {:?}", change.name, change.old, change.new))
            .collect();
        assert_eq!(
            changes,
            [r#"new {} {"2"}"#, r#"boto3 {"1.44.4"} {"1.44.5"}"#]
        );
        assert_eq!(difference(&old, &old), []);
    }
}
