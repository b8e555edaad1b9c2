//! How the program starts: its names, its environment, `sys.path`, exec wrappers.

use std::path::Path;
use std::process::Output;

use crate::function::{Function, function};
use crate::host;

fn call(f: &Function, program: &str, arguments: &[&str]) -> Output {
    f.command(&f.program(program))
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn exactly_one_handler_is_required() {
    for name in ["bootstrap", "lambda-entrypoint.sh"] {
        for arguments in [&[][..], &["a.b", "c.d"]] {
            let Some(f) = function("") else { return };
            let output = call(&f, name, arguments);
            assert_eq!(output.status.code(), Some(142), "{name} {arguments:?}");
            assert_eq!(
                text(&output.stderr),
                "entrypoint requires the handler name to be the first argument\n"
            );
        }
    }
}

#[test]
fn by_any_other_name_it_is_python() {
    let Some(f) = function("") else { return };
    let python = f.executable.python.to_str().unwrap().to_owned();
    let code = "import sys; print(sys.argv, sys.executable); sys.exit(6)";
    let output = f.command(&python).args(["-c", code, "x"]).output().unwrap();
    assert_eq!(
        (text(&output.stdout), output.status.code()),
        (format!("['-c', 'x'] {python}\n").as_str(), Some(6))
    );
    let output = f.command(&python).arg("--version").output().unwrap();
    assert!(text(&output.stdout).starts_with(&format!("Python 3.{}.", f.executable.minor)));
    let output = f.command(&python).arg("--no-such-option").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn small_objects_lie_in_huge_pages() {
    let Some(f) = function("") else { return };
    let is_there = Path::new("/sys/kernel/mm/transparent_hugepage").exists();
    if f.executable.free_threaded || !is_there {
        eprintln!(
            "SKIPPED: without the lock small objects lie elsewhere, and not every kernel has huge pages"
        );
        return;
    }
    // Some arenas come and go; "hg" marks memory that wants huge pages.
    let code = "
kept = [[str(n) for n in range(100_000)] for _ in range(3)]
del kept[1]
kept += [str(n) for n in range(100_000)]
flags = [line.split() for line in open('/proc/self/smaps') if line.startswith('VmFlags')]
print(sum('hg' in flag for flag in flags) > 3, kept[0][-1], kept[-1])";
    let python = f.executable.python.to_str().unwrap();
    let output = f.command(python).args(["-c", code]).output().unwrap();
    assert_eq!(text(&output.stdout), "True 99999 99999\n");
}

const SURROUNDINGS: &str = r#"
import os, sys
def handler(event, context):
    names = ("PYTHONPATH", "_HANDLER", "AWS_EXECUTION_ENV")
    return {"argv": sys.argv, "executable": sys.executable, "path": sys.path, "environment": [os.environ.get(n) for n in names]}
"#;

/// The value of one key of the only post, cut out by its neighbours.
fn part<'a>(post: &'a str, from: &str, to: &str) -> &'a str {
    post.split_once(from).unwrap().1.split_once(to).unwrap().0
}

#[test]
fn functions_find_the_images_surroundings() {
    let Some(f) = function(SURROUNDINGS) else {
        return;
    };
    let (minor, runtime, task) = (
        f.executable.minor,
        f.executable.runtime.clone(),
        f.folder.clone(),
    );
    let (runtime, task) = (runtime.display(), task.display());
    let python = f.executable.python.display().to_string();
    let threads = if f.executable.free_threaded { "t" } else { "" };
    let outcome = f.event("1").run();
    let post = outcome.posts()[0];
    assert!(
        post.starts_with(&format!(
            r#"{{"argv": ["{runtime}/bootstrap.py"], "executable": "{python}", "#
        )),
        "{post}"
    );
    let expected = format!(r#"["{runtime}", "app.handler", "AWS_Lambda_python3.{minor}"]}}"#);
    assert!(post.ends_with(&expected), "{post}");
    let path: Vec<&str> = part(post, "\"path\": [", "]")
        .split(", ")
        .map(|word| word.trim_matches('"'))
        .collect();
    let site = format!("/lib/python3.{minor}/site-packages");
    let installed = format!("/lib/python3.{minor}{threads}/site-packages");
    assert_eq!(path[0], task.to_string());
    if minor >= 11 {
        assert_eq!(
            path[1..3],
            [format!("/opt/python{site}").as_str(), "/opt/python"]
        );
        assert!(
            path[3].ends_with(&installed) && !path[3].starts_with("/opt"),
            "{path:?}"
        );
        assert_eq!(path[4], runtime.to_string());
    } else {
        assert_eq!(path[1], runtime.to_string());
    }
    assert!(path.last().unwrap().ends_with(&installed));
}

#[test]
fn a_pythonpath_of_the_users_own_turns_layers_off() {
    let Some(f) = function(SURROUNDINGS) else {
        return;
    };
    let (runtime, task) = (
        f.executable.runtime.display().to_string(),
        f.folder.display().to_string(),
    );
    let outcome = f.variable("PYTHONPATH", "/one:/two").event("1").run();
    let post = outcome.posts()[0];
    assert!(
        post.contains(&format!(
            r#""path": ["{task}", "{runtime}", "/one", "/two", "#
        )),
        "{post}"
    );
    assert!(
        !post.contains("/opt/python") && post.contains(r#""environment": ["/one:/two", "#),
        "{post}"
    );
}

#[test]
fn path_files_of_the_function_are_processed() {
    for variable in ["", "/one"] {
        let source = "import sys\ndef handler(event, context): return [sys.path[-1], sys.marker]\n";
        let Some(f) = function(source) else { return };
        let extra = f.folder.join("extra");
        let f = f
            .file("extra/x.py", "")
            .file("a.pth", "extra\nimport sys; sys.marker = 'ran'\n");
        let f = if variable.is_empty() {
            f
        } else {
            f.variable("PYTHONPATH", variable)
        };
        assert_eq!(
            f.event("1").run().posts(),
            [format!(r#"["{}", "ran"]"#, extra.display())]
        );
    }
}

#[test]
fn wrappers_that_cannot_run_have_the_shells_exit_codes() {
    for (make, code, message) in [
        (false, 127, "does not exist"),
        (true, 126, "is not an executable"),
    ] {
        let Some(f) = function("") else { return };
        let wrapper = f.folder.join("wrapper").display().to_string();
        let f = if make {
            f.file("wrapper", "#!/bin/sh\n")
        } else {
            f
        };
        let outcome = f.variable("AWS_LAMBDA_EXEC_WRAPPER", &wrapper).run();
        assert_eq!(
            (outcome.code(), outcome.stderr),
            (Some(code), format!("{wrapper}: {message}\n"))
        );
    }
}

#[test]
fn wrappers_get_the_interpreter_and_the_script() {
    let source = "import os\ndef handler(event, context): return 'wrong one'\n\
        def other(event, context): return os.environ['ADDED']\n";
    // Without an interpreter line it is a shell script, as for a shell.
    for first_line in ["#!/bin/sh\n", ""] {
        let Some(f) = function(source) else { return };
        let wrapper = f.folder.join("wrapper");
        let script = format!(
            "{first_line}echo \"$#\" \"$@\"\nexport ADDED=yes _HANDLER=app.other\nexec \"$@\"\n"
        );
        let f = f.file("wrapper", &script);
        host::make_executable(&wrapper);
        let expected = format!(
            "2 {} {}/bootstrap.py\n",
            f.executable.python.display(),
            f.executable.runtime.display()
        );
        let outcome = f
            .variable("AWS_LAMBDA_EXEC_WRAPPER", wrapper.to_str().unwrap())
            .event("1")
            .run();
        assert_eq!(
            (outcome.stdout.as_str(), outcome.posts()),
            (expected.as_str(), vec!["\"yes\""])
        );
    }
}

#[test]
fn a_wrapper_may_import_the_script_and_call_main() {
    let Some(f) = function("def handler(event, context): return __name__\n") else {
        return;
    };
    let wrapper = f.folder.join("wrapper");
    let script = "#!/bin/sh\nexec \"$1\" -c 'import os, sys\nsys.path.insert(0, os.path.dirname(sys.argv[1]))\n\
        import bootstrap\nbootstrap.main()' \"$2\"\n";
    let f = f.file("wrapper", script);
    host::make_executable(&wrapper);
    let outcome = f
        .variable("AWS_LAMBDA_EXEC_WRAPPER", wrapper.to_str().unwrap())
        .event("1")
        .run();
    assert_eq!(outcome.posts(), ["\"app\""], "{outcome:?}");
}

#[test]
fn the_platform_may_name_the_handler_in_the_environment() {
    let Some(f) = function("def handler(event, context): return 1\n") else {
        return;
    };
    let wrapper = f.folder.join("wrapper");
    let bootstrap = f.program("bootstrap");
    let f = f.file(
        "start",
        &format!("#!/bin/sh\nexport _HANDLER=$1\nexec {bootstrap}\n"),
    );
    drop(wrapper);
    let output = f
        .command("/bin/sh")
        .args(["start", "app.handler"])
        .env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")
        .output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stdout)
            .contains("LAMBDA_RUNTIME Failed to get next invocation. No Response from endpoint")
    );
}

#[test]
fn the_module_of_the_official_client_runs_handlers() {
    let Some(f) = function("def handler(event, context): return 1\n") else {
        return;
    };
    let python = f.executable.python.to_str().unwrap().to_owned();
    let mut command = f.command(&python);
    command
        .args(["-m", "awslambdaric"])
        .env("PYTHONPATH", &f.executable.runtime);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).ends_with("ValueError: Handler not set\n"));
    let output = command.arg("app.handler").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).ends_with("KeyError: 'AWS_LAMBDA_RUNTIME_API'\n"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn nothing_is_imported_that_a_function_does_not_need() {
    let Some(f) = function(
        "import sys\ndef handler(event, context): return ','.join(sys.modules).encode()\n",
    ) else {
        return;
    };
    let python = f.executable.python.to_str().unwrap().to_owned();
    let output = f
        .command(&python)
        .args(["-c", "import sys; print(','.join(sys.modules))"])
        .output()
        .unwrap();
    let bare: Vec<&str> = text(&output.stdout).trim().split(',').collect();
    let outcome = f.event(r#"{"a": [1.5, "x"]}"#).run();
    let more: Vec<&str> = outcome.posts()[0]
        .split(',')
        .filter(|name| !bare.contains(name))
        .collect();
    assert_eq!(more, ["app"]);
}

#[test]
fn compiled_parts_are_used_if_they_belong_to_the_source() {
    // Each part gets a line that shows whether it ran; the header decides whether it counts.
    let script = r##"
import _imp, glob, importlib.util, marshal, os, sys
source_folder, target, lie = sys.argv[1:]
os.mkdir(target)
for path in glob.glob(source_folder + "/*.py"):
    name, source = os.path.basename(path), open(path, "rb").read()
    code = compile(source + b"\nprint('compiled', end=' ')\n", "<_lambda_ric/" + name, "exec")
    magic = importlib.util.MAGIC_NUMBER if lie != "magic" else b"\0\0\r\n"
    known = importlib.util.source_hash(source if lie != "source" else source + b"#")
    body = marshal.dumps(code) if lie != "body" else b"nonsense"
    open(os.path.join(target, name + "c"), "wb").write(magic + b"\1\0\0\0" + known + body)
"##;
    for lie in ["none", "magic", "source", "body"] {
        let Some(f) = function("def handler(event, context): return 1\n") else {
            return;
        };
        let runtime = f.folder.join("runtime");
        let parts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
        let f = f.file("runtime/compile.py", script);
        let copy = host::command("cp")
            .arg(f.executable.runtime.join("bootstrap.py"))
            .arg(&runtime)
            .status()
            .unwrap();
        assert!(copy.success());
        let mut python = f.command(f.executable.python.to_str().unwrap());
        let target = runtime.join("_lambda_ric");
        let made = python
            .arg(runtime.join("compile.py"))
            .args([&parts, &target])
            .arg(lie)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let outcome = f
            .variable("LAMBDA_RUNTIME_DIR", runtime.to_str().unwrap())
            .event("1")
            .run();
        let expected = if lie == "none" {
            "compiled compiled "
        } else {
            ""
        };
        assert_eq!(
            (outcome.stdout.as_str(), outcome.posts()),
            (expected, vec!["1"]),
            "{lie}: {}",
            outcome.stderr
        );
    }
}
