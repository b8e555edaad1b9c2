//! The build scripts, carried by the program. A script's digest is part of the key of its step.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use include_dir::{Dir, include_dir};
use oci::Digest;

use super::BuildError;

static SCRIPTS: Dir = include_dir!("$CARGO_MANIFEST_DIR/src/build/scripts");
/// The source of the runtime interface client, which is compiled for every image.
static RIC: Dir = include_dir!("$CARGO_MANIFEST_DIR/src/ric");

/// A script's text.
pub fn text(name: &str) -> &'static [u8] {
    SCRIPTS
        .get_file(name)
        .expect("every step names a script of this folder")
        .contents()
}

/// The script that builds a C library.
pub fn library(name: &str) -> Result<&'static str, BuildError> {
    let path = SCRIPTS
        .get_file(format!("{name}.sh"))
        .map(|file| file.path());
    path.and_then(Path::to_str)
        .ok_or_else(|| BuildError::Library(name.to_owned()))
}

/// Which modules are linked in and how, for the series whose configure cannot say it.
pub fn static_setup() -> &'static str {
    SCRIPTS
        .get_file("setup/static")
        .and_then(|file| file.contents_utf8())
        .expect("the list lies beside the scripts")
}

/// The questions to a built interpreter.
pub fn check() -> &'static str {
    std::str::from_utf8(text("check.py")).expect("the questions are text")
}

/// The programs that a profile is made from, and the script that runs them: `training/NAME`.
pub fn training() -> Vec<(String, &'static str)> {
    let folder = SCRIPTS
        .get_dir("training")
        .expect("the programs lie beside the scripts");
    files_below(folder, |_| true)
}

/// What names a script's text.
pub fn digest(name: &str) -> Digest {
    Digest::of(text(name))
}

/// What names all the compiler wrappers.
pub fn wrappers_digest() -> Digest {
    let all = wrappers().flat_map(|(name, bytes)| [name.as_bytes(), b"\0", bytes, b"\0"].concat());
    Digest::of(&all.collect::<Vec<u8>>())
}

/// Writes the compiler wrappers into a folder, executable.
pub fn write_wrappers(folder: &Path) -> io::Result<()> {
    for (name, bytes) in wrappers() {
        let path = folder.join(name);
        fs_err::write(&path, bytes)?;
        fs_err::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
    }
    Ok(())
}

fn wrappers() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    let folder = SCRIPTS
        .get_dir("wrappers")
        .expect("the wrappers lie beside the scripts");
    folder
        .files()
        .map(|file| (name_of(file.path()), file.contents()))
}

/// The Rust files of the runtime interface client, by path below its folder.
pub fn ric_source() -> Vec<(String, &'static str)> {
    files_below(&RIC, |path| {
        path.ends_with(".rs") && !path.starts_with("tests/") || path.starts_with("python/")
    })
}

/// The Python files of the runtime: `runtime/…` lands in the image's `/var/runtime`, `parts/…` there as bytecode.
pub fn runtime_files() -> Vec<(String, &'static str)> {
    let named = |(path, text): (String, _)| match path.strip_prefix("python/") {
        Some(part) => (format!("parts/{part}"), text),
        None => (path, text),
    };
    let wanted = |path: &str| {
        path.ends_with(".py") && (path.starts_with("runtime/") || path.starts_with("python/"))
    };
    files_below(&RIC, wanted).into_iter().map(named).collect()
}

fn files_below(
    folder: &'static Dir,
    wanted: impl Fn(&str) -> bool + Copy,
) -> Vec<(String, &'static str)> {
    let mut found: Vec<(String, &'static str)> = Vec::new();
    for file in folder.files() {
        let path = file.path().to_str().expect("the source has plain names");
        if wanted(path) {
            found.push((
                path.to_owned(),
                file.contents_utf8().expect("the source is text"),
            ));
        }
    }
    for inner in folder.dirs() {
        found.extend(files_below(inner, wanted));
    }
    found.sort();
    found
}

fn name_of(path: &'static Path) -> &'static str {
    path.file_name()
        .and_then(|name| name.to_str())
        .expect("a wrapper has a plain name")
}
