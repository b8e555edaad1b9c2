//! The executable under test: given, or built as lib.rs says and linked with a shared libpython.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::host;

/// The executable and what it needs around it.
pub struct Executable {
    /// A folder with `bootstrap`, `aws-lambda-rie`, `bootstrap.py` and the Python names.
    pub runtime: PathBuf,
    /// The same program by its python name.
    pub python: PathBuf,
    /// PYTHONHOME, if the interpreter does not find its library from where it lies.
    pub home: Option<PathBuf>,
    /// The 13 of 3.13.
    pub minor: u32,
    /// Whether the interpreter runs without a GIL.
    pub free_threaded: bool,
}

/// The executable, or None after a loud word about why there is none.
pub fn get() -> Option<&'static Executable> {
    static EXECUTABLE: OnceLock<Option<Executable>> = OnceLock::new();
    let executable = EXECUTABLE.get_or_init(|| match host::variable("RIC_TEST_EXECUTABLE") {
        Some(path) => Some(given(Path::new(&path))),
        None => build(),
    });
    if executable.is_none() {
        eprintln!(
            "SKIPPED: no Python with a shared libpython; set RIC_TEST_PYTHON or RIC_TEST_EXECUTABLE"
        );
    }
    executable.as_ref()
}

fn given(program: &Path) -> Executable {
    let python = program.canonicalize().expect("RIC_TEST_EXECUTABLE exists");
    let minor = ask(&python, "import sys; print(sys.version_info.minor)");
    let gil = "import sys; print(getattr(sys, '_is_gil_enabled', lambda: True)())";
    let free_threaded = ask(&python, gil).is_some_and(|answer| answer == "False");
    // The image's own Python files, if they lie beside the name that was given.
    let beside = program.parent().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("runtime");
    let files = if beside.join("bootstrap.py").exists() {
        beside
    } else {
        &source
    };
    Executable {
        runtime: runtime_folder(&python, files),
        minor: minor
            .expect("RIC_TEST_EXECUTABLE is a python")
            .parse()
            .unwrap(),
        python,
        home: None,
        free_threaded,
    }
}

/// A folder like the image's /var/runtime, with all the program's names.
fn runtime_folder(python: &Path, files: &Path) -> PathBuf {
    let runtime = host::fresh_folder();
    for file in host::entries_of(files) {
        if file.file_name().is_some_and(|name| name != "bootstrap") {
            run(host::command("cp").arg("-r").arg(&file).arg(&runtime));
        }
    }
    for name in ["bootstrap", "aws-lambda-rie", "lambda-entrypoint.sh"] {
        host::link(python, &runtime.join(name));
    }
    runtime
}

fn ask(python: &Path, code: &str) -> Option<String> {
    let output = host::command(python)
        .args(["-c", code])
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

struct Library {
    folder: String,
    name: String,
    prefix: PathBuf,
    minor: u32,
}

fn library(python: &Path) -> Option<Library> {
    let code = "import sys, sysconfig; g = sysconfig.get_config_var; \
        print(g('LIBDIR'), g('LDLIBRARY'), sys.base_prefix, sys.version_info.minor, g('Py_ENABLE_SHARED'), sep='|')";
    let answer = ask(python, code)?;
    let [folder, file, prefix, minor, shared] =
        answer.split('|').collect::<Vec<_>>().try_into().ok()?;
    let minor = minor
        .parse()
        .ok()
        .filter(|minor| (10..=15).contains(minor))?;
    let name = file.strip_prefix("lib")?.strip_suffix(".so")?.to_owned();
    (shared == "1" && Path::new(folder).join(file).exists()).then(|| Library {
        folder: folder.to_owned(),
        name,
        prefix: prefix.into(),
        minor,
    })
}

fn find_library() -> Option<Library> {
    if let Some(python) = host::variable("RIC_TEST_PYTHON") {
        return Some(
            library(Path::new(&python))
                .expect("RIC_TEST_PYTHON has a shared libpython of 3.10 to 3.15"),
        );
    }
    let versions = Path::new(&host::variable("HOME").unwrap_or_default()).join(".pyenv/versions");
    let mut pyenv: Vec<PathBuf> = host::entries_of(&versions)
        .iter()
        .map(|version| version.join("bin/python3"))
        .collect();
    pyenv.sort();
    let candidates = std::iter::once(PathBuf::from("python3")).chain(pyenv.into_iter().rev());
    candidates.into_iter().find_map(|python| library(&python))
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn build() -> Option<Executable> {
    let library = find_library()?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let build = host::fresh_folder();
    let archive = build.join("libric.a");
    // The call that lib.rs documents, without the minute that LTO takes on a busy machine.
    run(
        host::command(host::variable("RUSTC").unwrap_or("rustc".into()))
            .args([
                "--edition",
                "2024",
                "--crate-name",
                "ric",
                "--crate-type",
                "staticlib",
            ])
            .args([
                "--cfg",
                "feature=\"executable\"",
                "-C",
                "opt-level=2",
                "-C",
                "panic=abort",
            ])
            .arg(source.join("lib.rs"))
            .arg("-o")
            .arg(&archive),
    );
    let python = build.join(format!("python3.{}", library.minor));
    run(host::command("cc")
        .arg(&archive)
        .arg("-o")
        .arg(&python)
        .args([
            format!("-L{}", library.folder),
            format!("-l{}", library.name),
        ])
        .arg(format!("-Wl,-rpath,{}", library.folder))
        .args(["-lm", "-ldl", "-lpthread"]));
    Some(Executable {
        runtime: runtime_folder(&python, &source.join("runtime")),
        python,
        home: Some(library.prefix),
        minor: library.minor,
        free_threaded: false,
    })
}
