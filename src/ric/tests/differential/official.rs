//! The official client, installed for an interpreter by pip, and the script that starts it as the official image does.

use std::path::{Path, PathBuf};

use crate::executable::Executable;
use crate::host;

/// The client whose behaviour is the contract, and what it needs, each at the version that was compared with.
const PACKAGES: [&str; 3] = [
    "awslambdaric==4.2.2",
    "simplejson==4.3.0",
    "snapshot-restore-py==1.0.0",
];

/// The official image's /var/runtime/bootstrap.py, as far as a function can notice. The client is appended to sys.path
/// because that image has it in site-packages.
const BOOTSTRAP: &str = r#"
import os
import site
import sys

sys.path.append(os.path.join(os.path.dirname(__file__), "site-packages"))
if "PYTHONPATH" not in os.environ:
    os.environ["PYTHONPATH"] = os.environ["LAMBDA_RUNTIME_DIR"]
task_root = os.environ["LAMBDA_TASK_ROOT"]
sys.path.insert(0, task_root)
site.addsitedir(task_root)

import awslambdaric.__main__ as awslambdaricmain

awslambdaricmain.main([task_root, os.environ["_HANDLER"]])
"#;

/// The official client, ready to run on an interpreter.
pub struct Official {
    /// A folder like the image's /var/runtime: `bootstrap.py`, and `site-packages` beside it.
    pub runtime: PathBuf,
}

/// The official client for the interpreter that an executable is made of, and that interpreter.
pub fn for_executable(ours: &Executable) -> (PathBuf, Official) {
    let name = format!("3.{}", ours.minor);
    // An executable that is linked with a shared libpython has its interpreter's modules, but not its pip.
    let python = match &ours.home {
        Some(home) => home.join(format!("bin/python{name}")),
        None => ours.python.clone(),
    };
    let official = install(&python, ours.home.as_deref(), &format!("cpython-{name}"));
    (python, official)
}

/// Installs it below the build's own folder, once per interpreter. Without the package index that is an error.
fn install(python: &Path, home: Option<&Path>, tag: &str) -> Official {
    let runtime = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("official-{tag}"));
    let done = runtime.join(PACKAGES.join("+"));
    if !done.exists() {
        let fresh = host::fresh_folder();
        let mut pip = host::command(python);
        pip.args(["-m", "pip", "install", "--quiet", "--only-binary", ":all:"])
            .args([
                "--disable-pip-version-check",
                "--root-user-action",
                "ignore",
            ])
            .args(["--no-deps", "--target"])
            .arg(fresh.join("site-packages"))
            .args(PACKAGES)
            .envs(home.map(|home| ("PYTHONHOME", home)));
        let output = pip.output().unwrap();
        assert!(
            output.status.success(),
            "the official client, which ours is compared with, cannot be installed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        host::write(&fresh.join("bootstrap.py"), BOOTSTRAP);
        host::write(&fresh.join(done.file_name().unwrap()), "");
        host::remove(&runtime);
        rename(&fresh, &runtime);
    }
    Official { runtime }
}

#[expect(clippy::disallowed_methods, reason = "complete, or not there")]
fn rename(from: &Path, to: &Path) {
    std::fs::rename(from, to).unwrap();
}
