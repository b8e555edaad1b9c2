//! One real, whole build of python3.13, looked at by independent tools and used as its users would.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Outcome, Server, image, imgbuild, inside, labels_of, program, run};

fn functions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/functions")
}

/// Invokes a function of tests/it/functions in the image.
fn invoke(handler: &str, event: &str, more: &[&str]) -> Outcome {
    let mut command = imgbuild(["invoke"]);
    command.arg(image()).arg("--code").arg(functions());
    run(command
        .args(["--handler", handler, "--event", event])
        .args(more))
}

fn answer(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|e| panic!("{e}: {outcome:?}"))
}

#[test]
fn the_layout_is_what_lambda_takes() {
    let report = run(imgbuild(["verify"]).arg(image())).succeeded();
    assert!(!report.stdout.contains("error"), "{}", report.stdout);
}

#[test]
fn the_boto3_function_prints_the_recipes_pins() {
    let outcome = invoke("versions.handler", "{}", &[]).succeeded();
    assert_eq!(
        answer(&outcome),
        json!({"boto3": "1.44.5", "botocore": "1.44.5"})
    );
    assert!(
        outcome.stderr.contains("boto3 version: 1.44.5\n"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn an_invocation_answers_on_stdout_and_logs_on_stderr() {
    let outcome = invoke(
        "app.echo",
        r#"{"a": [1, "こんにちは"]}"#,
        &["--env", "COLOUR=blue", "--timeout", "60"],
    )
    .succeeded();
    let answer = answer(&outcome);
    assert_eq!(answer["event"], json!({"a": [1, "こんにちは"]}));
    assert_eq!(
        (&answer["executable"], &answer["path"]),
        (&json!("/var/lang/bin/python3.13"), &json!("/var/task"))
    );
    assert_eq!(answer["colour"], "blue");
    let remaining = answer["remaining"].as_u64().unwrap();
    assert!((30_000..=60_000).contains(&remaining), "{remaining}");
    for line in [
        "to stdout",
        "to stderr",
        "START RequestId: ",
        "END RequestId: ",
        "REPORT RequestId: ",
    ] {
        assert!(outcome.stderr.contains(line), "{line}: {}", outcome.stderr);
    }
    assert!(
        outcome.stderr.contains(answer["request"].as_str().unwrap()),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_function_error_is_exit_code_1_with_its_trace() {
    let outcome = invoke("app.fail", "{}", &[]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let error = answer(&outcome);
    assert_eq!(
        (&error["errorType"], &error["errorMessage"]),
        (&json!("ValueError"), &json!("no such thing"))
    );
    assert!(
        error["stackTrace"][0]
            .as_str()
            .unwrap()
            .contains("/var/task/app.py"),
        "{error}"
    );
}

#[test]
fn a_handler_that_is_not_there_is_an_init_error() {
    let outcome = invoke("nowhere.handler", "{}", &[]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome.stdout.contains("Runtime.ImportModuleError"),
        "{outcome:?}"
    );
}

#[test]
fn the_timeout_ends_a_function() {
    let outcome = invoke("app.slow", "{}", &["--timeout", "1"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome.stdout.contains("Task timed out after 1.00 seconds"),
        "{outcome:?}"
    );
}

#[test]
fn a_function_has_the_memory_that_it_is_given() {
    let memory = |megabytes: u32, more: &[&str]| {
        invoke(
            "app.memory",
            &format!("{{\"megabytes\": {megabytes}}}"),
            more,
        )
    };
    let enough = ["--memory-size", "256"];
    assert_eq!(
        answer(&memory(100, &enough).succeeded()),
        json!([100, "256"])
    );
    let said = memory(2000, &enough).refused();
    assert!(
        said.contains("the function was stopped: it used more than 256 MiB of memory")
            && said.contains("hint: if it needs more, allow it with --memory-size"),
        "{said}"
    );
    let more = ["--memory-size", "2048"];
    assert_eq!(
        answer(&memory(1000, &more).succeeded()),
        json!([1000, "2048"])
    );
}

#[test]
fn a_fork_bomb_of_a_function_is_stopped() {
    // What they share counts for each.
    let many = ["--timeout", "60", "--memory-size", "10240"];
    let said = invoke("app.processes", "{}", &many).refused();
    assert!(
        said.contains("the function was stopped: it had more than 1027 processes"),
        "{said}"
    );
}

#[test]
fn a_function_that_stops_the_emulator_is_stopped() {
    let started = std::time::Instant::now();
    let said = invoke("app.murder", "{}", &["--timeout", "1"]).refused();
    assert!(
        said.contains("the function was stopped: it took more than 42 s"),
        "{said}"
    );
    assert!(started.elapsed().as_secs() < 60, "{said}");
}

#[test]
fn a_function_writes_to_tmp_alone_and_not_without_end() {
    let read_only = json!([null, "Read-only file system"]);
    assert_eq!(
        answer(&invoke("app.disk", "{}", &[]).succeeded()),
        json!({
            "/tmp": [512, "No space left on device"],
            "/dev": read_only, "/dev/shm": read_only, "/var/task": read_only, "/": read_only,
        })
    );
    let larger = invoke("app.disk", "{}", &["--ephemeral-storage", "1024"]);
    assert_eq!(answer(&larger.succeeded())["/tmp"], 600);
}

#[test]
fn only_tmp_is_writable() {
    assert_eq!(
        answer(&invoke("app.files", "{}", &[]).succeeded()),
        "Read-only file system"
    );
}

#[test]
fn bad_events_and_folders_are_refused() {
    let said = invoke("app.echo", "{not json", &[]).refused();
    assert!(
        said.contains("the event is not JSON") && said.contains("\nhint: "),
        "{said}"
    );
    let said = run(&mut imgbuild([
        "invoke",
        "python3.13",
        "--code",
        "/nowhere",
        "--handler",
        "app.echo",
    ]))
    .refused();
    assert!(said.contains("/nowhere is not a folder"), "{said}");
    let said = run(&mut imgbuild([
        "invoke",
        "./nowhere",
        "--code",
        "tests",
        "--handler",
        "app.echo",
    ]))
    .refused();
    assert!(said.contains("nowhere"), "{said}");
}

#[test]
fn the_interpreter_is_what_the_recipe_says() {
    let outcome = invoke("app.interpreter", "{}", &[]).succeeded();
    let said = answer(&outcome);
    assert!(
        said["version"].as_str().unwrap().starts_with("3.13."),
        "{said}"
    );
    assert_eq!(
        (&said["gil"], &said["free_threaded"], &said["jit"]),
        (&json!(true), &json!(0), &json!(false)),
        "{said}"
    );
    assert_eq!(said["build_paths"], json!([]));
    assert_eq!(said["compiler"], "gcc");
    assert_eq!(said["suffix"], ".cpython-313-x86_64-linux-gnu.so");
    assert!(
        said["openssl"]
            .as_str()
            .unwrap()
            .starts_with("OpenSSL 3.5."),
        "{said}"
    );
    assert!(
        said["certificates"].as_u64().unwrap() > 50,
        "no certificates were found: {said}"
    );
    assert_eq!(
        (&said["fts5"], &said["pid"], &said["lzma"]),
        (&json!(1), &json!(true), &json!(true)),
        "{said}"
    );
    assert_eq!(
        (&said["sha256"], &said["decimal"]),
        (&json!("ba7816bf"), &json!("2.10")),
        "{said}"
    );
}

#[test]
fn skopeo_reads_the_layout() {
    let layout = format!("oci:{}", image().display());
    let seen = run(&mut program("skopeo", ["inspect", "--config", &layout])).succeeded();
    let config: Value = serde_json::from_str(&seen.stdout).unwrap();
    assert_eq!(
        config["config"]["Entrypoint"],
        json!(["/var/runtime/bootstrap"])
    );
    assert_eq!(config["config"]["WorkingDir"], "/var/task");
    let history = config["history"].as_array().unwrap();
    let created_by: Vec<&str> = history
        .iter()
        .map(|entry| entry["created_by"].as_str().unwrap())
        .collect();
    assert_eq!(
        &created_by[created_by.len() - 3..],
        ["python", "sdk", "runtime"]
    );
    let version = config["config"]["Labels"]["io.imgbuild.boto3"].as_str();
    assert_eq!(version, Some("1.44.5"));
}

#[test]
fn umoci_unpacks_it_and_crun_runs_it() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle");
    let index: Value =
        serde_json::from_slice(&fs_err::read(image().join("index.json")).unwrap()).unwrap();
    let tag = index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"]
        .as_str()
        .unwrap();
    let reference = format!("{}:{tag}", image().display());
    run(program("umoci", ["unpack", "--rootless", "--image", &reference]).arg(&bundle)).succeeded();
    let file = bundle.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs_err::read(&file).unwrap()).unwrap();
    let script = "import ssl, sqlite3, ctypes, lzma, bz2, zlib, readline, curses, uuid, decimal, hashlib; print('all there')";
    config["process"]["args"] = json!(["python3.13", "-c", script]);
    config["process"]["terminal"] = json!(false);
    fs_err::write(&file, config.to_string()).unwrap();
    let state = folder.path().join("state");
    let name = format!("imgbuild-test-{}", std::process::id());
    // crun understands one hierarchy of control groups; a machine with both shows it the new one.
    let script = "[ ! -d /sys/fs/cgroup/unified ] || mount -t cgroup2 none /sys/fs/cgroup\n\
                  exec crun --cgroup-manager=disabled --root \"$1\" run --bundle \"$2\" \"$3\"";
    let root = run(&mut program("id", ["-u"])).succeeded().stdout == "0\n";
    let user: &[&str] = if root {
        &[]
    } else {
        &["--user", "--map-root-user"]
    };
    let mut crun = program("unshare", ["--mount"]);
    crun.args(user).args(["sh", "-ec", script, "sh"]);
    let outcome = run(crun.arg(state).arg(&bundle).arg(name)).succeeded();
    assert_eq!(outcome.stdout, "all there\n");
}

#[test]
fn curl_invokes_through_the_emulator() {
    let folder = tempfile::tempdir().unwrap();
    let rootfs = crate::support::root_of(image(), &folder.path().join("root"));
    let emulator = Server::start(|address| {
        let mut command = inside(&rootfs);
        command
            .arg("--ro-bind")
            .arg(functions())
            .args(["/var/task", "--chdir", "/var/task"]);
        command.args([
            "--setenv",
            "LAMBDA_TASK_ROOT",
            "/var/task",
            "/usr/local/bin/aws-lambda-rie",
        ]);
        command.args(["--runtime-interface-emulator-address", address]);
        command.args(["/var/runtime/bootstrap", "app.echo"]);
        command
    });
    let address = &emulator.address;
    let url = format!("http://{address}/2015-03-31/functions/function/invocations");
    let asked: Vec<_> = (0..4)
        .map(|i| {
            let event = format!("{{\"number\": {i}}}");
            program(
                "curl",
                [
                    "--silent",
                    "--show-error",
                    "--max-time",
                    "30",
                    "--data",
                    &event,
                    &url,
                ],
            )
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
        })
        .collect();
    for (i, curl) in asked.into_iter().enumerate() {
        let output = curl.wait_with_output().unwrap();
        let answer: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
        assert_eq!(answer["event"], json!({"number": i}));
    }
}

#[test]
fn the_entrypoint_wants_exactly_one_handler() {
    let folder = tempfile::tempdir().unwrap();
    let rootfs = crate::support::root_of(image(), &folder.path().join("root"));
    for handlers in [&[][..], &["a.b", "c.d"]] {
        let mut bwrap = inside(&rootfs);
        bwrap.arg("/lambda-entrypoint.sh");
        let outcome = run(bwrap.args(handlers));
        assert_eq!(outcome.code, Some(142), "{outcome:?}");
        assert!(
            outcome
                .stderr
                .contains("entrypoint requires the handler name to be the first argument"),
            "{outcome:?}"
        );
    }
}

#[test]
fn nothing_needs_a_newer_glibc_or_a_missing_library() {
    let folder = tempfile::tempdir().unwrap();
    let root = crate::support::root_of(image(), &folder.path().join("root"));
    let mut seen = 0;
    for file in crate::support::files_below(&root.join("var")) {
        let mut magic = [0; 4];
        let read = fs_err::File::open(&file).unwrap().read(&mut magic).unwrap();
        if read < 4 || magic != *b"\x7fELF" {
            continue;
        }
        seen += 1;
        let said = run(program("readelf", ["--wide", "--dynamic", "--version-info"]).arg(&file))
            .succeeded()
            .stdout;
        for word in said.split(|c: char| !(c.is_ascii_alphanumeric() || "_.".contains(c))) {
            if let Some(version) = word.strip_prefix("GLIBC_2.") {
                let minor: u32 = version.split('.').next().unwrap().parse().unwrap();
                assert!(minor <= 34, "{} needs {word}", file.display());
            }
        }
        for line in said.lines().filter(|line| line.contains("(NEEDED)")) {
            let library = line.split(['[', ']']).nth(1).unwrap();
            let places = [
                "var/lang/lib",
                "lib/x86_64-linux-gnu",
                "usr/lib/x86_64-linux-gnu",
                "lib64",
                "usr/lib64",
            ];
            let found = places
                .iter()
                .any(|place| root.join(place).join(library).exists());
            assert!(
                found,
                "{} needs {library}, which the image lacks",
                file.display()
            );
        }
        assert!(!said.contains("TEXTREL"), "{}", file.display());
    }
    assert!(seen >= 2, "only {seen} ELF files were found");
}

#[test]
fn a_second_build_does_nothing_and_says_so() {
    let output = image().parent().unwrap();
    let outcome = run(imgbuild(["python3.13", "--output"]).arg(output)).succeeded();
    assert!(
        outcome.stderr.contains("nothing to do"),
        "{}",
        outcome.stderr
    );
    assert!(!outcome.stderr.contains("building"), "{}", outcome.stderr);
    let (layout, digest) = outcome.stdout.trim().split_once('@').unwrap();
    assert_eq!(Path::new(layout), image());
    let index = fs_err::read_to_string(image().join("index.json")).unwrap();
    assert!(
        index.contains(digest),
        "{digest} is not the digest of {index}"
    );
}

#[test]
fn docker_can_load_the_tarball() {
    let folder = tempfile::tempdir().unwrap();
    let tarball = folder.path().join("image.tar");
    let mut command = imgbuild(["python3.13", "--tarball"]);
    run(command
        .arg(&tarball)
        .arg("--output")
        .arg(image().parent().unwrap()))
    .succeeded();
    let seen = run(program("skopeo", ["inspect", "--config"])
        .arg(format!("docker-archive:{}", tarball.display())))
    .succeeded();
    let config: Value = serde_json::from_str(&seen.stdout).unwrap();
    assert_eq!(config["config"]["WorkingDir"], "/var/task");
}

#[test]
fn the_image_says_how_its_interpreter_was_optimised() {
    let labels = labels_of(image());
    assert_eq!(labels["io.imgbuild.optimize"], "pgo-lto");
    let profile = labels["io.imgbuild.profile"].as_str().unwrap();
    assert!(profile.starts_with("cpython 3.13."), "{profile}");
}

#[test]
fn every_fallback_is_written_on_the_image() {
    let output = image().parent().unwrap();
    let result =
        run(imgbuild(["python3.13", "--format", "json", "--output"]).arg(output)).succeeded();
    let result: Value = serde_json::from_str(&result.stdout).unwrap();
    let fallbacks: Vec<&str> = result["fallbacks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f.as_str().unwrap())
        .collect();
    let labels = labels_of(image());
    let label = labels["io.imgbuild.fallbacks"].as_str().unwrap_or_default();
    assert_eq!(label, fallbacks.join("; "));
    assert_eq!(
        result["tag"].as_str().unwrap().ends_with("-fallback"),
        !fallbacks.is_empty(),
        "{result}"
    );
    if fallbacks.is_empty() {
        return;
    }
    let mut strict = imgbuild([
        "python3.13",
        "--no-fallback",
        "--refresh",
        "--quiet",
        "--output",
    ]);
    let said = run(strict.arg(output)).refused();
    assert!(
        said.contains("cannot fetch") && said.contains("\nhint: "),
        "{said}"
    );
}

#[test]
fn a_source_distribution_with_c_code_compiles_where_gcc_is_added() {
    let folder = tempfile::tempdir().unwrap();
    let root = crate::support::root_of(image(), &folder.path().join("root"));
    crate::support::add_gcc(&root);
    let project = folder.path().join("project");
    fs_err::create_dir(&project).unwrap();
    fs_err::write(
        project.join("pyproject.toml"),
        "[build-system]\nrequires = [\"setuptools\"]\nbuild-backend = \"setuptools.build_meta\"\n",
    )
    .unwrap();
    let setup = "from setuptools import Extension, setup\nsetup(name='answer', version='1', ext_modules=[Extension('answer', ['answer.c'])])\n";
    fs_err::write(project.join("setup.py"), setup).unwrap();
    let mut source = fs_err::File::create(project.join("answer.c")).unwrap();
    source.write_all(ANSWER.as_bytes()).unwrap();
    let wheels = folder.path().join("wheels");
    run(
        program("pip3", ["download", "--quiet", "--no-deps", "--dest"])
            .arg(&wheels)
            .arg("setuptools==84.2.1"),
    )
    .succeeded();
    let script = "set -e\npip install --no-index --find-links /tmp/wheels --target /tmp/site setuptools\n\
                  export PYTHONPATH=/tmp/site\ncp -r /tmp/source /tmp/project\n\
                  pip install --no-index --no-build-isolation --target /tmp/site /tmp/project\n\
                  python -c 'import answer; print(answer.answer())'\n";
    let mut bwrap = inside(&root);
    bwrap.arg("--ro-bind").arg(&wheels).arg("/tmp/wheels");
    bwrap.arg("--ro-bind").arg(&project).args([
        "/tmp/source",
        "--clearenv",
        "--setenv",
        "HOME",
        "/tmp",
    ]);
    bwrap.args([
        "--setenv",
        "PATH",
        "/var/lang/bin:/usr/local/bin:/usr/bin:/bin",
    ]);
    let outcome = run(bwrap.args(["/bin/sh", "-c", script])).succeeded();
    assert_eq!(outcome.stdout.lines().last(), Some("42"), "{outcome:?}");
}

const ANSWER: &str = r#"
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *args) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "answer", "", -1, methods};
PyMODINIT_FUNC PyInit_answer(void) { return PyModule_Create(&module); }
"#;
