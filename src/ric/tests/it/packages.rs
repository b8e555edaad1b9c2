//! Python packages from the index, installed once per interpreter below the build's own folder.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::executable::Executable;
use crate::host;

/// The interpreter whose modules an executable uses, with its pip.
pub fn interpreter(executable: &Executable) -> PathBuf {
    // An executable that is linked with a shared libpython has its interpreter's modules, but is none itself.
    match &executable.home {
        Some(home) => home.join(format!("bin/python3.{}", executable.minor)),
        None => executable.python.clone(),
    }
}

/// The folder with these packages, each given with its version. Without the package index that is a failure.
pub fn install(executable: &Executable, name: &str, packages: &[&str]) -> PathBuf {
    let folder = format!("{name}-cpython-3.{}", executable.minor);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    let done = folder.join(packages.join("+")).with_extension("installed");
    // Tests run side by side, and the first one installs for all.
    static INSTALLING: Mutex<()> = Mutex::new(());
    let installing = INSTALLING.lock();
    if !done.exists() {
        let fresh = host::fresh_folder();
        let mut pip = host::command(interpreter(executable));
        pip.args(["-m", "pip", "install", "--quiet", "--only-binary", ":all:"])
            .args([
                "--disable-pip-version-check",
                "--root-user-action",
                "ignore",
            ])
            .args(["--no-deps", "--target"])
            .arg(&fresh)
            .args(packages)
            .envs(executable.home.iter().map(|home| ("PYTHONHOME", home)));
        let output = pip.output().unwrap();
        assert!(
            output.status.success(),
            "{packages:?} cannot be installed, and the tests need them: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        host::write(&fresh.join(done.file_name().unwrap()), "");
        if !done.exists() {
            host::remove(&folder);
            rename(&fresh, &folder);
        }
    }
    drop(installing);
    folder
}

#[expect(clippy::disallowed_methods, reason = "complete, or not there")]
fn rename(from: &Path, to: &Path) {
    // Another test program may have been faster.
    if let Err(error) = std::fs::rename(from, to) {
        assert!(to.exists(), "{}: {error}", to.display());
    }
}
