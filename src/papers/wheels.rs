//! Python distributions: comes in a tree of the image, goes out what their own metadata says: those that are installed,
//! those that pip carries inside, and wheels that lie about as files.

use std::collections::BTreeMap;

use oci::{Digest, ImagePath, Tree};

use super::component::{Component, Kind, cpe, purl};
use super::known::inside_pip;
use super::licence::Licence;

/// The distributions of a tree, in the order of their places. `wheels` has the sha256 of the files they were installed
/// from, by normalised name and version.
pub fn distributions(tree: &Tree, wheels: &BTreeMap<(String, String), Digest>) -> Vec<Component> {
    let mut found = Vec::new();
    for (at, _) in tree.iter() {
        let text = at.to_string();
        if text.ends_with(".dist-info/METADATA") {
            found.extend(installed(tree, at, wheels));
        } else if text.ends_with("/_vendor/vendor.txt") {
            found.extend(vendored(tree, at));
        } else if text.ends_with(".whl") {
            found.extend(file(tree, at));
        }
    }
    found
}

/// As PyPI compares names: `Python_DateUtil` is `python-dateutil`.
pub fn normalised(name: &str) -> String {
    let dashes = name.to_lowercase().replace(['_', '.'], "-");
    dashes
        .split('-')
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

fn installed(
    tree: &Tree,
    at: &ImagePath,
    wheels: &BTreeMap<(String, String), Digest>,
) -> Option<Component> {
    let metadata = tree.read(at).ok()?;
    let metadata = String::from_utf8_lossy(&metadata);
    let headers = metadata.split("\n\n").next().unwrap_or_default();
    let field = |name: &str| {
        let values = headers
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        values
            .map(str::trim)
            .find(|value| !value.is_empty() && *value != "UNKNOWN")
    };
    let (name, version) = (field("Name")?, field("Version")?);
    let folder = at.parent()?;
    let place = folder.absolute();
    // A wheel's licence is an expression, a name, or a text of several lines, of which only the first is here.
    let texts = field("License-File").map(|_| format!("the licence files in {place}"));
    let named = field("License-Expression").or_else(|| field("License"));
    let licence = named.and_then(Licence::declared).map(|mut licence| {
        if let Some(texts) = &texts {
            licence
                .refs
                .values_mut()
                .for_each(|text| *text = format!("{text}: {texts}"));
        }
        licence
    });
    Some(Component {
        supplier: supplier(&field),
        sha256: wheels.get(&(normalised(name), version.to_owned())).copied(),
        licence,
        note: format!("installed in {}", folder.parent()?.absolute()),
        ..distribution(name, version)
    })
}

fn supplier<'a>(field: &impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    let named = field("Author").or_else(|| field("Maintainer"));
    let address = || field("Author-email").or_else(|| field("Maintainer-email"));
    // `Andrey Petrov <andrey.petrov@shazow.net>`
    let name = named.or_else(|| address()?.split(['<', ',']).next())?;
    Some(name.trim().trim_matches('"').to_owned()).filter(|name| !name.is_empty())
}

/// `name==version` in each line.
fn vendored(tree: &Tree, at: &ImagePath) -> Vec<Component> {
    let text = tree.read(at).unwrap_or_default();
    let place = at
        .parent()
        .map(|folder| folder.absolute())
        .unwrap_or_default();
    String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|line| line.split('#').next()?.trim().split_once("=="))
        .map(|(name, version)| Component {
            supplier: Some("The Python Packaging Authority".to_owned()),
            licence: inside_pip(&normalised(name.trim())).map(Licence::known),
            note: format!("a copy inside {place}"),
            ..distribution(name.trim(), version.trim())
        })
        .collect()
}

/// A wheel as a file: ensurepip has one of pip.
fn file(tree: &Tree, at: &ImagePath) -> Option<Component> {
    let name = String::from_utf8_lossy(at.file_name()).into_owned();
    let mut parts = name.split('-');
    let (name, version) = (parts.next()?, parts.next()?);
    let (sha256, _) = Digest::of_reader(tree.content(at).ok()?.open().ok()?).ok()?;
    Some(Component {
        supplier: Some("The Python Packaging Authority".to_owned()),
        sha256: Some(sha256),
        licence: (normalised(name) == "pip").then(|| Licence::known("MIT")),
        note: format!("not installed: the file {}", at.absolute()),
        ..distribution(name, version)
    })
}

fn distribution(name: &str, version: &str) -> Component {
    let of_pypa = |product| {
        Some(cpe(
            if product == "pip" { "pypa" } else { "python" },
            product,
            version,
        ))
    };
    Component {
        purl: purl("pypi", None, &normalised(name), version, &[]),
        cpe: match normalised(name).as_str() {
            "pip" => of_pypa("pip"),
            "setuptools" => of_pypa("setuptools"),
            "urllib3" => of_pypa("urllib3"),
            "requests" => of_pypa("requests"),
            _ => None,
        },
        ..Component::new(Kind::Distribution, name, version)
    }
}
