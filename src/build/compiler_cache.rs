//! What the compiler has compiled of its own for a target comes out: a folder in the store, made once by a script of ours.
//! Every step gets a copy: what foreign code writes into its own is read by no other step.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oci::Digest;

use super::BuildError;
use super::scripts;
use super::step::{COMMAND, Tool, workbench};
use super::workshop::Workshop;
use crate::process::Process;

/// Where scripts find it.
pub const PLACE: &str = "/imgbuild/zig-cache";
const SCRIPT: &str = "compiler-cache.sh";

/// The folder for a compiler and the target that a step's variables name; `None` for a step that compiles nothing.
pub fn prepared(
    tools: &[Tool],
    environment: &BTreeMap<&'static str, String>,
    workshop: &Workshop,
) -> Result<Option<PathBuf>, BuildError> {
    let zig = tools.iter().find(|tool| tool.name == "zig");
    let variables = ["TARGET", "GLIBC"].map(|name| Some((name, environment.get(name)?)));
    let (Some(zig), [Some(target), Some(glibc)]) = (zig, variables) else {
        return Ok(None);
    };
    let (script, wrappers) = (scripts::digest(SCRIPT), scripts::wrappers_digest());
    let key = format!("{} {target:?} {glibc:?} {script} {wrappers}", zig.identity);
    let key = Digest::of(key.as_bytes());
    let name = format!("zig-cache-{}", &key.hex()[..16]);
    let make = |folder: &Path| -> Result<(), BuildError> {
        let work = workshop.workplace()?;
        let cache = work.path().join("zig-cache");
        fs_err::create_dir(&cache)?;
        let sandbox = workbench(SCRIPT, &work, workshop)?
            .writable(&cache, PLACE)
            .read_only(zig.folder, "/imgbuild/zig")
            .env(target.0, target.1)
            .env(glibc.0, glibc.1);
        let title = format!("compiler's parts for {}", target.1);
        workshop.run(&sandbox, &work, &COMMAND, &title, &key)?;
        copy(&cache, folder)
    };
    workshop.store.directory(&name, make).map(Some)
}

/// Fills a step's own folder.
pub fn copy(prepared: &Path, folder: &Path) -> Result<(), BuildError> {
    Process::cleared("cp")
        .args(["--archive", "--reflink=auto"])
        .args([prepared.join("."), folder.to_owned()])
        .run()?;
    Ok(())
}
