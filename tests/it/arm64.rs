//! The image for another machine than this one, built beside this machine's: what is in it, that it runs, and that both
//! make one index. On arm64 the other machine is amd64.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use imgbuild::arch::Arch;
use oci::{Digest, Entry, Kind, Layout, Tree};
use serde_json::{Value, json};

use crate::registries::real_registry::RealRegistry;
use crate::support::{Outcome, compiling, imgbuild, inside, program, root_of, run};

/// What compiles in the least time.
const QUICK: &str = "python.optimize=none";

fn foreign() -> Arch {
    match Arch::host().unwrap() {
        Arch::Amd64 => Arch::Arm64,
        Arch::Arm64 => Arch::Amd64,
    }
}

fn build(output: &Path, archs: &str) -> Outcome {
    let mut command = imgbuild([
        "build",
        "python3.13",
        "--arch",
        archs,
        "--set",
        QUICK,
        "--output",
    ]);
    run(command.arg(output)).succeeded()
}

/// This machine's image and the other's, built together once.
fn images() -> &'static [PathBuf; 2] {
    static IMAGES: OnceLock<[PathBuf; 2]> = OnceLock::new();
    IMAGES.get_or_init(|| {
        let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join("machines");
        let alone = compiling();
        let built = build(&output, "arm64,amd64");
        drop(alone);
        let layouts = ["python3.13".to_owned(), format!("python3.13-{}", foreign())];
        let layouts = layouts.map(|name| output.join(name));
        let said: Vec<&str> = built.stdout.lines().collect();
        assert_eq!(said.len(), 2, "{}", built.stdout);
        for layout in &layouts {
            let line = format!("{}@sha256:", layout.display());
            let lines = said.iter().filter(|said| said.starts_with(&line));
            assert_eq!(lines.count(), 1, "{}", built.stdout);
        }
        layouts
    })
}

fn qemu() -> String {
    format!("/usr/bin/qemu-{}-static", foreign().machine())
}

#[test]
fn the_other_machines_image_is_for_it() {
    let [_, layout] = images();
    let report = run(imgbuild(["verify"]).arg(layout)).succeeded();
    assert!(!report.stdout.contains("error"), "{}", report.stdout);
    let image = Layout::open(layout).unwrap().image().unwrap();
    let config: Value = serde_json::from_slice(image.config()).unwrap();
    assert_eq!(config["architecture"], foreign().name());
    assert_eq!(config["config"]["Labels"]["io.imgbuild.python"], "3.13.5");

    let folder = tempfile::tempdir().unwrap();
    let root = root_of(layout, &folder.path().join("bundle"));
    let machine = match foreign() {
        Arch::Amd64 => "X86-64",
        Arch::Arm64 => "AArch64",
    };
    for file in ["bin/python3.13", "lib/libpython3.13.so.1.0"] {
        let header = program("readelf", ["--file-header"])
            .arg(root.join("var/lang").join(file))
            .output()
            .unwrap();
        let header = String::from_utf8(header.stdout).unwrap();
        let line = header.lines().find(|line| line.contains("Machine:"));
        assert!(line.is_some_and(|line| line.ends_with(machine)), "{header}");
    }

    // The interpreter that compiled the bytecode was this machine's; the image's own writes the same.
    let script = r#"
import glob, py_compile
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
files = sorted(glob.glob("/var/lang/lib/python3.13/json/*.py") + glob.glob("/var/lang/lib/python3.13/email/*.py"))
for file in files:
    folder, name = file.rsplit("/", 1)
    py_compile.compile(file, cfile="/tmp/compiled", invalidation_mode=mode)
    with open("/tmp/compiled", "rb") as ours, open(f"{folder}/__pycache__/{name[:-3]}.cpython-313.pyc", "rb") as theirs:
        assert ours.read() == theirs.read(), file
print(len(files))
"#;
    let mut command = inside(&root);
    command.args([
        "--ro-bind",
        &qemu(),
        "/dev/qemu",
        "--setenv",
        "PYTHONHASHSEED",
        "0",
    ]);
    let said = run(command.args(["/dev/qemu", "/var/lang/bin/python3.13", "-c", script]));
    let compiled: usize = said.succeeded().stdout.trim().parse().unwrap();
    assert!(compiled > 20, "{compiled}");
}

/// All files of the interpreter's library, without what its machine makes different. What describes the build, to those who
/// build extensions, names the machine and says three things about it.
fn library(layout: &Path, arch: Arch) -> Vec<(String, String)> {
    const OF_THE_MACHINE: [&str; 3] = [
        "HAVE_GCC_ASM_FOR_X64",
        "HAVE_GCC_ASM_FOR_X87",
        "HAVE_USABLE_WCHAR_T",
    ];
    let scratch = tempfile::tempdir().unwrap();
    let image = Layout::open(layout).unwrap().image().unwrap();
    let root: Tree = image.root_tree(scratch.path()).unwrap();
    let neutral = |text: &str| {
        let text = text
            .replace(arch.machine(), "MACHINE")
            .replace("MACHINE-pc-", "MACHINE-unknown-");
        let same = |line: &&str| !OF_THE_MACHINE.iter().any(|name| line.contains(name));
        text.lines().filter(same).collect::<Vec<_>>().join("\n")
    };
    let of = |path: &str, entry: &Entry| match &entry.kind {
        // Bytecode knows the path of its source.
        Kind::File(_) if path.contains(arch.machine()) && path.ends_with(".pyc") => String::new(),
        Kind::File(content) => {
            let bytes = content.read(64 << 20).unwrap();
            match std::str::from_utf8(&bytes) {
                Ok(text) if path.contains(arch.machine()) => neutral(text),
                _ => Digest::of(&bytes).to_string(),
            }
        }
        other => format!("{other:?}"),
    };
    let folder = "var/lang/lib/python3.13".parse().unwrap();
    root.subtree(&folder)
        .map(|(path, entry)| (path.to_string(), of(&path.to_string(), entry)))
        .map(|(path, text)| (path.replace(arch.machine(), "MACHINE"), text))
        .collect()
}

#[test]
fn both_machines_have_the_same_library() {
    let [ours, theirs] = images();
    let ours = library(ours, Arch::host().unwrap());
    let theirs = library(theirs, foreign());
    assert_eq!(ours.len(), theirs.len());
    assert!(ours.len() > 1000);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let mut lines = ours.1.lines().zip(theirs.1.lines());
        let differs = lines.find(|(ours, theirs)| ours != theirs);
        assert!(ours == theirs, "{} and {}: {differs:?}", ours.0, theirs.0);
    }
}

#[test]
fn a_function_runs_in_the_other_machines_image() {
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/functions");
    let mut command = imgbuild(["invoke", "--handler", "machine.handler"]);
    command.arg(&images()[1]).arg("--code").arg(&functions);
    let said = run(&mut command).succeeded();
    assert_eq!(
        serde_json::from_str::<Value>(&said.stdout).unwrap(),
        json!({
            "machine": foreign().machine(),
            "hash": "siphash13",
            "tzset": true,
            "decimal": "0.3",
            "sqlite": 2,
            "tls": "TLSv1_2",
        })
    );
    assert!(
        said.stderr.contains("REPORT RequestId: "),
        "{}",
        said.stderr
    );
}

#[test]
fn without_qemu_the_image_is_the_same_and_does_not_run() {
    let [_, layout] = images();
    let digest = |layout: &Path| Layout::open(layout).unwrap().manifest_digest().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = imgbuild([
        "build",
        "python3.13",
        "--arch",
        foreign().name(),
        "--set",
        QUICK,
        "--output",
    ]);
    let built = run(command.arg(folder.path()).env("PATH", folder.path())).succeeded();
    let warning = format!("the {} interpreter is not asked", foreign());
    assert!(built.stderr.contains(&warning), "{}", built.stderr);
    let name = format!("python3.13-{}", foreign());
    assert_eq!(digest(&folder.path().join(name)), digest(layout));

    if Path::new("/proc/sys/fs/binfmt_misc")
        .join(format!("qemu-{}", foreign().machine()))
        .exists()
    {
        return;
    }
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/functions");
    let mut command = imgbuild(["invoke", "--handler", "machine.handler"]);
    command.arg(layout).arg("--code").arg(&functions);
    let said = run(command.env("PATH", folder.path())).refused();
    assert!(said.contains("this machine has no QEMU for"), "{said}");
    assert!(said.contains("\nhint: install qemu-"), "{said}");
}

#[test]
fn both_make_one_index() {
    let registry = RealRegistry::plain();
    let to = format!("{}/team/python:3.13", registry.address());
    let [ours, theirs] = images();
    let both = format!("{},{}", ours.display(), theirs.display());
    run(&mut imgbuild([
        "push",
        &both,
        &to,
        "--index",
        "--allow-fallback",
    ]))
    .succeeded();
    let image = format!("docker://{to}");
    for arch in [Arch::Amd64, Arch::Arm64] {
        let arguments = [
            "inspect",
            "--tls-verify=false",
            "--override-arch",
            arch.name(),
            &image,
        ];
        let said = run(&mut program("skopeo", arguments)).succeeded();
        let said: Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!(said["Architecture"], arch.name());
    }
}

#[test]
fn machine_types_that_cannot_be_built_are_refused() {
    let said = run(&mut imgbuild(["build", "python3.13", "--arch", "sparc"])).refused();
    assert!(
        said.contains("use amd64 (x86_64) or arm64 (aarch64)"),
        "{said}"
    );
    let folder = tempfile::tempdir().unwrap();
    let tarball = folder.path().join("both.tar");
    let mut command = imgbuild(["build", "python3.13", "--arch", "amd64,arm64", "--tarball"]);
    let said = run(command.arg(&tarball)).refused();
    assert!(
        said.contains("\nhint: give --arch one machine type"),
        "{said}"
    );
    assert!(!tarball.exists());
}
