//! Crates, through cargo: the user's own configuration, mirrors and proxies. Cargo keeps each `.crate` as it was
//! published in its cache; a project that depends on exactly one version brings it there.

use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Deserialize;

use super::StoreError;
use super::origins::Reason;
use crate::process::Process;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    manifest_path: PathBuf,
}

/// Returns the crate's file in cargo's cache; `dir` holds the project.
pub(super) fn fetch(name: &str, version: &str, dir: &Path) -> Result<PathBuf, Reason> {
    let (found, file) = crate_file(name, &format!("={version}"), dir)?;
    match found == version {
        true => Ok(file),
        false => Err(Reason::NoFile("cargo", format!("{name} {version}"))),
    }
}

/// The newest version of a crate that meets a requirement, such as `~1.2.3`, and its file in cargo's cache; `dir` holds
/// the project.
pub fn crate_file(name: &str, requirement: &str, dir: &Path) -> Result<(String, PathBuf), Reason> {
    write_project(name, requirement, dir).map_err(StoreError::from)?;
    let captured = Process::inheriting("cargo")
        .package("cargo")
        .args(["metadata", "--quiet", "--format-version=1"])
        .current_dir(dir)
        .run()?;
    let metadata: Metadata = serde_json::from_slice(&captured.stdout).map_err(|error| {
        Reason::Unusable(format!("cannot read what cargo metadata printed: {error}"))
    })?;
    let package = metadata
        .packages
        .iter()
        .find(|package| package.name == name)
        .ok_or_else(|| Reason::NoFile("cargo", format!("{name} {requirement}")))?;
    let file = cached(&package.manifest_path).ok_or_else(|| {
        let manifest = package.manifest_path.display();
        Reason::Unusable(format!("{manifest} is not in cargo's registry cache"))
    })?;
    if file.is_file() {
        Ok((package.version.clone(), file))
    } else {
        Err(Reason::NoFile("cargo", file.display().to_string()))
    }
}

fn write_project(name: &str, requirement: &str, dir: &Path) -> std::io::Result<()> {
    let manifest = format!(
        "[package]\nname = \"imgbuild-fetch\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n\
         [workspace]\n\n[dependencies]\n{name} = \"{requirement}\"\n"
    );
    fs::create_dir_all(dir.join("src"))?;
    fs::write(dir.join("src/lib.rs"), "")?;
    fs::write(dir.join("Cargo.toml"), manifest)
}

/// `…/registry/src/INDEX/NAME-VERSION/Cargo.toml` → `…/registry/cache/INDEX/NAME-VERSION.crate`.
fn cached(manifest: &Path) -> Option<PathBuf> {
    let unpacked = manifest.parent()?;
    let index = unpacked.parent()?;
    let registry = index.parent()?.parent()?;
    let mut file = unpacked.file_name()?.to_owned();
    file.push(".crate");
    Some(registry.join("cache").join(index.file_name()?).join(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_lies_beside_the_sources() {
        let manifest = "/c/registry/src/index-1/a-1.0.0+2/Cargo.toml";
        assert_eq!(
            cached(Path::new(manifest)).unwrap(),
            Path::new("/c/registry/cache/index-1/a-1.0.0+2.crate")
        );
    }
}
