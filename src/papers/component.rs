//! What an image consists of, one value for each thing that has a version of its own.

use oci::Digest;
use packageurl::PackageUrl;
use serde::{Deserialize, Serialize};

use super::Licence;

/// Something inside an image that has a name and a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// What it is.
    pub kind: Kind,
    /// What its authors call it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Who distributes it.
    pub supplier: Option<String>,
    /// Its package URL, by which scanners know it.
    pub purl: Option<String>,
    /// Its CPE 2.3 name, by which the National Vulnerability Database knows it.
    pub cpe: Option<String>,
    /// Under which licence it may be used; `None` where nobody says.
    pub licence: Option<Licence>,
    /// Of the file it was made from.
    pub sha256: Option<Digest>,
    /// The address of that file, where it has a public one.
    pub download: Option<String>,
    /// For people: from what it was made, and where in the image it is.
    pub note: String,
}

/// What a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The distribution that a base image is.
    OperatingSystem,
    /// A package of the operating system.
    Package,
    /// The interpreter.
    Interpreter,
    /// Machine code that is part of the interpreter's executable.
    Linked,
    /// A Python distribution.
    Distribution,
}

impl Component {
    /// A component of which nothing more is known.
    pub fn new(kind: Kind, name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            version: version.into(),
            supplier: None,
            purl: None,
            cpe: None,
            licence: None,
            sha256: None,
            download: None,
            note: String::new(),
        }
    }

    /// A name that no other component of a sound list has, of the letters that SPDX allows in one: `Linked-openssl-3.5.7`.
    pub fn id(&self) -> String {
        let mut id = format!("{:?}-{}-{}", self.kind, self.name, self.version);
        // Two builds of a package for two architectures.
        if let Some((_, arch)) = self
            .purl
            .as_deref()
            .and_then(|purl| purl.split_once("arch="))
        {
            id = format!("{id}-{}", arch.split('&').next().unwrap_or_default());
        }
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        };
        id.chars().map(plain).collect()
    }
}

/// A package URL in its canonical form. `None` for names that no URL can have.
pub fn purl(
    kind: &str,
    namespace: Option<&str>,
    name: &str,
    version: &str,
    qualifiers: &[(&'static str, &str)],
) -> Option<String> {
    let mut purl = PackageUrl::new(kind, name).ok()?;
    if let Some(namespace) = namespace {
        purl.with_namespace(namespace).ok()?;
    }
    purl.with_version(version).ok()?;
    for (key, value) in qualifiers {
        purl.add_qualifier(*key, *value).ok()?;
    }
    Some(purl.to_string())
}

/// The CPE 2.3 name of an application.
pub fn cpe(vendor: &str, product: &str, version: &str) -> String {
    // The characters that have a meaning in a CPE name are quoted.
    let quoted: String = version
        .chars()
        .flat_map(|c| match c {
            c if c.is_ascii_alphanumeric() || "._-".contains(c) => vec![c],
            c => vec!['\\', c],
        })
        .collect();
    format!("cpe:2.3:a:{vendor}:{product}:{quoted}:*:*:*:*:*:*:*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_scanners_read_them() {
        let sums = [("arch", "amd64"), ("distro", "debian-12")];
        assert_eq!(
            purl(
                "deb",
                Some("debian"),
                "libstdc++6",
                "1:12.2.0-14+deb12u1",
                &sums
            )
            .unwrap(),
            "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12"
        );
        assert_eq!(
            purl("pypi", None, "Python_DateUtil", "2.9.0.post0", &[]).unwrap(),
            "pkg:pypi/python-dateutil@2.9.0.post0"
        );
        assert_eq!(
            cpe("openssl", "openssl", "3.5.7+x"),
            r"cpe:2.3:a:openssl:openssl:3.5.7\+x:*:*:*:*:*:*:*"
        );
    }
}
