//! Bad input: one error, a hint, exit code 1, nothing on stdout.

use crate::support::{definitions, edit, imgbuild, run};

/// The refusal of a build of a changed copy of the recipe.
fn refusal(change: impl FnOnce(&std::path::Path)) -> String {
    let folder = definitions();
    change(folder.path());
    run(imgbuild(["build", "python3.13", "--quiet"]).current_dir(folder.path())).refused()
}

#[test]
fn an_unknown_recipe_suggests_the_nearest() {
    let said = run(&mut imgbuild(["pyhton3.13"])).refused();
    let expected = "error: there is no recipe \"pyhton3.13\"\nhint: did you mean python3.13? Known: python3.10, python3.11, ";
    assert!(said.starts_with(expected), "{said}");
}

#[test]
fn malformed_yaml_is_located() {
    let said = refusal(|folder| edit(&folder.join("recipes/python3.13.yaml"), "sdk:", "sdk: ]"));
    assert!(said.contains("recipes/python3.13.yaml:8"), "{said}");
}

#[test]
fn an_unknown_key_is_located() {
    let said = refusal(|folder| edit(&folder.join("recipes/python3.13.yaml"), "jit:", "jti:"));
    assert!(
        said.contains("recipes/python3.13.yaml:5: python: unknown field `jti`"),
        "{said}"
    );
    assert!(said.contains("\nhint: "), "{said}");
}

#[test]
fn an_unquoted_version_is_explained() {
    let said = refusal(|folder| {
        edit(
            &folder.join("recipes/python3.13.yaml"),
            "\"3.13.16\"",
            "3.10",
        )
    });
    assert!(
        said.contains("python3.13.yaml:4") && said.contains("number in YAML, here 3.1"),
        "{said}"
    );
    assert!(said.contains("\nhint: write versions in quotes"), "{said}");
}

#[test]
fn impossible_flags_are_refused_with_the_reason() {
    let both = [
        "python3.13",
        "--set",
        "python.jit=enabled",
        "--set",
        "python.free_threading=enabled",
    ];
    let said = run(&mut imgbuild(both)).refused();
    assert!(
        said.contains("cannot be combined: CPython would build the JIT and never run it"),
        "{said}"
    );
    let said = run(&mut imgbuild(["python3.13", "--set", "python.jti=enabled"])).refused();
    assert!(
        said.contains("there is no key python.jti") && said.contains("python.jit"),
        "{said}"
    );
}

#[test]
fn a_stale_lock_names_what_changed() {
    let said = refusal(|folder| edit(&folder.join("recipes/python3.13.yaml"), "1.44.5", "1.44.4"));
    assert!(
        said.contains("was made from another recipe: sdk.boto3 was \"1.44.5\", is \"1.44.4\""),
        "{said}"
    );
    assert!(
        said.contains("\nhint: run `imgbuild lock ./recipes/python3.13.yaml`"),
        "{said}"
    );
}

#[test]
fn a_missing_or_foreign_lock_is_refused() {
    let lock = |folder: &std::path::Path| folder.join("recipes/python3.13.lock");
    let said = refusal(|folder| edit(&lock(folder), "compat: 1", "compat: 99"));
    assert!(
        said.contains("\nhint: use the imgbuild that wrote it"),
        "{said}"
    );
    assert!(
        said.contains("has the compat number 99, and this program builds 1 only"),
        "{said}"
    );
    let said = refusal(|folder| fs_err::write(lock(folder), "just text").unwrap());
    assert!(
        said.contains("is not a lock that this program wrote"),
        "{said}"
    );
}

#[test]
fn an_output_folder_that_cannot_be_written_is_found_first() {
    let said = run(&mut imgbuild([
        "build",
        "python3.13",
        "--output",
        "/dev/null/dist",
    ]))
    .refused();
    assert!(
        said.contains("cannot write to the output folder /dev/null/dist"),
        "{said}"
    );
    assert!(
        said.contains("\nhint: name another folder with --output"),
        "{said}"
    );
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let said = run(&mut imgbuild([
        "build",
        "python3.13",
        "--output",
        "target/tmp/x",
        "--cache-dir",
        "/dev/null/cache",
    ]))
    .refused();
    assert!(said.contains("/dev/null/cache"), "{said}");
}

#[test]
fn wrong_arguments_are_the_users() {
    let outcome = run(&mut imgbuild(["build", "python3.13", "--no-such-flag"]));
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.contains("--no-such-flag"),
        "{}",
        outcome.stderr
    );
    assert_eq!(run(&mut imgbuild(["--version"])).code, Some(0));
}

#[test]
fn the_list_shows_every_recipe() {
    let outcome = run(&mut imgbuild(["list"])).succeeded();
    let shown: Vec<Vec<&str>> = outcome
        .stdout
        .lines()
        .skip(1)
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        })
        .collect();
    let al2 = ["2026-06-30", "2026-07-31", "2026-08-31"];
    let al2023 = ["2029-06-30", "2029-07-31", "2029-08-31"];
    let expected = [
        ("python3.10", "Amazon Linux 2", al2),
        ("python3.11", "Amazon Linux 2", al2),
        (
            "python3.12",
            "Amazon Linux 2023",
            ["2028-10-31", "2028-11-30", "2029-01-10"],
        ),
        ("python3.13", "Amazon Linux 2023", al2023),
        ("python3.14", "Amazon Linux 2023", al2023),
        ("python3.15", "Amazon Linux 2023", ["-"; 3]),
    ];
    for (row, (name, base, dates)) in shown.iter().zip(&expected) {
        assert_eq!(
            (&row[..2], &row[5..8]),
            (&[*name, *base][..], &dates[..]),
            "{row:?}"
        );
        assert!(row[2].starts_with(&name["python".len()..]), "{row:?}");
    }
    assert_eq!(shown.len(), expected.len());
    assert_eq!(shown[5][8], "preview");
    let json = run(&mut imgbuild(["list", "--format", "json"]))
        .succeeded()
        .stdout;
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    let glibc = |row: usize| &rows[row]["base"]["glibc"];
    assert_eq!((glibc(0), glibc(3)), (&"2.26".into(), &"2.34".into()));
}

#[test]
fn the_locks_belong_to_their_recipes() {
    run(&mut imgbuild(["lock", "--check"])).succeeded();
}

#[test]
fn the_reference_lists_every_key() {
    let recipe: serde_yaml::Value =
        serde_yaml::from_str(include_str!("../../recipes/python3.13.yaml")).unwrap();
    for key in imgbuild::recipe::yaml::keys(&recipe) {
        assert!(
            include_str!("../../recipes/README.md").contains(&format!("| `{key}` |")),
            "recipes/README.md lacks {key}"
        );
    }
}

#[test]
fn what_the_environment_says_is_no_recipe() {
    for (name, value) in [
        ("IMGBUILD_MIRROR", "mirror"),
        ("IMGBUILD_STEP_LIMITS", "time=1h"),
        ("IMGBUILD_SANDBOX", "on"),
    ] {
        let said = run(imgbuild(["list"]).env(name, value)).succeeded();
        assert!(
            said.stdout.contains("python3.13"),
            "{name}: {}",
            said.stderr
        );
    }
}
