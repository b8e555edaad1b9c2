//! Locks: what is not as it was written or as the recipe asks for is refused, and updates are whole or not at all.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Outcome, cache, definitions, edit, edit_lock, image, imgbuild, program, run};

const RECIPE: &str = "./recipes/python3.13.yaml";

fn inside(folder: &Path, arguments: &[&str]) -> Outcome {
    run(imgbuild(arguments).current_dir(folder))
}

fn refused(folder: &Path, arguments: &[&str]) -> String {
    inside(folder, arguments).refused()
}

fn texts(folder: &Path) -> Vec<(std::path::PathBuf, String)> {
    let mut texts: Vec<_> = fs_err::read_dir(folder.join("recipes"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs_err::read_to_string(path).unwrap()))
        .collect();
    texts.sort();
    texts
}

#[test]
fn an_edited_lock_is_refused_wherever_the_edit_is() {
    let folder = definitions();
    let lock = folder.path().join("recipes/python3.13.lock");
    let text = fs_err::read_to_string(&lock).unwrap();
    let flipped = |at: usize| {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        fs_err::write(&lock, bytes).unwrap();
        let said = refused(folder.path(), &["build", RECIPE, "--quiet"]);
        assert!(
            said.contains("recipes/python3.13.lock") && said.contains("\nhint: "),
            "{said}"
        );
        said
    };
    for part in 1..12 {
        flipped(part * text.len() / 12);
    }
    // Still a lock that can be read: only its checksum tells.
    for (known, digit) in [("size: ", 6), ("created: ", 9), ("\nchecksum: sha256:", 18)] {
        let said = flipped(text.find(known).unwrap() + digit);
        assert!(said.contains("was edited or cut"), "{known}: {said}");
        assert!(said.contains("\nhint: undo the edit"), "{said}");
    }
    fs_err::write(&lock, &text[..text.rfind("checksum").unwrap()]).unwrap();
    let said = refused(folder.path(), &["lock", "--check", "python3.13"]);
    assert!(said.contains("was edited or cut"), "{said}");
}

#[test]
fn a_lock_that_is_not_the_recipes_stops_every_command_and_nothing_is_written() {
    let newer = |lock: &str| lock.replace("\ncompat: 1\n", "\ncompat: 2\n");
    let none = |lock: &str| lock.replace("\ncompat: 1\n", "\ncompat: 0\n");
    let without = |lock: &str| lock.replace("\ncompat: 1\n", "\n");
    let unknown = |lock: &str| lock.replace("\ncompat: 1\n", "\ncompat: 1\nseal: yes\n");
    let same = str::to_owned;
    let recipe = |recipe: &str| recipe.replace("\"1.44.5\"", "\"1.44.4\"");
    type Edit<'a> = &'a dyn Fn(&str) -> String;
    let faults: [(Edit, Edit, &str, &str); 5] = [
        (
            &newer,
            &same,
            "has the compat number 2, and this program builds 1 only",
            "use the imgbuild that wrote it",
        ),
        (
            &none,
            &same,
            "has the compat number 0, and",
            "use the imgbuild that wrote it",
        ),
        (&without, &same, "no compat number", "restore the file"),
        (&unknown, &same, "was edited or cut", "undo the edit"),
        (
            &same,
            &recipe,
            "sdk.boto3 was \"1.44.5\", is \"1.44.4\"",
            "run `imgbuild lock",
        ),
    ];
    for (of_lock, of_recipe, expected, hint) in faults {
        let folder = definitions();
        for (extension, change) in [("lock", of_lock), ("yaml", of_recipe)] {
            let path = folder
                .path()
                .join("recipes/python3.13")
                .with_extension(format!("13.{extension}"));
            let text = fs_err::read_to_string(&path).unwrap();
            fs_err::write(&path, change(&text)).unwrap();
        }
        let before = texts(folder.path());
        for command in [
            &["build", RECIPE][..],
            &["build", RECIPE, "--locked"],
            &["lock", "--check", RECIPE],
            &["update", RECIPE],
            &["update", RECIPE, "--sdk", "--dry-run"],
        ] {
            let said = alone(folder.path(), command).refused();
            assert!(said.contains(expected), "{command:?}: {said}");
            assert!(
                said.contains(&format!("\nhint: {hint}")),
                "{command:?}: {said}"
            );
        }
        assert_eq!(texts(folder.path()), before, "{expected}");
        assert!(!folder.path().join("dist/python3.13").exists());
    }
}

#[test]
fn locked_means_what_would_be_locked_today() {
    let folder = definitions();
    let sources = folder.path().join("recipes/sources.yaml");
    inside(folder.path(), &["lock", "--check", "--quiet"]).succeeded();
    let good = fs_err::read_to_string(&sources).unwrap();
    edit(&sources, "version: \"26.3\"", "version: \"26.4\"");
    for command in [
        &["build", RECIPE, "--locked", "--quiet"][..],
        &["lock", "--check", RECIPE],
    ] {
        let said = refused(folder.path(), command);
        let expected = "is not what would be locked today: pip was 26.3, is 26.4";
        assert!(said.contains(expected), "{said}");
        assert!(said.contains("\nhint: run `imgbuild lock "), "{said}");
    }
    fs_err::write(&sources, good).unwrap();
    let mut command = imgbuild(["build", RECIPE, "--locked", "--quiet"]);
    command.current_dir(folder.path());
    let said = run(command.env("SOURCE_DATE_EPOCH", "1")).refused();
    assert!(said.contains("SOURCE_DATE_EPOCH says 1"), "{said}");
    let base = folder.path().join("images/al2023.yaml");
    edit(&base, "version: \"2023.", "version: \"2024.");
    let said = refused(folder.path(), &["build", RECIPE, "--locked", "--quiet"]);
    assert!(said.contains("al2023 was 2023."), "{said}");
}

/// Runs without a network.
fn alone(folder: &Path, arguments: &[&str]) -> Outcome {
    let mut command = program("unshare", ["--net", "--user", "--map-root-user"]);
    command.arg(env!("CARGO_BIN_EXE_imgbuild")).args(arguments);
    command.arg("--cache-dir").arg(cache());
    run(command.current_dir(folder))
}

#[test]
fn a_lock_keeps_what_the_recipe_keeps() {
    let folder = definitions();
    let lock = folder.path().join("recipes/python3.13.lock");
    let read = || fs_err::read_to_string(&lock).unwrap();
    edit_lock(&lock, "created: 17", "created: 16");
    // A lock that apt would not give today.
    let tzdata = |year: &str| format!("name: tzdata\n      artifacts:\n      - version: {year}");
    edit_lock(&lock, &tzdata("2"), &tzdata("1"));
    let before = read();
    alone(folder.path(), &["lock", RECIPE, "--quiet"]).succeeded();
    assert_eq!(read(), before);
    let recipe = folder.path().join("recipes/python3.13.yaml");
    edit(&recipe, "1.44.5", "1.44.4");
    inside(folder.path(), &["lock", RECIPE, "--quiet"]).succeeded();
    let kept = |text: &str| {
        text[text.find("\nbase:").unwrap()..text.rfind("checksum").unwrap()].to_owned()
    };
    assert_eq!(kept(&read()), kept(&before));
    assert!(read().contains("- version: 1.44.4"));
    assert!(read().contains("created: 17"), "another lock, another day");
}

#[test]
fn what_the_definitions_ask_for_is_compared_without_asking_anybody() {
    for (file, from, to, expected) in [
        (
            "images/debian12.yaml",
            "    - tzdata\n",
            "",
            "stand_in.wanted.names was tzdata, is absent",
        ),
        (
            "images/debian12.yaml",
            "    - tar\n",
            "    - tar\n    - vim\n",
            "stand_in.wanted.names was absent, is vim",
        ),
        (
            "images/debian12.yaml",
            "suite: bookworm",
            "suite: trixie",
            "stand_in.wanted.suite was bookworm, is trixie",
        ),
        (
            "images/al2023.yaml",
            "glibc: \"2.34\"",
            "glibc: \"2.35\"",
            "base.glibc was '2.34', is '2.35'",
        ),
        (
            "images/al2023.yaml",
            "stand_in: debian12\n",
            "",
            "stand_in.wanted.names was apt, ",
        ),
        (
            "images/al2023.yaml",
            "stand_in: debian12\n",
            "",
            "tzdata was 202",
        ),
    ] {
        let folder = definitions();
        alone(folder.path(), &["lock", "--check", RECIPE]).succeeded();
        edit(&folder.path().join(file), from, to);
        for command in [
            &["lock", "--check", RECIPE][..],
            &["build", RECIPE, "--locked"],
        ] {
            let said = alone(folder.path(), command).refused();
            assert!(said.contains(expected), "{expected}: {said}");
            let others = said.matches(" was ").count() - 1;
            assert_eq!(others > 0, from.starts_with("stand_in"), "{said}");
            assert!(said.contains("\nhint: run `imgbuild lock "), "{said}");
        }
    }
}

#[test]
fn what_a_lock_has_too_much_or_too_little_of_is_named() {
    let extra = "- name: leftover
  artifacts:
  - version: '7'
    sha256: sha256:0000000000000000000000000000000000000000000000000000000000000000
    origins:
    - file: /nowhere
";
    for part in [
        "libraries",
        "installers",
        "rust:\n  amd64",
        "llvm:\n  amd64",
    ] {
        let folder = definitions();
        let lock = folder.path().join("recipes/python3.13.lock");
        let nested = part.contains('\n');
        let indented: String = extra.lines().map(|line| format!("  {line}\n")).collect();
        let more = if nested { &indented } else { extra };
        let with = |more: &str| format!("\n{part}:\n{more}");
        edit_lock(&lock, &with(""), &with(more));
        let said = alone(folder.path(), &["lock", "--check", RECIPE]).refused();
        assert!(said.contains("leftover was 7, is absent"), "{part}: {said}");
    }
    // Only pip knows what boto3 needs: it is asked for updates.
    let folder = definitions();
    let lock = folder.path().join("recipes/python3.13.lock");
    edit_lock(&lock, "\nsdk:\n", &format!("\nsdk:\n{extra}"));
    let arguments = ["update", RECIPE, "--sdk", "--dry-run"];
    let said = inside(folder.path(), &arguments).succeeded().stdout;
    let row = said.lines().find(|line| line.contains("leftover")).unwrap();
    assert!(row.ends_with("no longer needed"), "{row}");
}

#[test]
fn a_push_of_an_image_of_another_lock_is_refused() {
    let folder = definitions();
    let lock = folder.path().join("recipes/python3.13.lock");
    edit_lock(&lock, "created: 1", "created: 2");
    let mut push = imgbuild(["push", "--locked", "--allow-fallback"]);
    push.arg(image()).arg("localhost:1/python:3.13");
    let said = run(push.current_dir(folder.path())).refused();
    assert!(
        said.contains("was not built from ./recipes/python3.13.lock"),
        "{said}"
    );
}

#[test]
fn an_update_brings_the_newest_sdk_and_is_what_the_diff_names() {
    let folder = definitions();
    let recipe = folder.path().join("recipes/python3.13.yaml");
    edit(&recipe, "\"1.44.5\"", "\"1.44.4\"  # pinned");
    inside(folder.path(), &["lock", RECIPE, "--quiet"]).succeeded();
    let before = texts(folder.path());
    let build = |output: &str| {
        let arguments = ["build", RECIPE, "--locked", "--quiet", "--output", output];
        inside(folder.path(), &arguments).succeeded();
    };
    build("old");
    let dry = inside(folder.path(), &["update", RECIPE, "--sdk", "--dry-run"]).succeeded();
    assert_eq!(texts(folder.path()), before, "a dry run writes nothing");
    let done = inside(folder.path(), &["update", RECIPE, "--sdk"]).succeeded();
    assert_eq!(dry.stdout, done.stdout);
    let row = |name: &str| {
        let rows = done.stdout.lines();
        let mut row = rows.map(|line| line.split_whitespace().collect::<Vec<_>>());
        row.find(|cells| cells.get(1) == Some(&name)).unwrap()
    };
    assert_eq!(row("boto3")[2], "1.44.4");
    let newest = row("boto3")[3];
    let text = fs_err::read_to_string(&recipe).unwrap();
    assert!(text.contains(&format!("\"{newest}\"  # pinned")), "{text}");
    build("new");
    let mut diff = imgbuild([
        "diff",
        "--format",
        "json",
        "old/python3.13",
        "new/python3.13",
    ]);
    let outcome = run(diff.current_dir(folder.path()));
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    let said: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let packages = said["packages"].as_array().unwrap();
    let boto3 = packages.iter().find(|package| package["name"] == "boto3");
    assert_eq!(boto3.unwrap()["old"], json!(["1.44.4"]));
    assert_eq!(boto3.unwrap()["new"], json!([newest]));
    let names: Vec<&Value> = packages.iter().map(|package| &package["name"]).collect();
    let expected = ["boto3", "botocore", "s3transfer"];
    assert!(
        names
            .iter()
            .all(|name| expected.contains(&name.as_str().unwrap())),
        "{names:?}"
    );
    let layers: Vec<&Value> = said["layers"].as_array().unwrap().iter().collect();
    assert_eq!(layers.len(), 1);
    assert_eq!(layers[0]["new"]["created_by"], "sdk");
    let cause = said["cause"].as_array().unwrap();
    let cause: Vec<&str> = cause.iter().filter_map(Value::as_str).collect();
    assert!(cause[1].starts_with("layer 2 (sdk) "), "{cause:?}");
    assert!(cause[2].contains("/boto"), "{cause:?}");
    for file in said["files"].as_array().unwrap() {
        let path = file["path"].as_str().unwrap();
        assert!(
            path.contains("/boto") || path.contains("/s3transfer"),
            "{path}"
        );
    }
    let outcome = inside(folder.path(), &["update", RECIPE, "--sdk"]).succeeded();
    assert!(
        outcome.stderr.contains("everything is as new"),
        "{outcome:?}"
    );
}

#[test]
fn an_update_without_network_changes_nothing() {
    let folder = definitions();
    let before = texts(folder.path());
    for part in ["--sdk", "--base", "--libraries"] {
        let said = alone(folder.path(), &["update", RECIPE, part]).refused();
        assert!(said.contains("\nhint: "), "{part}: {said}");
        assert_eq!(texts(folder.path()), before, "{part}");
    }
}

#[test]
fn an_update_that_is_killed_at_any_step_is_the_old_or_the_new_one() {
    let folder = definitions();
    let recipes = folder.path().join("recipes");
    let names = ["python3.13.yaml", "python3.13.lock", ".imgbuild-update"];
    edit(&recipes.join(names[0]), "\"1.44.5\"", "\"1.44.4\"");
    inside(folder.path(), &["lock", RECIPE, "--quiet"]).succeeded();
    let old = texts(folder.path());
    let mut ends = Vec::new();
    let (renames, unlinks) = ("rename,renameat,renameat2", "unlink,unlinkat");
    for (calls, number) in [
        (renames, 1),
        (renames, 2),
        (renames, 3),
        (unlinks, 1),
        (unlinks, 2),
    ] {
        for (path, text) in &old {
            fs_err::write(path, text).unwrap();
        }
        let kill = format!("inject={calls}:signal=SIGKILL:when={number}");
        let mut command = program("strace", ["--quiet=all", "--output=/dev/null", "-e"]);
        command.arg(format!("trace={calls}")).args(["-e", &kill]);
        // Only these files' names count.
        for name in names {
            command.args(["-P", &format!("./recipes/{name}")]);
        }
        command.arg(env!("CARGO_BIN_EXE_imgbuild"));
        command.args(["update", RECIPE, "--sdk"]);
        let code = run(command.current_dir(folder.path())).code;
        inside(folder.path(), &["lock", "--check", RECIPE]).succeeded();
        assert!(!recipes.join(names[2]).exists(), "{number}");
        let recipe = fs_err::read_to_string(recipes.join(names[0])).unwrap();
        let lock = fs_err::read_to_string(recipes.join(names[1])).unwrap();
        let is_new = !recipe.contains("\"1.44.4\"");
        assert_eq!(is_new, !lock.contains("sdk.boto3: 1.44.4"), "{number}");
        ends.push((is_new, code == Some(0)));
    }
    // The plan's name decides; then come the recipe, the lock, and the end of the plan.
    let (killed, whole) = ((true, false), (true, true));
    assert_eq!(ends, [(false, false), killed, killed, killed, whole]);
}

#[test]
fn an_update_that_was_killed_is_finished_by_the_next_command() {
    let folder = definitions();
    let recipes = folder.path().join("recipes");
    let recipe = fs_err::read_to_string(recipes.join("python3.13.yaml")).unwrap();
    let lock = fs_err::read_to_string(recipes.join("python3.13.lock")).unwrap();
    let plan = json!([
        {"path": "python3.13.yaml", "text": format!("# new\n{recipe}")},
        {"path": "python3.13.lock", "text": lock},
    ]);
    fs_err::write(recipes.join(".imgbuild-update"), plan.to_string()).unwrap();
    // Of the two only the recipe was written, and something that is no lock stands in the other's place.
    fs_err::write(recipes.join("python3.13.lock"), "half a lo").unwrap();
    inside(folder.path(), &["lock", "--check", "python3.13"]).succeeded();
    let now = fs_err::read_to_string(recipes.join("python3.13.yaml")).unwrap();
    assert!(now.starts_with("# new\n"));
    assert!(!recipes.join(".imgbuild-update").exists());
    // A plan is there as a whole or not at all: a torn one is damage that nobody may guess about.
    fs_err::write(recipes.join(".imgbuild-update"), "[{\"path\": \"pyth").unwrap();
    let said = refused(folder.path(), &["lock", "--check", "python3.13"]);
    assert!(
        said.contains("cannot be finished") && said.contains("\nhint: "),
        "{said}"
    );
}

#[test]
fn an_update_of_libraries_edits_the_catalogue_and_keeps_what_people_wrote() {
    let folder = definitions();
    let sources = folder.path().join("recipes/sources.yaml");
    let newest = "package: bzip2, version: \"1.0.8-6\"";
    edit(&sources, newest, "package: bzip2, version: \"1.0.8-5\"");
    edit(&sources, "\nbzip2:\n", "\n# by hand\nbzip2:\n");
    let before = texts(folder.path());
    let arguments = ["update", RECIPE, "--libraries", "--dry-run"];
    let said = inside(folder.path(), &arguments).succeeded().stderr;
    assert!(
        said.contains("not updated: ncurses: a site cannot be asked"),
        "{said}"
    );
    assert_eq!(texts(folder.path()), before, "a dry run writes nothing");
    inside(folder.path(), &arguments[..3]).succeeded();
    let text = fs_err::read_to_string(&sources).unwrap();
    assert!(!text.contains("version: \"1.0.8-5\""), "{text}");
    assert!(text.contains("\n# by hand\nbzip2:\n"), "{text}");
    inside(folder.path(), &["lock", "--check", RECIPE]).succeeded();
}
