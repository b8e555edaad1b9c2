//! The steps of an image in their order: compiler, C libraries, interpreter, runtime interface client, SDK.

use std::collections::BTreeMap;
use std::thread;

use oci::{Digest, Entry, ImagePath};

use super::BuildError;
use super::inputs::Inputs;
use super::licences::Licences;
use super::packages::Packages;
use super::qemu::Qemu;
use super::scripts;
use super::step::{File, Step, View};
use super::toolchain::Toolchain;
use super::workshop::Workshop;
use crate::arch::Arch;
use crate::inputs::{Fetched, Origin};
use crate::recipe::{FreeThreading, Jit, Python, minor_of};

/// Where the interpreter is installed.
const PREFIX: &str = "/var/lang";

/// What the layers above the base are made of: outputs of steps, in the store.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The interpreter's library; its `tree` folder is the root of the file system.
    pub cpython: Digest,
    /// pip and its like, from the root of the file system.
    pub pip: Digest,
    /// boto3 and what it needs, from the root of the file system.
    pub sdk: Digest,
    /// The executable and the runtime interface client's files, from the root of the file system.
    pub runtime: Digest,
}

/// Runs every step that has not been run before, independent ones side by side: for the machine `arch`, on `host`.
pub fn run(
    python: &Python,
    inputs: &Inputs,
    [arch, host]: [Arch; 2],
    glibc: &str,
    qemu: Option<&Qemu>,
    workshop: &Workshop,
) -> Result<Parts, BuildError> {
    let toolchain = &Toolchain::unpack(&inputs.toolchain, arch, host, glibc, workshop)?;
    let rust = inputs.rust.iter().chain([&inputs.rust_std]);
    let rust = &Packages::unpack("rust", rust, workshop)?;
    let licences = Licences::read(toolchain, rust, &inputs.rust_std)?;
    let version = inputs.cpython.artifact.version.as_str();
    thread::scope(|scope| {
        let ric = scope.spawn(|| ric(rust, toolchain, workshop));
        let (cpython, runner) = interpreters(python, inputs, toolchain, workshop)?;
        let check = scope.spawn(move || check(python, inputs, cpython, toolchain, qemu, workshop));
        let install =
            move |title, files, folder| wheels(title, files, folder, runner, version, workshop);
        let pip = scope.spawn(move || install("pip", &inputs.installers, None));
        let folder = python.series().sdk_in_runtime.then_some("/var/runtime");
        let sdk = scope.spawn(move || install("sdk", &inputs.sdk, folder));
        let files = scope.spawn(move || runtime_files(runner, version, workshop));
        let ric = join(ric)?;
        join(check)?;
        let executable = link(cpython, ric, version, toolchain, workshop)?;
        let runtime = runtime(
            python,
            executable,
            join(files)?,
            &licences,
            version,
            workshop,
        )?;
        Ok(Parts {
            cpython,
            pip: join(pip)?,
            sdk: join(sdk)?,
            runtime,
        })
    })
}

fn join<T>(handle: thread::ScopedJoinHandle<'_, T>) -> T {
    handle
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What takes longest is started first, so that nobody waits for it in the end.
const SLOWEST: [&str; 4] = ["openssl", "sqlite", "ncurses", "xz"];

/// The libraries' outputs, in the order of their sources.
pub(super) fn libraries(
    sources: &[Fetched],
    toolchain: &Toolchain,
    workshop: &Workshop,
) -> Result<Vec<Digest>, BuildError> {
    // libedit is the only library that needs another one to compile.
    let (last, mut first): (Vec<&Fetched>, Vec<&Fetched>) =
        sources.iter().partition(|source| source.name == "libedit");
    let rank = |name: &str| SLOWEST.iter().position(|slow| *slow == name);
    first.sort_by_key(|source| rank(&source.name).unwrap_or(SLOWEST.len()));
    let mut outputs: BTreeMap<&str, Digest> = BTreeMap::new();
    for batch in [first, last] {
        let needed: Vec<Digest> = outputs.get("ncurses").copied().into_iter().collect();
        let built: Vec<Result<(&str, Digest), BuildError>> = thread::scope(|scope| {
            let needed = &needed;
            let start = |source| scope.spawn(move || library(source, needed, toolchain, workshop));
            let running: Vec<_> = batch.into_iter().map(start).collect();
            running.into_iter().map(join).collect()
        });
        for result in built {
            let (name, output) = result?;
            outputs.insert(name, output);
        }
    }
    Ok(outputs.into_values().collect())
}

fn library<'a>(
    source: &'a Fetched,
    dependencies: &[Digest],
    toolchain: &Toolchain,
    workshop: &Workshop,
) -> Result<(&'a str, Digest), BuildError> {
    let version = &source.artifact.version;
    let dependencies = if source.name == "libedit" {
        dependencies.to_vec()
    } else {
        Vec::new()
    };
    let step = Step {
        title: toolchain.title(&format!("{} {version}", source.name)),
        script: scripts::library(&source.name)?,
        source: Some(source),
        dependencies,
        tools: vec![toolchain.tool()],
        environment: environment(version, toolchain),
        ..Step::default()
    };
    Ok((&source.name, step.output(workshop)?))
}

/// The image's interpreter, and one whose bytecode is the same and that runs on this machine. One with a JIT or for another
/// machine is made by one of the same version for this machine and without: that runs the scripts of CPython's build.
fn interpreters(
    python: &Python,
    inputs: &Inputs,
    toolchain: &Toolchain,
    workshop: &Workshop,
) -> Result<(Digest, Digest), BuildError> {
    let libraries = |toolchain: &Toolchain| libraries(&inputs.libraries, toolchain, workshop);
    if python.jit == Jit::Disabled && !toolchain.is_cross() {
        let built = cpython(
            python,
            inputs,
            libraries(toolchain)?,
            None,
            toolchain,
            workshop,
        )?;
        return Ok((built, built));
    }
    let plain = Python {
        jit: Jit::Disabled,
        ..python.clone()
    };
    thread::scope(|scope| {
        let native = toolchain.native();
        let others = scope.spawn(|| libraries(toolchain));
        let runner = cpython(&plain, inputs, libraries(&native)?, None, &native, workshop)?;
        let others = join(others)?;
        let built = cpython(python, inputs, others, Some(runner), toolchain, workshop)?;
        Ok((built, runner))
    })
}

/// The interpreter; `runner` runs the scripts of its build where it cannot do so itself.
fn cpython(
    python: &Python,
    inputs: &Inputs,
    libraries: Vec<Digest>,
    runner: Option<Digest>,
    toolchain: &Toolchain,
    workshop: &Workshop,
) -> Result<Digest, BuildError> {
    let source = &inputs.cpython;
    let version = &source.artifact.version;
    let llvm = match python.jit {
        Jit::Disabled => None,
        _ => Some(Packages::unpack("llvm", &inputs.llvm, workshop)?),
    };
    let environment = cpython_environment(python, inputs, toolchain);
    let mut files = setup(python);
    if let Some(profile) = &inputs.profile {
        files.insert("profile".to_owned(), File::Bytes(&profile.profdata));
        files.insert("start".to_owned(), File::Text(&profile.header.start));
    }
    let step = Step {
        title: toolchain.title(&format!("cpython {version}{}", python.variant())),
        script: "cpython.sh",
        source: Some(source),
        files,
        dependencies: libraries,
        views: runner.map(interpreter).unwrap_or_default(),
        tools: [toolchain.tool()]
            .into_iter()
            .chain(llvm.as_ref().map(Packages::tool))
            .collect(),
        environment,
    };
    step.output(workshop)
}

/// The variables of cpython.sh.
pub(super) fn cpython_environment(
    python: &Python,
    inputs: &Inputs,
    toolchain: &Toolchain,
) -> BTreeMap<&'static str, String> {
    let series = python.series();
    let mut environment = environment(&inputs.cpython.artifact.version, toolchain);
    environment.insert("BUILD", triple(toolchain.host));
    environment.insert("JIT", python.jit.to_string());
    environment.insert("FREE_THREADING", python.free_threading.to_string());
    environment.insert("OPTIMIZE", python.optimize.to_string());
    environment.insert("CONFIGURE", series.configure.join(" "));
    environment
}

/// The files of cpython.sh, without a profile.
pub(super) fn setup(python: &Python) -> BTreeMap<String, File<'static>> {
    let mut files = BTreeMap::from([("link.sh".to_owned(), File::Bytes(scripts::text("link.sh")))]);
    if !python.series().modules_of_configure {
        files.insert("setup".to_owned(), File::Text(scripts::static_setup()));
    }
    files
}

/// Asks the built interpreter whether it is what the recipe says; another machine's through an emulator. Without one nobody
/// asks, and the image is the same.
fn check(
    python: &Python,
    inputs: &Inputs,
    cpython: Digest,
    toolchain: &Toolchain,
    qemu: Option<&Qemu>,
    workshop: &Workshop,
) -> Result<(), BuildError> {
    let version = &inputs.cpython.artifact.version;
    let title = toolchain.title(&format!("checks of cpython {version}{}", python.variant()));
    let mut tools = Vec::new();
    let mut command = String::new();
    let library;
    if toolchain.is_cross() {
        let Some(qemu) = qemu else {
            return Ok(());
        };
        library = Packages::unpack("libc", &inputs.foreign_libc, workshop)?;
        tools = vec![qemu.tool(), library.tool()];
        command = "/imgbuild/qemu -L /imgbuild/libc".to_owned();
    }
    let step = Step {
        title,
        script: "check.sh",
        files: [("check.py".to_owned(), File::Text(scripts::check()))].into(),
        views: interpreter(cpython),
        tools,
        environment: BTreeMap::from([
            ("PREFIX", PREFIX.to_owned()),
            ("VERSION", version.clone()),
            ("EMULATOR", command),
            ("JIT", python.jit.to_string()),
            ("FREE_THREADING", python.free_threading.to_string()),
            ("MODULES", python.series().all_modules().join(" ")),
        ]),
        ..Step::default()
    };
    step.output(workshop).map(drop)
}

/// Installs wheels with an interpreter whose bytecode is the image's, into a folder of their own or into site-packages.
fn wheels(
    title: &str,
    wheels: &[Fetched],
    folder: Option<&str>,
    runner: Digest,
    version: &str,
    workshop: &Workshop,
) -> Result<Digest, BuildError> {
    let environment = BTreeMap::from([
        ("PREFIX", PREFIX.to_owned()),
        ("VERSION", version.to_owned()),
        ("FOLDER", folder.unwrap_or_default().to_owned()),
    ]);
    let step = Step {
        title: format!("{title} for cpython {version}"),
        script: "wheels.sh",
        files: wheels
            .iter()
            .map(|wheel| (filename(wheel), File::Input(wheel)))
            .collect(),
        views: interpreter(runner),
        environment,
        ..Step::default()
    };
    step.output(workshop)
}

/// A wheel's own name, which pip reads.
pub(super) fn filename(wheel: &Fetched) -> String {
    let of = |origin: &Origin| match origin {
        Origin::Wheel { filename, .. } => Some(filename.clone()),
        _ => None,
    };
    wheel
        .artifact
        .origins
        .iter()
        .find_map(of)
        .unwrap_or_else(|| format!("{}-{}-py3-none-any.whl", wheel.name, wheel.artifact.version))
}

/// Compiles the runtime interface client: one archive for every version and base.
fn ric(rust: &Packages, toolchain: &Toolchain, workshop: &Workshop) -> Result<Digest, BuildError> {
    let target = format!("{}-unknown-linux-gnu", toolchain.arch.machine());
    let step = Step {
        title: toolchain.title("runtime interface client"),
        script: "ric.sh",
        files: scripts::ric_source()
            .into_iter()
            .map(|(name, text)| (name, File::Text(text)))
            .collect(),
        tools: vec![rust.tool()],
        environment: BTreeMap::from([("RUST_TARGET", target)]),
        ..Step::default()
    };
    step.output(workshop)
}

/// Links the interpreter and the runtime interface client into one executable.
fn link(
    cpython: Digest,
    ric: Digest,
    version: &str,
    toolchain: &Toolchain,
    workshop: &Workshop,
) -> Result<Digest, BuildError> {
    let step = Step {
        title: toolchain.title(&format!("executable of cpython {version}")),
        script: "link.sh",
        views: vec![
            View {
                output: cpython,
                folder: "link",
                place: "/imgbuild/link",
            },
            View {
                output: ric,
                folder: "",
                place: "/imgbuild/ric",
            },
        ],
        tools: vec![toolchain.tool()],
        environment: environment(version, toolchain),
        ..Step::default()
    };
    step.output(workshop)
}

/// The runtime's Python files, with bytecode.
fn runtime_files(runner: Digest, version: &str, workshop: &Workshop) -> Result<Digest, BuildError> {
    let step = Step {
        title: format!("runtime files for cpython {version}"),
        script: "runtime.sh",
        files: scripts::runtime_files()
            .into_iter()
            .map(|(name, text)| (name, File::Text(text)))
            .collect(),
        views: interpreter(runner),
        environment: BTreeMap::from([
            ("PREFIX", PREFIX.to_owned()),
            ("VERSION", version.to_owned()),
        ]),
        ..Step::default()
    };
    step.output(workshop)
}

/// Puts the executable, its names and the runtime's files where the image has them.
fn runtime(
    features: &Python,
    executable: Digest,
    files: Digest,
    licences: &Licences,
    version: &str,
    workshop: &Workshop,
) -> Result<Digest, BuildError> {
    let minor = minor_of(version);
    let free_threading = features.free_threading == FreeThreading::Enabled;
    let texts = licences.digest();
    let key = (
        "runtime 3",
        executable,
        files,
        &minor,
        free_threading,
        texts,
    );
    let key = Digest::of(&serde_json::to_vec(&key).expect("a key is plain data"));
    workshop.once(&key, "runtime", || {
        let mut tree = workshop.tree(&files)?;
        let python = format!("var/lang/bin/python{minor}");
        let linked = workshop.tree(&executable)?;
        let program = linked
            .get(&path(&format!("python{minor}")))
            .ok_or(BuildError::Vanished(executable))?;
        tree.insert(path(&python), program.clone())?;
        let links = [
            ("var/lang/bin/python3", format!("python{minor}")),
            ("var/lang/bin/python", "python3".to_owned()),
            ("var/runtime/bootstrap", format!("/{python}")),
            ("lambda-entrypoint.sh", "/var/runtime/bootstrap".to_owned()),
            (
                "usr/local/bin/aws-lambda-rie",
                "/var/runtime/bootstrap".to_owned(),
            ),
        ];
        for (name, target) in links {
            tree.insert(path(name), Entry::symlink(target))?;
        }
        if free_threading {
            // The name that CPython gives this build, and that its own scripts ask for.
            let name = path(&format!("{python}t"));
            tree.insert(name, Entry::symlink(format!("python{minor}")))?;
        }
        for (name, text) in licences.iter() {
            let place = path(&format!("var/lang/share/licenses/{name}"));
            tree.insert(place, Entry::file(text.to_vec(), 0o644))?;
        }
        for folder in ["var/task", "opt"] {
            tree.insert(path(folder), Entry::dir(0o755))?;
        }
        workshop.keep(&tree)
    })
}

/// The built interpreter at its place, and the one that runs while the image is built.
fn interpreter(cpython: Digest) -> Vec<View> {
    vec![
        View {
            output: cpython,
            folder: "tree/var/lang",
            place: PREFIX,
        },
        View {
            output: cpython,
            folder: "host",
            place: "/imgbuild/host",
        },
    ]
}

/// The variables of every script that compiles.
fn environment(version: &str, toolchain: &Toolchain) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("VERSION", version.to_owned()),
        ("PREFIX", PREFIX.to_owned()),
        ("TARGET", triple(toolchain.arch)),
        ("GLIBC", toolchain.glibc.clone()),
    ])
}

/// A machine as configure scripts name it: `x86_64-linux-gnu`.
fn triple(arch: Arch) -> String {
    format!("{}-linux-gnu", arch.machine())
}

fn path(text: &str) -> ImagePath {
    text.parse().expect("the runtime's paths are well formed")
}
