//! Every parser of bytes from elsewhere in this crate, as a function of bytes: for `tests/fuzz`, whose seeds are tried
//! here as well. A target panics when its parser does, and when what was parsed breaks a promise.

use std::path::Path;

pub use crate::build::fuzz_deb822 as deb822;
use crate::inputs;
pub use crate::inputs::fuzz_apt as apt;
use crate::lock::Lock;
use crate::recipe::{BaseDefinition, Recipe};

/// A name in `tests/fuzz/fuzz_targets` and `tests/fuzz/seeds`, and what is tried.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("imgbuild_apt", apt),
    ("imgbuild_deb822", deb822),
    ("imgbuild_lock", lock),
    ("imgbuild_recipe", recipe),
    ("imgbuild_unpack", unpack),
];

/// A recipe, and a base definition.
pub fn recipe(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes) {
        let path = Path::new("fuzz.yaml");
        if let Ok(recipe) = Recipe::parse(path, text, &[]) {
            let _ = (recipe.python.minor(), recipe.python.features());
        }
        let _ = BaseDefinition::parse(path, text);
        let overrides = [("python.jit".to_owned(), text.to_owned())];
        let _ = Recipe::parse(path, RECIPE, &overrides);
    }
}

/// A lock of a recipe: written and read again, it is the same.
pub fn lock(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes) {
        let (path, recipe) = (
            Path::new("fuzz.lock"),
            Recipe::parse(Path::new("fuzz.yaml"), RECIPE, &[]),
        );
        let recipe = recipe.expect("it is a recipe");
        if let Ok(lock) = Lock::parse(path, text, &recipe) {
            let again = Lock::parse(path, &lock.to_text(), &recipe);
            assert_eq!(again.expect("what is written can be read"), lock);
        }
    }
}

const RECIPE: &str = r#"{name: a, base: b, python: {version: "3.13.5"}, sdk: {boto3: "1.0.0"}}"#;

/// An archive of any kind: whatever it says, nothing lies outside of the folder.
pub fn unpack(bytes: &[u8]) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (archive, dest) = (dir.path().join("archive"), dir.path().join("dest"));
    fs_err::write(&archive, bytes).expect("the folder can be written");
    fs_err::create_dir(&dest).expect("the folder can be written");
    let done = inputs::unpack(&archive, None, &dest);
    let mut left: Vec<_> = fs_err::read_dir(dir.path())
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder can be read").file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["archive", "dest"], "{done:?}");
}

#[cfg(test)]
#[path = "../tests/fuzz/replay.rs"]
mod replay;
