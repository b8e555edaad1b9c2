//! `sys.path` as functions find it: their own folder first, then layers, then what the image brings.

use std::path::Path;

use crate::ffi::{Object, Python, Result};
use crate::{system, version};

/// Changes `sys.path` and `PYTHONPATH`, and processes the `.pth` files of the function and its layers.
///
/// A `PYTHONPATH` of the user's own switches the layers' folders off.
pub fn prepare(py: Python) -> Result<()> {
    let task = system::folder("LAMBDA_TASK_ROOT", "/var/task")
        .to_string_lossy()
        .into_owned();
    let layers = [
        "/opt/python".to_owned(),
        format!("/opt/python/lib/python{}/site-packages", version::short()),
    ];
    let with_layers = system::present("PYTHONPATH").is_none();
    let path = py.import("sys")?.get(py, "path")?;
    let first = py.integer(0)?;
    let insert = |folder: &Object| path.call_method(py, "insert", &[&first, folder]);
    if with_layers {
        if version::minor() >= 11 {
            let installed = py.import("site")?.call_method(py, "getsitepackages", &[])?;
            for folder in installed.to_vec(py)?.iter().take(1) {
                insert(folder)?;
            }
            for layer in &layers {
                insert(&py.text(layer)?)?;
            }
        }
        let runtime = system::folder("LAMBDA_RUNTIME_DIR", "/var/runtime");
        let environment = py.import("os")?.get(py, "environ")?;
        environment.set_item(
            py,
            &py.text("PYTHONPATH")?,
            &py.text(&runtime.to_string_lossy())?,
        )?;
    }
    insert(&py.text(&task)?)?;
    add_path_files(py, &task)?;
    if with_layers {
        for layer in layers.iter().rev() {
            add_path_files(py, layer)?;
        }
    }
    Ok(())
}

fn add_path_files(py: Python, folder: &str) -> Result<()> {
    // Without such files addsitedir would only find that the folder is in sys.path already.
    if system::has_path_files(Path::new(folder)) {
        py.import("site")?
            .call_method(py, "addsitedir", &[&py.text(folder)?])?;
    }
    Ok(())
}
