//! Debian's package database: `/var/lib/dpkg/status`, or a file per package in `status.d` as minimal images have it.

use oci::{Kind as EntryKind, Tree};

use super::super::component::{Component, Kind, purl};
use super::super::licence::Licence;
use super::{OsRelease, database, path};

/// What is installed; `None` without such a database.
pub fn packages(root: &Tree, os: &OsRelease) -> Option<Vec<Component>> {
    let mut stanzas = Vec::new();
    if let Some(status) = database(root, &path("var/lib/dpkg/status")) {
        let status = String::from_utf8_lossy(&status).into_owned();
        stanzas.extend(status.split("\n\n").map(str::to_owned));
    }
    for (at, entry) in root.subtree(&path("var/lib/dpkg/status.d")) {
        if matches!(entry.kind, EntryKind::File(_)) && !at.as_bytes().ends_with(b".md5sums") {
            let stanza = root.read(at).unwrap_or_default();
            stanzas.push(String::from_utf8_lossy(&stanza).into_owned());
        }
    }
    let found: Vec<Component> = stanzas
        .iter()
        .filter_map(|stanza| package(stanza, root, os))
        .collect();
    (!found.is_empty()).then_some(found)
}

fn package(stanza: &str, root: &Tree, os: &OsRelease) -> Option<Component> {
    let field = |name: &str| {
        stanza
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    };
    // Removed packages whose configuration is still there have a stanza, too.
    if field("Status").is_some_and(|status| !status.ends_with(" installed")) {
        return None;
    }
    let (name, version) = (field("Package")?, field("Version")?);
    let arch = field("Architecture").unwrap_or("all");
    let distro = os.distro();
    // `glibc`, or `glibc (2.36-9)` where the source has another version.
    let source = field("Source").map(|source| match source.split_once(" (") {
        Some((source, version)) => format!("{source}@{}", version.trim_end_matches(')')),
        None => source.to_owned(),
    });
    let mut qualifiers = vec![("arch", arch), ("distro", &distro)];
    if let Some(source) = &source {
        qualifiers.push(("upstream", source));
    }
    let place = format!("usr/share/doc/{name}/copyright");
    let copyright = root.read(&path(&place)).ok();
    let licence = copyright.as_deref().map(|text| {
        let text = String::from_utf8_lossy(text);
        let people =
            || Licence::described(&format!("{name}-copyright"), &format!("what /{place} says"));
        Licence::of_copyright(&text).unwrap_or_else(people)
    });
    Some(Component {
        supplier: Some(os.supplier()),
        purl: purl("deb", Some(os.id()), name, version, &qualifiers),
        licence,
        note: match copyright {
            Some(_) => format!("its licences are in the image: /{place}"),
            None => String::new(),
        },
        ..Component::new(Kind::Package, name, version)
    })
}
