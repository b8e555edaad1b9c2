//! Two images → the packages of which they have other versions: the base's, Python's, and, where there is a bill of
//! materials, what is linked into the interpreter, of which no file in the image tells.

use std::collections::{BTreeMap, BTreeSet};

use oci::Tree;
use serde::Serialize;
use serde_json::Value;

use crate::papers::{Component, Kind, packages, wheels};

/// Everything of an image that has a version: its kind and name, and the versions, which are several where it is in several
/// places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packages(BTreeMap<(&'static str, String), BTreeSet<String>>);

/// A package with other versions; an empty list: not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackageChange {
    /// `system`, `package`, `python`, `interpreter`, `linked`.
    pub kind: &'static str,
    /// Its authors' name.
    pub name: String,
    /// In the first image.
    pub old: BTreeSet<String>,
    /// In the second image.
    pub new: BTreeSet<String>,
}

impl Packages {
    /// What a root file system's own databases say.
    pub fn of(root: &Tree) -> Self {
        let mut found = Self::default();
        let distributions = wheels::distributions(root, &BTreeMap::new());
        for component in packages::of(root).into_iter().chain(distributions) {
            found.add(&component);
        }
        found
    }

    /// The interpreter and what is linked into it, by a CycloneDX document that this program wrote; `None` for any other.
    pub fn linked(bill: &[u8]) -> Option<Self> {
        let document: Value = serde_json::from_slice(bill).ok()?;
        let mut found = Self::default();
        for component in document["components"].as_array()? {
            let text = |key: &str| component[key].as_str();
            let kind = match text("bom-ref")?.split('-').next()? {
                "Interpreter" => Kind::Interpreter,
                "Linked" => Kind::Linked,
                _ => continue,
            };
            found.add(&Component::new(kind, text("name")?, text("version")?));
        }
        (!found.0.is_empty()).then_some(found)
    }

    fn add(&mut self, component: &Component) {
        let kind = match component.kind {
            Kind::OperatingSystem => "system",
            Kind::Package => "package",
            Kind::Interpreter => "interpreter",
            Kind::Linked => "linked",
            Kind::Distribution => "python",
        };
        let key = (kind, component.name.clone());
        self.0
            .entry(key)
            .or_default()
            .insert(component.version.clone());
    }
}

/// What is another version, or in one only.
pub fn changes(old: &Packages, new: &Packages) -> Vec<PackageChange> {
    let keys: BTreeSet<_> = old.0.keys().chain(new.0.keys()).collect();
    let change = |key: &(&'static str, String)| {
        let [old, new] =
            [old, new].map(|packages| packages.0.get(key).cloned().unwrap_or_default());
        let (kind, name) = (key.0, key.1.clone());
        (old != new).then_some(PackageChange {
            kind,
            name,
            old,
            new,
        })
    };
    keys.into_iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci::Entry;

    fn tree(boto3: &str, more: &str) -> Tree {
        let mut tree = Tree::new();
        let status = format!(
            "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\nArchitecture: amd64\n{more}"
        );
        let metadata =
            format!("Metadata-Version: 2.1\nName: boto3\nVersion: {boto3}\n\nVersion: 9\n");
        let site = "var/lang/lib/python3.13/site-packages";
        for (path, text) in [
            (
                "etc/os-release".to_owned(),
                "ID=debian\nVERSION_ID=\"12\"\n".to_owned(),
            ),
            ("var/lib/dpkg/status".to_owned(), status),
            (format!("{site}/boto3-1.dist-info/METADATA"), metadata),
        ] {
            let path = path.parse().unwrap();
            tree.insert(path, Entry::file(text, 0o644)).unwrap();
        }
        tree
    }

    #[test]
    fn databases_are_compared() {
        let old = Packages::of(&tree("1.44.4", ""));
        let more = "\nPackage: new\nStatus: install ok installed\nVersion: 2\nArchitecture: all\n";
        let new = Packages::of(&tree("1.44.5", more));
        let shown: Vec<String> = changes(&old, &new)
            .into_iter()
            .map(|change| {
                format!(
                    "{} {} {:?} {:?}",
                    change.kind, change.name, change.old, change.new
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                r#"package new {} {"2"}"#,
                r#"python boto3 {"1.44.4"} {"1.44.5"}"#
            ]
        );
        assert_eq!(changes(&old, &old), []);
    }
}
