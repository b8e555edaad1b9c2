//! The packages of the operating system underneath: comes in the base's root file system, goes out what its package
//! database says is installed.

mod berkeley;
mod dpkg;
mod rpm;
mod sqlite;

use std::collections::BTreeMap;

use oci::{ImagePath, Tree};

use super::component::{Component, Kind};

/// The largest package database that is read: Amazon Linux's have 10 MB.
const MAX_DATABASE: u64 = 256 << 20;

/// What a base says of itself in `/etc/os-release`.
pub struct OsRelease(BTreeMap<String, String>);

impl OsRelease {
    /// Of a root file system; empty where there is none.
    pub fn of(root: &Tree) -> Self {
        let text = root.read(&path("etc/os-release")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Self(
            pairs
                .map(|(key, value)| (key.to_owned(), value.trim_matches(['"', '\'']).to_owned()))
                .collect(),
        )
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// `debian`, `amzn`.
    fn id(&self) -> &str {
        self.get("ID").unwrap_or("linux")
    }

    /// `debian-12`: the qualifier of package URLs by which scanners choose their advisories.
    fn distro(&self) -> String {
        format!(
            "{}-{}",
            self.id(),
            self.get("VERSION_ID").unwrap_or("unknown")
        )
    }

    /// Who makes the distribution.
    fn supplier(&self) -> String {
        match self.id() {
            "debian" => "Debian".to_owned(),
            "amzn" => "Amazon Web Services".to_owned(),
            other => self.get("NAME").unwrap_or(other).to_owned(),
        }
    }

    fn component(&self) -> Component {
        let version = self.get("VERSION_ID").unwrap_or("unknown");
        Component {
            supplier: Some(self.supplier()),
            cpe: self.get("CPE_NAME").map(cpe_23),
            note: self.get("PRETTY_NAME").unwrap_or_default().to_owned(),
            ..Component::new(Kind::OperatingSystem, self.id(), version)
        }
    }
}

/// The operating system, and its packages in alphabetical order. Where they cannot be read, the system's note says so.
pub fn of(root: &Tree) -> Vec<Component> {
    let os = OsRelease::of(root);
    let mut system = os.component();
    let read = dpkg::packages(root, &os)
        .map(Ok)
        .or_else(|| rpm::packages(root, &os))
        .unwrap_or_else(|| Err("it has no package database that is known here".to_owned()));
    let mut packages = read.unwrap_or_else(|reason| {
        system.note = format!("{}; its packages are not listed: {reason}", system.note);
        Vec::new()
    });
    packages.sort_by(|a, b| (&a.name, &a.version, &a.purl).cmp(&(&b.name, &b.version, &b.purl)));
    packages.dedup();
    packages.insert(0, system);
    packages
}

/// The URI form of CPE 2.2, which os-release has, in the form of 2.3.
fn cpe_23(name: &str) -> String {
    let Some(parts) = name.strip_prefix("cpe:/") else {
        return name.to_owned();
    };
    let mut parts: Vec<&str> = parts
        .split(':')
        .map(|part| if part.is_empty() { "*" } else { part })
        .collect();
    parts.resize(11, "*");
    format!("cpe:2.3:{}", parts.join(":"))
}

/// A file of the package database.
fn database(root: &Tree, at: &ImagePath) -> Option<Vec<u8>> {
    let at = root.resolve(at).ok()?;
    root.content(&at).ok()?.read(MAX_DATABASE).ok()
}

fn path(text: &str) -> ImagePath {
    text.parse().expect("the databases' paths are well formed")
}

#[cfg(test)]
mod tests;
