//! The interpreters beside the plain one of python3.13: without the lock, with a JIT, and one for Amazon Linux 2; as compiled
//! in the least time.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{compiling, edit, imgbuild, inside, labels_of, program, root_of, run};

/// Builds a variant and has `variants.handler` of tests/it/functions say what it is.
fn build_and_ask(arguments: &[&str]) -> (PathBuf, Value) {
    let (layout, said, _) = build_ask_and_listen(arguments, Path::new("."));
    (layout, said)
}

/// The same, with what the build wrote to stderr.
fn build_ask_and_listen(arguments: &[&str], folder: &Path) -> (PathBuf, Value, String) {
    let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join("variants");
    let alone = compiling();
    let built = run(imgbuild(["build", "--output"])
        .current_dir(folder)
        .arg(&output)
        .args(arguments))
    .succeeded();
    drop(alone);
    let layout = PathBuf::from(built.stdout.split('@').next().unwrap());
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/functions");
    let said = run(imgbuild(["invoke"])
        .arg(&layout)
        .arg("--code")
        .arg(functions)
        .args(["--handler", "variants.handler"]))
    .succeeded();
    let said = serde_json::from_str(&said.stdout).unwrap();
    (layout, said, built.stderr)
}

fn name(layout: &Path) -> &str {
    layout.file_name().unwrap().to_str().unwrap()
}

#[test]
fn without_the_lock() {
    let (layout, said) = build_and_ask(&[
        "python3.13",
        "--set",
        "python.free_threading=enabled",
        "--set",
        "python.optimize=none",
    ]);
    assert_eq!(name(&layout), "python3.13-freethreaded");
    assert_eq!(
        (&said["gil"], &said["gil_after_boto3"]),
        (&json!(false), &json!(false)),
        "{said}"
    );
    assert_eq!(
        said["boto3"],
        "/var/lang/lib/python3.13t/site-packages/boto3/__init__.py"
    );
}

#[test]
fn with_a_jit_that_is_switched_on_by_the_environment() {
    let (layout, said) = build_and_ask(&[
        "python3.13",
        "--set",
        "python.jit=available",
        "--set",
        "python.optimize=none",
    ]);
    assert_eq!(name(&layout), "python3.13-jit");
    assert_eq!((&said["gil"], &said["jit"]), (&json!(true), &json!(true)));
    let folder = tempfile::tempdir().unwrap();
    let root = root_of(&layout, &folder.path().join("bundle"));
    // What the JIT makes is memory that can be executed and belongs to no file.
    let runs = |switch: &str| {
        let script = "for _ in range(99999): pass\nfor line in open('/proc/self/maps'):\n  part = line.split()\n  if len(part) == 5 and 'x' in part[1]: print('made')";
        let said = run(inside(&root).env("PYTHON_JIT", switch).args([
            "/var/lang/bin/python3",
            "-c",
            script,
        ]))
        .succeeded();
        !said.stdout.is_empty()
    };
    assert_eq!([runs("0"), runs("1")], [false, true]);
}

#[test]
fn an_earlier_series_for_amazon_linux_2() {
    // A profile of another compiler is a warning and a label, and the image is made all the same.
    let folder = tempfile::tempdir().unwrap();
    let profiles = folder.path().join("recipes/profiles");
    fs_err::create_dir_all(&profiles).unwrap();
    for name in ["cpython-3.11.yaml", "cpython-3.11.profdata.xz"] {
        let trained = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/profiles");
        fs_err::copy(trained.join(name), profiles.join(name)).unwrap();
    }
    edit(&profiles.join("cpython-3.11.yaml"), "zig: \"", "zig: \"99.");
    let (layout, said, stderr) = build_ask_and_listen(
        &["python3.11", "--set", "python.optimize=pgo"],
        folder.path(),
    );
    assert_eq!(name(&layout), "python3.11");
    assert!(
        stderr.contains("cpython-3.11.yaml was made with zig 99."),
        "{stderr}"
    );
    assert_eq!(labels_of(&layout)["io.imgbuild.profile"], "none");
    assert_eq!(
        (&said["version"], &said["setuptools"]),
        (&json!("3.11"), &json!("82.0.1"))
    );
    // Up to 3.11 the answer is ASCII, as Lambda's own has it.
    assert_eq!(said["text"], "こ");
    // A clock that is set back must not hang a thread: what waits goes by the monotonic clock, which glibc before 2.30 has
    // for condition variables only.
    let folder = tempfile::tempdir().unwrap();
    let root = root_of(&layout, &folder.path().join("bundle"));
    let script =
        "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire(timeout=0.2)";
    let mut traced = program("strace", ["--quiet=all", "-f", "-e", "trace=futex"]);
    let sandbox = inside(&root);
    traced.arg(sandbox.get_program()).args(sandbox.get_args());
    let said = run(traced.args(["/var/lang/bin/python3.11", "-c", script])).succeeded();
    let timed: Vec<&str> = said
        .stderr
        .lines()
        .filter(|line| line.contains("ETIMEDOUT"))
        .collect();
    assert!(
        !timed.is_empty() && timed.iter().all(|line| !line.contains("CLOCK_REALTIME")),
        "{}",
        said.stderr
    );
    // Early patch releases knew the end of certificates in DER form by an error of OpenSSL's, which is another one in 3.5.
    let script = "import re, ssl; pem = open(ssl.get_default_verify_paths().cafile).read(); \
        der = ssl.PEM_cert_to_DER_cert(re.search('-----BEGIN.*?-----END CERTIFICATE-----', pem, re.S)[0]); \
        print(ssl.create_default_context(cadata=der).cert_store_stats()['x509'])";
    let said = run(inside(&root).args(["/var/lang/bin/python3.11", "-c", script])).succeeded();
    assert_eq!(said.stdout.trim(), "1");
}
