//! CPython's own tests, run by the image's interpreter in the image's root file system.
//!
//! They come from the source that the interpreter was compiled from; the image itself has none. So do the modules that only they
//! import, which are compiled as anybody compiles an extension: in a child image that has gcc. Whatever is known to fail is in
//! tests/cpython/expected-failures, and what stands there has to fail.

use std::path::{Path, PathBuf};
use std::process::Command;

use imgbuild::inputs::{FetchOptions, Fetched, Fetcher, Progress, ProgressMode, Store};
use imgbuild::lock::Lock;
use imgbuild::recipe::{Recipe, minor_of};

use crate::support::{Outcome, add_gcc, cache, compiling, image, inside, program, root_of, run};

/// What our choices can break: libraries, the compiler's flags, threads, start-up. Two minutes on two cores.
const SUBSET: &str = "test_ssl test_hashlib test_hmac test_zlib test_gzip test_bz2 test_lzma test_zstd test_sqlite3 test_ctypes test_decimal \
    test_pyexpat test_xml_etree_c test_uuid test_readline test_curses test_struct test_json test_pickle test_datetime test_zoneinfo test_time \
    test_thread test_threading test_subprocess test_posix test_os test_select test_mmap test_importlib test_site test_sysconfig \
    test_cmd_line test_dis test_generators test_gc test_sys test_unicodedata test_float test_math test_re test_locale test_asyncio.test_tasks \
    test_concurrent_futures.test_thread_pool test_free_threading test_build_details test_compileall test_capi test_buffer test_import";

/// Where tests lie in the library, up to 3.11 beside what they are of.
const TESTS: &str = "test ctypes/test distutils/tests lib2to3/tests unittest/test";

/// What needs more than a sandbox has: a network, a screen, gigabytes.
const RESOURCES: &str = "all,-network,-urlfetch,-gui,-audio,-largefile";

/// A line of expected-failures.
struct Expected<'a> {
    series: &'a str,
    /// Whether it passes at times.
    is_race: bool,
    /// A test, as `test.test_os.FileTests.test_access`, or a module that cannot run at all, as `test_cext`.
    name: &'a str,
}

impl Expected<'_> {
    fn is_module(&self) -> bool {
        !self.name.contains('.')
    }
}

/// The series, the names and the reasons: `3.10-3.13 test_cext there is no compiler`.
fn expected(text: &str) -> impl Iterator<Item = Expected<'_>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter(|line| !line.is_empty()).map(|line| {
        let mut words = line.splitn(3, ' ');
        let (Some(series), Some(name), Some(_reason)) = (words.next(), words.next(), words.next())
        else {
            panic!("expected-failures: {line:?} is not SERIES TEST REASON");
        };
        Expected {
            series: series.trim_start_matches('~'),
            is_race: series.starts_with('~'),
            name,
        }
    })
}

/// An unpacked image with the tests of its own CPython added.
struct Subject {
    root: PathBuf,
    version: String,
    failures: String,
    _folder: tempfile::TempDir,
}

impl Subject {
    fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let root = root_of(image(), &folder.path().join("bundle"));
        add_gcc(&root);
        let script =
            "import sys, sysconfig; print(sys.version.split()[0], sysconfig.get_path('stdlib'))";
        let said = run(inside(&root).args(["/var/lang/bin/python3", "-c", script])).succeeded();
        let (version, library) = said.stdout.trim().split_once(' ').unwrap();
        let library = root.join(library.trim_start_matches('/'));
        let source = source(version);
        let mut unpack = program("tar", ["--extract", "--strip-components=1", "--wildcards"]);
        unpack.arg("--file").arg(&source.path);
        unpack.arg("--directory").arg(folder.path());
        run(unpack.args(["*/Lib", "*/Modules"])).succeeded();
        for tests in TESTS.split_whitespace() {
            let from = folder.path().join("Lib").join(tests);
            if from.is_dir() {
                fs_err::rename(from, library.join(tests)).unwrap();
            }
        }
        add_test_modules(&root, &folder.path().join("Modules"));
        // What every container has beside its image: a name for the loopback address and one for its user.
        fs_err::write(
            root.join("etc/hosts"),
            "127.0.0.1 localhost\n::1 localhost\n",
        )
        .unwrap();
        for (file, line) in [
            ("passwd", "me:x:1000:1000::/tmp:/bin/sh"),
            ("group", "me:x:1000:"),
        ] {
            let file = root.join("etc").join(file);
            let text = fs_err::read_to_string(&file).unwrap_or_default();
            fs_err::write(&file, format!("{text}{line}\n")).unwrap();
        }
        let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cpython/expected-failures");
        Self {
            root,
            version: version.to_owned(),
            failures: fs_err::read_to_string(list).unwrap(),
            _folder: folder,
        }
    }

    /// What is expected to fail in this version.
    fn expected(&self) -> impl Iterator<Item = Expected<'_>> {
        let number = |series: &str| series.split_once('.').unwrap().1.parse::<u8>().unwrap();
        let own = number(&minor_of(&self.version));
        expected(&self.failures).filter(move |line| {
            if line.series.matches('.').count() == 2 && !line.series.contains('-') {
                return line.series == self.version;
            }
            let (first, last) = line
                .series
                .split_once('-')
                .unwrap_or((line.series, line.series));
            (number(first)..=number(last)).contains(&own)
        })
    }

    /// CPython's runner, in a world of its own: no network, an unprivileged user.
    fn regrtest(&self) -> Command {
        let mut command = program(
            "bwrap",
            ["--unshare-all", "--die-with-parent", "--new-session"],
        );
        command
            .args(["--clearenv", "--uid", "1000", "--gid", "1000", "--bind"])
            .arg(&self.root);
        command.args([
            "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/dev/shm",
        ]);
        command.args([
            "--setenv",
            "PATH",
            "/var/lang/bin:/usr/bin:/bin",
            "--setenv",
            "HOME",
            "/tmp",
        ]);
        command.args(["--setenv", "LANG", "C.UTF-8", "--chdir", "/tmp"]);
        // The distutils of the library, where setuptools has another.
        command.args(["--setenv", "SETUPTOOLS_USE_DISTUTILS", "stdlib"]);
        // Where there is a JIT, it is what the tests are to find faults of.
        command.args(["--setenv", "PYTHON_JIT", "1"]);
        command.args([
            "/var/lang/bin/python3",
            "-u",
            "-W",
            "default",
            "-bb",
            "-m",
            "test",
            "-u",
            RESOURCES,
        ]);
        command.args(["--timeout", "600"]);
        command
    }

    /// Runs these modules, or all. A test that fails gets a second chance, alone.
    fn run(&self, modules: &[&str]) -> Outcome {
        let mut command = self.regrtest();
        command.args(["-j0", "-w"]);
        for line in self.expected().filter(|line| !line.is_module()) {
            command.args(["--ignore", line.name]);
        }
        if modules.is_empty() {
            command.arg("--exclude").args(
                self.expected()
                    .filter(Expected::is_module)
                    .map(|line| line.name),
            );
        }
        let outcome = run(command.args(modules));
        eprintln!("{}", outcome.stdout);
        outcome
    }
}

/// Runs tests/cpython/test_modules.py, with the folder Modules of CPython's source.
fn add_test_modules(root: &Path, modules: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cpython/test_modules.py");
    let mut command = program(
        "bwrap",
        ["--unshare-all", "--die-with-parent", "--clearenv"],
    );
    command.arg("--bind").arg(root);
    command.args(["/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]);
    command.arg("--bind").arg(modules).arg("/tmp/Modules");
    command
        .arg("--ro-bind")
        .arg(script)
        .arg("/tmp/test_modules.py");
    command.args([
        "--chdir",
        "/tmp/Modules",
        "--setenv",
        "PATH",
        "/usr/bin:/bin",
    ]);
    run(command.args(["/var/lang/bin/python3", "/tmp/test_modules.py"])).succeeded();
}

/// The source of a CPython, as the recipe's lock has it.
fn source(version: &str) -> Fetched {
    let minor = minor_of(version);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("recipes/python{minor}.yaml"));
    let recipe = Recipe::parse(&path, &fs_err::read_to_string(&path).unwrap(), &[]).unwrap();
    let path = path.with_extension("lock");
    let lock = Lock::parse(&path, &fs_err::read_to_string(&path).unwrap(), &recipe).unwrap();
    let mut input = lock.cpython;
    input
        .artifacts
        .retain(|artifact| artifact.version == version);
    let store = Store::open(cache(), Progress::new(ProgressMode::Quiet)).unwrap();
    Fetcher::new(&store, FetchOptions::default())
        .fetch(&input)
        .unwrap()
}

/// `Result: SUCCESS` or `Result: FAILURE then SUCCESS`; up to 3.11 it is `Tests result: `.
fn is_success(outcome: &Outcome) -> bool {
    let mut lines = outcome.stdout.lines();
    let result = lines.rfind(|line| line.to_lowercase().contains("result: "));
    result.is_some_and(|line| line.ends_with("SUCCESS"))
}

#[test]
fn the_interpreters_own_tests_pass() {
    let subject = Subject::new();
    let modules: Vec<&str> = SUBSET.split_whitespace().collect();
    let there = |module: &&str| {
        let library = fs_err::read_dir(subject.root.join("var/lang/lib")).unwrap();
        let mut folders = library.map(|entry| entry.unwrap().path().join("test"));
        let path = module.replace('.', "/");
        folders.any(|folder| {
            folder.join(&path).is_dir() || folder.join(format!("{path}.py")).is_file()
        })
    };
    let modules: Vec<&str> = modules.into_iter().filter(there).collect();
    assert!(modules.len() > 40, "{modules:?}");
    let alone = compiling();
    let outcome = subject.run(&modules);
    drop(alone);
    assert!(is_success(&outcome), "{}{}", outcome.stdout, outcome.stderr);
}

#[test]
#[ignore = "takes 8 minutes: make test-cpython"]
fn all_of_the_interpreters_own_tests_pass() {
    let subject = Subject::new();
    let outcome = subject.run(&[]);
    assert!(is_success(&outcome), "{}{}", outcome.stdout, outcome.stderr);
    let passes = |line: &Expected<'_>| {
        let mut command = subject.regrtest();
        if line.is_module() {
            command.arg(line.name);
        } else {
            // `test.test_os.FileTests.test_access` and `test.test_ctypes.test_find.Linux.test_gcc`: up to the class.
            let module = line.name.trim_start_matches("test.");
            let module: Vec<&str> = module
                .split('.')
                .take_while(|part| part.starts_with("test_"))
                .collect();
            command.args(["--match", line.name, &module.join(".")]);
        }
        is_success(&run(&mut command))
    };
    let passing: Vec<&str> = subject
        .expected()
        .filter(|line| !line.is_race && passes(line))
        .map(|line| line.name)
        .collect();
    assert_eq!(passing, [""; 0], "expected to fail, and pass");
}
