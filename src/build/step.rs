//! A step: a script, its inputs and its environment come in; one canonical tar in the store comes out.
//!
//! A step is a pure function of its key: the script, the compiler, the inputs' digests and the variables. A key that has
//! been built before is not built again; two builds that want the same key at once share the work.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oci::{Digest, Tree};
use serde::Serialize;

use super::BuildError;
use super::compiler_cache;
use super::sandbox::{self, Isolation, Sandbox};
use super::scripts;
use super::workshop::{Workplace, Workshop, step_epoch};
use crate::inputs::{Fetched, unpack};
use crate::process::Process;

/// What a script needs.
#[derive(Default)]
pub struct Step<'a> {
    /// For people: `openssl 3.5.9`.
    pub title: String,
    /// The file name of the script.
    pub script: &'static str,
    /// Unpacked at /imgbuild/src.
    pub source: Option<&'a Fetched>,
    /// Files that the script finds in /imgbuild/files, by name.
    pub files: BTreeMap<String, File<'a>>,
    /// Outputs of other steps, merged at /imgbuild/deps.
    pub dependencies: Vec<Digest>,
    /// Outputs of other steps, or folders of them, each at a place of its own.
    pub views: Vec<View>,
    /// Folders of the host that are mounted read-only at /imgbuild/NAME, and what identifies their content.
    pub tools: Vec<Tool<'a>>,
    /// The script's variables, beside those that every script has.
    pub environment: BTreeMap<&'static str, String>,
}

/// A folder of an output, and where the script finds it.
#[derive(Serialize)]
pub struct View {
    /// The other step's output.
    pub output: Digest,
    /// A folder in it; empty for the whole.
    pub folder: &'static str,
    /// An absolute path inside the sandbox.
    pub place: &'static str,
}

/// A file of a step.
pub enum File<'a> {
    /// In the store.
    Input(&'a Fetched),
    /// In memory.
    Text(&'a str),
    /// In memory.
    Bytes(&'a [u8]),
}

/// A folder of the host that a step may read.
pub struct Tool<'a> {
    /// Its place below /imgbuild.
    pub name: &'static str,
    /// Its place on the host.
    pub folder: &'a Path,
    /// Names its content.
    pub identity: String,
}

/// What scripts take from the host beside a shell and its usual tools: program and package.
pub const HOST_TOOLS: [(&str, &str); 3] = [
    ("make", "make"),
    ("perl", "perl"),
    ("prlimit", "util-linux"),
];

/// What decides a step's output, in the order in which it is hashed.
#[derive(Serialize)]
struct Key<'a> {
    script: Digest,
    wrappers: Digest,
    source: Option<(&'a Digest, &'a Option<String>)>,
    files: BTreeMap<&'a str, Digest>,
    dependencies: &'a [Digest],
    views: &'a [View],
    tools: Vec<(&'static str, &'a str)>,
    environment: &'a BTreeMap<&'static str, String>,
    /// What was made without a sandbox is never taken for something that was made in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox: Option<&'static str>,
}

impl Step<'_> {
    fn key(&self, isolation: Isolation) -> Digest {
        let digest = |file: &File| match file {
            File::Input(input) => input.artifact.sha256,
            File::Text(text) => Digest::of(text.as_bytes()),
            File::Bytes(bytes) => Digest::of(bytes),
        };
        let key = Key {
            script: scripts::digest(self.script),
            wrappers: scripts::wrappers_digest(),
            source: self
                .source
                .map(|source| (&source.artifact.sha256, &source.artifact.subdir)),
            files: self
                .files
                .iter()
                .map(|(name, file)| (name.as_str(), digest(file)))
                .collect(),
            dependencies: &self.dependencies,
            views: &self.views,
            tools: self
                .tools
                .iter()
                .map(|tool| (tool.name, tool.identity.as_str()))
                .collect(),
            environment: &self.environment,
            sandbox: (isolation == Isolation::Off).then_some("off"),
        };
        Digest::of(&serde_json::to_vec(&key).expect("a key is plain data"))
    }

    /// The step's output, from the store or from running it.
    pub fn output(&self, workshop: &Workshop) -> Result<Digest, BuildError> {
        let key = self.key(workshop.isolation());
        workshop.once(&key, &self.title, || self.run(workshop, &key))
    }

    fn run(&self, workshop: &Workshop, key: &Digest) -> Result<Digest, BuildError> {
        let sandboxed = workshop.isolation() == Isolation::On;
        let tools = HOST_TOOLS
            .into_iter()
            .chain(sandboxed.then_some(sandbox::PROGRAM));
        for (program, package) in tools {
            Process::cleared(program)
                .package(package)
                .arg("--version")
                .run()?;
        }
        let prepared = compiler_cache::prepared(&self.tools, &self.environment, workshop)?;
        let work = workshop.workplace()?;
        let place = |name: &str| -> Result<PathBuf, BuildError> {
            let path = work.path().join(name);
            fs_err::create_dir_all(&path)?;
            Ok(path)
        };
        let (source, files, out) = (place("src")?, place("files")?, place("out")?);
        let (dependencies, zig_cache) = (place("deps")?, place("zig-cache")?);
        if let Some(prepared) = prepared {
            compiler_cache::copy(&prepared, &zig_cache)?;
        }
        if let Some(input) = self.source {
            unpack(&input.path, input.artifact.subdir.as_deref(), &source)?;
        }
        for (name, file) in &self.files {
            let path = files.join(name);
            fs_err::create_dir_all(path.parent().expect("a file has a folder"))?;
            match file {
                File::Input(input) => fs_err::copy(&input.path, path).map(drop)?,
                File::Text(text) => fs_err::write(path, text)?,
                File::Bytes(bytes) => fs_err::write(path, bytes)?,
            }
        }
        let mut merged = Tree::new();
        for output in &self.dependencies {
            merged.graft(None, workshop.tree(output)?)?;
        }
        merged.extract(&dependencies)?;
        let mut sandbox = workbench(self.script, &work, workshop)?;
        for view in &self.views {
            let whole = work.path().join(view.output.hex());
            if !whole.exists() {
                workshop.tree(&view.output)?.extract(&whole)?;
            }
            sandbox = sandbox.read_only(whole.join(view.folder), view.place);
        }
        sandbox = sandbox
            .writable(source, "/imgbuild/src")
            .writable(&out, "/imgbuild/out")
            .writable(zig_cache, compiler_cache::PLACE)
            .read_only(files, "/imgbuild/files")
            .read_only(dependencies, "/imgbuild/deps")
            .folder("/imgbuild/src");
        for tool in &self.tools {
            sandbox = sandbox.read_only(tool.folder, format!("/imgbuild/{}", tool.name));
        }
        for (name, value) in &self.environment {
            sandbox = sandbox.env(*name, value);
        }
        workshop.run(&sandbox, &work, &COMMAND, &self.title, key)?;
        workshop.keep(&Tree::from_dir(&out)?)
    }
}

/// What runs in a [`workbench`].
pub const COMMAND: [&str; 2] = ["sh", "/imgbuild/script.sh"];

/// A sandbox with what every script has: its text, the compiler's wrappers, room for temporary files, and the variables
/// that are the same for all.
pub fn workbench(
    script: &str,
    work: &Workplace,
    workshop: &Workshop,
) -> Result<Sandbox, BuildError> {
    let [wrappers, temporary, shared] =
        ["wrappers", "tmp", "shm"].map(|name| work.path().join(name));
    for folder in [&wrappers, &temporary, &shared] {
        fs_err::create_dir_all(folder)?;
    }
    scripts::write_wrappers(&wrappers)?;
    let file = work.path().join("script.sh");
    fs_err::write(&file, scripts::text(script))?;
    Ok(Sandbox::with_host_tools()
        .writable(temporary, "/tmp")
        .writable(shared, "/dev/shm")
        .read_only(wrappers, "/imgbuild/wrappers")
        .read_only(file, COMMAND[1])
        .env(
            "PATH",
            "/imgbuild/wrappers:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        )
        .env("HOME", "/tmp")
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .env("SOURCE_DATE_EPOCH", step_epoch().seconds().to_string())
        .env("JOBS", workshop.jobs().to_string())
        .env("ZIG_GLOBAL_CACHE_DIR", compiler_cache::PLACE)
        .env("ZIG_LOCAL_CACHE_DIR", "/tmp/zig-local"))
}
