//! Debian packages → root file system, without root and without running the packages' scripts.
//!
//! What the scripts of the essential packages would do (user table, merged /usr, certificate bundle, package database) is
//! done here, so that the result is the same bytes everywhere.

use std::path::Path;

use oci::tree::TreeError;
use oci::{Content, Entry, ImagePath, Kind, Tree};

use super::BuildError;
use crate::inputs::{Deb, Fetched, read_deb};

/// Folders of the root that are links into /usr.
const MERGED: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// What a base for containers leaves out, as Debian's own slim images do. Licences stay.
const LEFT_OUT: [&str; 6] = [
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/lintian",
    "usr/share/linda",
    "usr/share/groff",
];

/// Puts the packages together; `scratch` receives their unpacked archives and must outlive the tree.
pub fn assemble(packages: &[Fetched], scratch: &Path) -> Result<Tree, BuildError> {
    let mut root = Tree::new();
    for folder in MERGED {
        root.insert(path(&format!("usr/{folder}")), Entry::dir(0o755))?;
        root.insert(path(folder), Entry::symlink(format!("usr/{folder}")))?;
    }
    let mut status = Vec::new();
    for (number, package) in packages.iter().enumerate() {
        let deb = read_deb(&package.path, scratch, &number.to_string())?;
        status.push(register(&mut root, &deb)?);
        for (at, entry) in deb.data.iter() {
            place_entry(&mut root, at, entry)?;
        }
    }
    status.sort();
    root.insert(
        path("var/lib/dpkg/status"),
        Entry::file(status.concat(), 0o644),
    )?;
    configure(&mut root)?;
    for folder in LEFT_OUT {
        root.remove(&path(folder));
    }
    strip_documentation(&mut root);
    open_folders(&mut root);
    root.dereference_hardlinks()?;
    Ok(root)
}

/// Puts one entry of a package where the merged /usr has it.
fn place_entry(root: &mut Tree, at: &ImagePath, entry: &Entry) -> Result<(), BuildError> {
    let text = at.to_string();
    if MERGED.contains(&text.as_str()) {
        return Ok(());
    }
    let mut entry = entry.clone();
    if let Kind::Hardlink(target) = &mut entry.kind {
        *target = merged(target);
    }
    Ok(root.insert(merged(at), entry)?)
}

fn merged(at: &ImagePath) -> ImagePath {
    let text = at.to_string();
    match text.split_once('/') {
        Some((first, _)) if MERGED.contains(&first) => path(&format!("usr/{text}")),
        _ => at.clone(),
    }
}

/// Writes a package into dpkg's database; returns its stanza for the status file.
fn register(root: &mut Tree, deb: &Deb) -> Result<String, BuildError> {
    let Deb { control, data } = deb;
    let stanza = String::from_utf8_lossy(&control.read(&path("control"))?).into_owned();
    let field = |name: &str| {
        stanza
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .unwrap_or_default()
    };
    let name = match field("Multi-Arch") {
        "same" => format!("{}:{}", field("Package"), field("Architecture")),
        _ => field("Package").to_owned(),
    };
    let info = |part: &str| {
        let folder = path("var/lib/dpkg/info");
        folder
            .join(format!("{name}.{part}"))
            .map_err(TreeError::from)
    };
    let list: String = std::iter::once("/.\n".to_owned())
        .chain(data.iter().map(|(at, _)| format!("{}\n", at.absolute())))
        .collect();
    root.insert(info("list")?, Entry::file(list, 0o644))?;
    for (at, entry) in control.iter() {
        if at.as_bytes() != b"control" && !entry.is_dir() {
            root.insert(info(&at.to_string())?, entry.clone())?;
        }
    }
    let (first, rest) = stanza
        .trim_end()
        .split_once('\n')
        .unwrap_or((stanza.trim_end(), ""));
    Ok(format!("{first}\nStatus: install ok installed\n{rest}\n\n"))
}

/// Any bytes as a package's control file.
#[cfg(any(test, fuzzing))]
pub fn fuzz_deb822(bytes: &[u8]) {
    let (mut control, data) = (Tree::new(), Tree::new());
    let stanza = control.insert(path("control"), Entry::file(bytes, 0o644));
    stanza.expect("an empty tree takes it");
    let _ = register(&mut Tree::new(), &Deb { control, data });
}

/// What the packages' own scripts leave behind on a running system.
fn configure(root: &mut Tree) -> Result<(), BuildError> {
    for table in ["passwd", "group"] {
        let master = root.read(&path(&format!("usr/share/base-passwd/{table}.master")))?;
        root.insert(path(&format!("etc/{table}")), Entry::file(master, 0o644))?;
    }
    let certificates = path("usr/share/ca-certificates/mozilla");
    let mut bundle = Vec::new();
    for (at, entry) in root.subtree(&certificates) {
        if let Kind::File(content) = &entry.kind
            && at.as_bytes().ends_with(b".crt")
        {
            bundle.extend(content.read(MAX_CERTIFICATE)?);
        }
    }
    root.insert(
        path("etc/ssl/certs/ca-certificates.crt"),
        Entry::file(Content::from(bundle), 0o644),
    )?;
    // OpenSSL is compiled for Amazon Linux's places.
    root.insert(
        path("etc/pki/tls/cert.pem"),
        Entry::symlink("/etc/ssl/certs/ca-certificates.crt"),
    )?;
    root.insert(path("etc/pki/tls/certs"), Entry::symlink("/etc/ssl/certs"))?;
    root.insert(
        path("etc/localtime"),
        Entry::symlink("/usr/share/zoneinfo/Etc/UTC"),
    )?;
    root.insert(path("usr/bin/awk"), Entry::symlink("mawk"))?;
    for (folder, mode) in [
        ("tmp", 0o1777),
        ("var/tmp", 0o1777),
        ("proc", 0o555),
        ("sys", 0o555),
        ("dev", 0o755),
        ("root", 0o755),
    ] {
        root.insert(path(folder), Entry::dir(mode))?;
    }
    Ok(())
}

/// One certificate file's bound, in bytes.
const MAX_CERTIFICATE: u64 = 64 << 10;

fn strip_documentation(root: &mut Tree) {
    let documentation = path("usr/share/doc");
    // Some packages share the folder of another one through a link.
    let wanted = |at: &ImagePath, entry: &Entry| {
        let is_folder =
            at.parent().as_ref() == Some(&documentation) && matches!(entry.kind, Kind::Symlink(_));
        entry.is_dir() || is_folder || at.file_name() == b"copyright"
    };
    let unwanted: Vec<ImagePath> = root
        .subtree(&documentation)
        .filter(|(at, entry)| !wanted(at, entry))
        .map(|(at, _)| at.clone())
        .collect();
    for at in unwanted {
        root.remove(&at);
    }
}

/// A function runs as a user that nobody knows beforehand: it may enter every folder.
fn open_folders(root: &mut Tree) {
    let closed = |entry: &Entry| entry.is_dir() && entry.mode & 0o005 != 0o005;
    let paths: Vec<ImagePath> = root
        .iter()
        .filter(|(_, entry)| closed(entry))
        .map(|(at, _)| at.clone())
        .collect();
    for at in paths {
        if let Some(entry) = root.get_mut(&at) {
            entry.mode |= 0o055;
        }
    }
}

fn path(text: &str) -> ImagePath {
    text.parse().expect("package paths are well formed")
}
