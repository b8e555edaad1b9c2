//! Programs made by the machine's C compiler, each with one fault, and the rule that finds it.

use std::process::Command;

use super::*;

/// A program or library of a few lines of C.
fn compile(source: &str, arguments: &[&str]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let (input, output) = (dir.path().join("a.c"), dir.path().join("a"));
    fs_err::write(&input, source).unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "what these tests look at is made by a compiler"
    )]
    let made = Command::new("cc")
        .args(["-O1", "-s", "-o"])
        .args([&output, &input])
        .args(arguments)
        .output()
        .expect("these tests need a C compiler called cc");
    assert!(made.status.success(), "{made:?}");
    fs_err::read(output).unwrap()
}

const HARD: [&str; 4] = [
    "-fPIE",
    "-pie",
    "-Wl,-z,relro,-z,now,-z,noexecstack",
    "-Wl,--as-needed",
];
const LIBRARY: [&str; 4] = [
    "-fPIC",
    "-shared",
    "-Wl,-z,relro,-z,now,-z,noexecstack",
    "-Wl,--as-needed",
];
const MAIN: &str = "#include <stdio.h>\nint main(void) { return puts(\"hello\") < 0; }\n";

/// An image whose base has a C library and whose own layer has this file.
fn image(path: &str, bytes: &[u8]) -> Spoilt {
    let architecture: Edit = |config| {
        let here = if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "amd64"
        };
        config["architecture"] = here.into();
        config["config"]["Env"] = json!(["LD_LIBRARY_PATH=/var/lang/lib"]);
        config["config"]["Labels"] = json!({"glibc": "2.99"});
    };
    let machine = if cfg!(target_arch = "aarch64") {
        183
    } else {
        62
    };
    let base = Tar::new()
        .dir("etc/")
        .file("etc/os-release", 0o644, b"ID=amzn")
        .dir("lib64/")
        .file("lib64/libc.so.6", 0o755, b"not the real one")
        .file("lib64/libm.so.6", 0o755, b"not the real one");
    let own = Tar::new()
        .dir("var/")
        .dir("var/task/")
        .dir("var/lang/")
        .dir("var/lang/bin/")
        .dir("var/lang/lib/")
        .dir("var/runtime/")
        .file("var/runtime/bootstrap", 0o755, &elf(machine, 2))
        .file(path, 0o755, bytes);
    Spoilt {
        layers: vec![base.finish(), own.finish()],
        config: architecture,
        options: Options {
            expected: |labels| Expected {
                glibc: Glibc::parse(&labels["glibc"]),
                inventory: None,
            },
            ..Options::default()
        },
        ..Spoilt::default()
    }
}

#[test]
fn one_fault_each() {
    let with = |base: &[&'static str], more: &[&'static str]| [base, more].concat();
    let function = "int f(void) { return 1; }";
    let mut wrong = Vec::new();
    for (name, source, arguments, rule, part) in [
        (
            "no relro",
            MAIN,
            with(&HARD, &["-Wl,-z,norelro"]),
            "elf-hardening",
            "no RELRO",
        ),
        (
            "lazy",
            MAIN,
            with(&HARD, &["-Wl,-z,lazy"]),
            "elf-hardening",
            "no BIND_NOW",
        ),
        (
            "stack",
            MAIN,
            with(&HARD, &["-Wl,-z,execstack"]),
            "elf-hardening",
            "an executable stack",
        ),
        (
            "text relocation",
            "int f(void) { return 1; } __asm__(\".text\\n.quad f\\n\");",
            with(&LIBRARY, &["-Wl,-z,notext"]),
            "elf-hardening",
            "TEXTREL",
        ),
        (
            "writable code",
            "int f(void); __asm__(\".section wx,\\\"awx\\\",@progbits\\n.globl f\\nf: .long 0\\n.text\\n\");",
            LIBRARY.to_vec(),
            "elf-hardening",
            "writable and executable",
        ),
        (
            "search path",
            MAIN,
            with(&HARD, &["-Wl,-rpath,/opt/build/lib"]),
            "elf-rpath",
            "\"/opt/build/lib\"",
        ),
        (
            "odd origin",
            MAIN,
            with(&HARD, &["-Wl,-rpath,$ORIGINAL/lib"]),
            "elf-rpath",
            "$ORIGINAL/lib",
        ),
        (
            "path of the build",
            "#include <stdio.h>\nint main(void) { return puts(\"/home/me/python/main.c\"); }",
            HARD.to_vec(),
            "elf-build-path",
            "/home/me/python/main.c",
        ),
        (
            "a library inside shows",
            "int inflate(void) { return 1; } int inflateEnd(void) { return 1; }",
            LIBRARY.to_vec(),
            "elf-exports",
            "export inflate",
        ),
        (
            "a library from elsewhere",
            function,
            with(&LIBRARY, &["-Wl,--no-as-needed", "-lcrypt"]),
            "elf-needed",
            "libcrypt.so.",
        ),
        (
            "a library that is not there",
            function,
            with(&LIBRARY, &["-Wl,--no-as-needed", "-lrt", "-lresolv"]),
            "elf-needed",
            "libresolv.so.2, which is not found",
        ),
    ] {
        let bytes = compile(source, &arguments);
        let path = "var/lang/lib/odd.so";
        let findings = image(path, &bytes).findings();
        let start = format!("error: {rule}: layer 2: programs ");
        let is_this = |finding: &String| {
            finding.starts_with(&start) && finding.ends_with(": /var/lang/lib/odd.so")
        };
        let is_found = findings.iter().any(|finding| finding.contains(part));
        if !is_found || !findings.iter().all(is_this) {
            wrong.push((name, findings));
        }
    }
    assert_eq!(wrong, []);
}

#[test]
fn good_programs_have_no_findings() {
    for (name, source, arguments) in [
        ("program", MAIN, &HARD[..]),
        ("library", "int f(void) { return 1; }", &LIBRARY),
        (
            "origin",
            MAIN,
            &[&HARD[..], &["-Wl,-rpath,$ORIGIN/../lib"]].concat(),
        ),
        ("static", MAIN, &["-static", "-Wl,-z,noexecstack"]),
        ("object", MAIN, &["-c"]),
    ] {
        let bytes = compile(source, arguments);
        let findings = image("var/lang/bin/good", &bytes).findings();
        assert_eq!(findings, [""; 0], "{name}");
    }
}

#[test]
fn the_bases_glibc_is_the_limit() {
    let program = compile(MAIN, &HARD);
    let old = Spoilt {
        options: Options {
            expected: |_| Expected {
                glibc: Glibc::parse("2.2"),
                inventory: None,
            },
            ..Options::default()
        },
        ..image("var/lang/bin/new", &program)
    };
    one(
        &old,
        "error: elf-glibc: layer 2: programs that need glibc 2.",
        "2.2 lacks: /var/lang/bin/new",
    );
}

#[test]
fn the_images_glibc_is_the_limit_too() {
    let dir = tempfile::tempdir().unwrap();
    let versions = dir.path().join("versions");
    fs_err::write(
        &versions,
        "GLIBC_2.1 { }; GLIBC_2.2 { f; } GLIBC_2.1; GLIBC_PRIVATE { };",
    )
    .unwrap();
    let script = format!("-Wl,--version-script={}", versions.display());
    let libc = compile(
        "int f(void) { return 1; }",
        &[&LIBRARY[..], &[&script]].concat(),
    );
    let mut spoilt = image("var/lang/bin/new", &compile(MAIN, &HARD));
    spoilt.layers[0] = Tar::new()
        .dir("etc/")
        .file("etc/os-release", 0o644, b"ID=amzn")
        .dir("lib64/")
        .file("lib64/libc-2.2.so", 0o755, &libc)
        .add(tar::EntryType::Symlink, "lib64/libc.so.6", 0o777, b"")
        .finish();
    one(
        &spoilt,
        "error: elf-glibc: layer 2: ",
        "which the base's 2.2 lacks: /var/lang/bin/new",
    );
}

#[test]
fn libraries_of_the_image_may_be_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let source = "int f(void) { return 1; }";
    let library = compile(
        source,
        &[&LIBRARY[..], &["-Wl,-soname,libown.so.1"]].concat(),
    );
    fs_err::write(dir.path().join("libown.so"), &library).unwrap();
    let folder = format!("-L{}", dir.path().display());
    let calls = "int f(void); int main(void) { return f(); }";
    let program = compile(calls, &[&HARD[..], &[&folder, "-lown"]].concat());
    let with = |name: &str| {
        let mut spoilt = image("var/lang/bin/program", &program);
        let mut own = Tar::new().dir("var/").dir("var/lang/").dir("var/lang/lib/");
        own = own.file(name, 0o755, &library);
        spoilt.layers.push(own.finish());
        spoilt.config = |config| {
            (image("x", b"").config)(config);
            let entry = json!({"created_by": "own", "comment": OWN_LAYER});
            config["history"].as_array_mut().unwrap().push(entry);
        };
        spoilt
    };
    assert_eq!(with("var/lang/lib/libown.so.1").findings(), [""; 0]);
    let lost = with("var/lang/libown.so.1");
    one(
        &lost,
        "error: elf-needed: layer 2: ",
        "load libown.so.1, which is not found",
    );
}

#[test]
fn only_own_layers_are_audited_unless_all_are() {
    let soft = compile(MAIN, &[&HARD[..], &["-Wl,-z,lazy"]].concat());
    let mut spoilt = image("var/lang/x", b"");
    spoilt.layers[0] = Tar::new()
        .dir("lib64/")
        .file("lib64/libc.so.6", 0o755, b"not the real one")
        .file("lib64/soft", 0o755, &soft)
        .finish();
    assert_eq!(spoilt.findings(), [""; 0]);
    spoilt.options.audited = Audited::All;
    one(
        &spoilt,
        "warning: elf-hardening: layer 1: ",
        "no BIND_NOW: /lib64/soft",
    );
}

#[test]
fn an_interpreter_has_all_its_modules_and_no_others() {
    let source = "int PyInit__json(void) { return 1; } int PyInit_odd(void) { return 1; } int Py_Main(void) { return 1; }";
    let interpreter = compile(source, &LIBRARY);
    let mut spoilt = image("var/lang/bin/python3.13", &interpreter);
    for (expected, finding) in [
        (
            (|_| python_with(&["_json", "odd"])) as fn(&_) -> Expected,
            None,
        ),
        (
            |_| python_with(&["_json", "odd", "zlib"]),
            Some("lacks the modules zlib"),
        ),
        (
            |_| python_with(&["odd"]),
            Some("has modules that nobody expects: _json"),
        ),
    ] {
        spoilt.options.expected = expected;
        match finding {
            None => assert_eq!(spoilt.findings(), [""; 0]),
            Some(part) => one(&spoilt, "error: elf-modules: layer 2: ", part),
        }
    }
    let mut shared = image(
        "var/lang/lib/zlib.cpython-313.so",
        &compile("int PyInit_zlib(void) { return 1; }", &LIBRARY),
    );
    shared.options.expected = |_| python_with(&["zlib"]);
    one(
        &shared,
        "error: elf-modules: ",
        "/var/lang/bin/python3.13 is not there",
    );
}

fn python_with(modules: &[&str]) -> Expected {
    Expected {
        glibc: None,
        inventory: Some(Inventory {
            program: "/var/lang/bin/python3.13".to_owned(),
            prefix: "PyInit_",
            folder: "/var/lang/lib".to_owned(),
            modules: modules.iter().map(|name| (*name).to_owned()).collect(),
        }),
    }
}
