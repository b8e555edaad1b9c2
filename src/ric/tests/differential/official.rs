//! The official client, and the script that starts it as the official image does.

use std::path::PathBuf;

use crate::executable::Executable;
use crate::host;
use crate::packages;

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
    /// The interpreter.
    pub python: PathBuf,
    /// A folder like the image's /var/runtime: `bootstrap.py`, and `site-packages` beside it.
    pub runtime: PathBuf,
}

/// The official client for the interpreter that an executable is made of.
pub fn install(executable: &Executable) -> Official {
    let runtime = host::fresh_folder();
    let site_packages = packages::install(executable, "official", &PACKAGES);
    host::link(&site_packages, &runtime.join("site-packages"));
    host::write(&runtime.join("bootstrap.py"), BOOTSTRAP);
    Official {
        python: packages::interpreter(executable),
        runtime,
    }
}
