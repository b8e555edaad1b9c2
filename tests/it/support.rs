//! What the tests share: running the program, and one real image that is built once.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start programs and read the environment"
)]

use std::ffi::OsStr;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use imgbuild::arch::Arch;
use imgbuild::inputs::{DebianPackages, FetchOptions, Fetcher, Progress, ProgressMode, Store};

/// How a program ended and what it said.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Panics with everything it said unless it ended well.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(
            self.code,
            Some(0),
            "stdout: {}\nstderr: {}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Panics unless it ended as an error of the user's: exit code 1, one error, nothing on stdout.
    #[track_caller]
    pub fn refused(self) -> String {
        assert_eq!(
            self.code,
            Some(1),
            "stdout: {}\nstderr: {}",
            self.stdout,
            self.stderr
        );
        assert_eq!(self.stdout, "");
        let errors = self
            .stderr
            .lines()
            .filter(|line| line.starts_with("error: "));
        assert_eq!(errors.count(), 1, "{}", self.stderr);
        self.stderr
    }
}

/// A command of this program, with the tests' cache.
pub fn imgbuild<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imgbuild"));
    command
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null());
    command
        .env_remove("SOURCE_DATE_EPOCH")
        .env_remove("IMGBUILD_MIRROR");
    command
}

/// Any program.
pub fn program<S: AsRef<OsStr>>(name: &str, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(name);
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs to the end.
#[track_caller]
pub fn run(command: &mut Command) -> Outcome {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            panic!("{command:?}: {error} (`make setup-test` installs what the tests need)")
        }
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome {
        code: output.status.code(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

/// The cache that the tests share with the user's own builds.
pub fn cache() -> PathBuf {
    if let Some(folder) = std::env::var_os("IMGBUILD_CACHE") {
        return folder.into();
    }
    let home = std::env::var_os("HOME").expect("tests need HOME");
    std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(|| Path::new(&home).join(".cache"), PathBuf::from)
        .join("imgbuild")
}

/// The layout of python3.13, really built, once per run of the tests; or the one that IMGBUILD_TEST_IMAGE names.
pub fn image() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| {
        if let Some(layout) = std::env::var_os("IMGBUILD_TEST_IMAGE") {
            return fs_err::canonicalize(PathBuf::from(layout)).unwrap();
        }
        let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dist");
        let outcome = run(imgbuild(["build", "python3.13", "--output"]).arg(&output)).succeeded();
        eprintln!("{}", outcome.stderr);
        output.join("python3.13")
    })
}

/// Held while a test compiles: tests with a limit of time would fail beside two others that compile, too.
pub fn compiling() -> MutexGuard<'static, ()> {
    static COMPILING: Mutex<()> = Mutex::new(());
    COMPILING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A copy of the recipes and base definitions, to change.
pub fn definitions() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["recipes", "images"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        for file in files_below(&from) {
            let to = folder
                .path()
                .join(name)
                .join(file.strip_prefix(&from).unwrap());
            fs_err::create_dir_all(to.parent().unwrap()).unwrap();
            fs_err::copy(file, to).unwrap();
        }
    }
    folder
}

/// Replaces text in a file; the text must be there.
#[track_caller]
pub fn edit(path: &Path, from: &str, to: &str) {
    let text = fs_err::read_to_string(path).unwrap();
    assert!(text.contains(from), "{} has no {from:?}", path.display());
    fs_err::write(path, text.replace(from, to)).unwrap();
}

/// The same in a lock, which then says of itself that it was written like that.
#[track_caller]
pub fn edit_lock(path: &Path, from: &str, to: &str) {
    edit(path, from, to);
    let text = fs_err::read_to_string(path).unwrap();
    let (body, _) = text.split_at(text.rfind("checksum: ").unwrap());
    let digest = oci::Digest::of(body.as_bytes());
    fs_err::write(path, format!("{body}checksum: {digest}\n")).unwrap();
}

/// The labels of a built image.
pub fn labels_of(layout: &Path) -> serde_json::Value {
    let layout = format!("oci:{}", layout.display());
    let seen = run(&mut program("skopeo", ["inspect", "--config", &layout])).succeeded();
    let config: serde_json::Value = serde_json::from_str(&seen.stdout).unwrap();
    config["config"]["Labels"].clone()
}

/// The image's root file system, unpacked by umoci below `folder`.
pub fn root_of(layout: &Path, folder: &Path) -> PathBuf {
    let index: serde_json::Value =
        serde_json::from_slice(&fs_err::read(layout.join("index.json")).unwrap()).unwrap();
    let tag = index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"]
        .as_str()
        .unwrap();
    let reference = format!("{}:{tag}", layout.display());
    run(program("umoci", ["unpack", "--rootless", "--image", &reference]).arg(folder)).succeeded();
    folder.join("rootfs")
}

/// Every regular file below a folder.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files_below(&entry.path()));
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found
}

/// Puts gcc's compilers and what they need into a root file system, as a child image's `apt-get install g++` does.
pub fn add_gcc(root: &Path) {
    let store = Store::open(cache(), Progress::new(ProgressMode::Quiet)).unwrap();
    let names = ["g++".to_owned(), "libc6-dev".to_owned()];
    let packages = DebianPackages::new(&store)
        .resolve("bookworm", Arch::host().unwrap(), &names)
        .unwrap();
    let fetcher = Fetcher::new(&store, FetchOptions::default());
    for package in fetcher.fetch_all(&packages).unwrap() {
        // The links of a merged /usr stay links.
        let script = "dpkg-deb --fsys-tarfile \"$1\" | tar --extract --keep-directory-symlink --directory \"$2\"";
        run(program("sh", ["-c", script, "sh"])
            .arg(&package.path)
            .arg(root))
        .succeeded();
    }
}

/// A server of this machine; it ends with its value.
pub struct Server {
    child: Child,
    pub address: String,
}

impl Server {
    /// Starts what `command` makes for a free address, and waits until it listens there.
    pub fn start(command: impl FnOnce(&str) -> Command) -> Self {
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let mut command = command(&address);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let started = Instant::now();
        while TcpStream::connect(&address).is_err() {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "{command:?} does not listen"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// bubblewrap around an unpacked image; mounts, variables and the command are still to come.
pub fn inside(root: &Path) -> Command {
    let mut command = program("bwrap", ["--unshare-pid", "--die-with-parent", "--ro-bind"]);
    command
        .arg(root)
        .args(["/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]);
    command
}
