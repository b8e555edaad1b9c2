//! Disks that are full, and disks that fail.

use std::path::Path;

use super::{Victim, digest, forget, forget_if};
use crate::support::{Outcome, compiling, image, program, run};

/// Runs a script with a disk of its own at $1, of so many megabytes; the program is $2, the victim's store $3.
fn on_disk(megabytes: u32, script: &str, victim: &Victim) -> Outcome {
    let disk = victim.folder.path().join("disk");
    fs_err::create_dir_all(&disk).unwrap();
    let script =
        format!("mount -t tmpfs -o size={megabytes}m none \"$1\" || exit 99; cd \"$1\"\n{script}");
    let mut command = program(
        "unshare",
        ["--user", "--map-root-user", "--mount", "sh", "-c"],
    );
    command
        .args([&script, "sh"])
        .arg(&disk)
        .arg(env!("CARGO_BIN_EXE_imgbuild"))
        .arg(victim.store());
    run(&mut command)
}

#[track_caller]
fn full(outcome: &Outcome, path: &Path) {
    let said = &outcome.stderr;
    assert!(
        said.contains("error: ") && said.contains("No space left on device"),
        "{said}"
    );
    assert!(said.contains(path.to_str().unwrap()), "{said}");
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
    assert!(outcome.stdout.contains("code=1\n"), "{outcome:?}");
    // What is there is whole, and nothing else is there.
    assert!(
        outcome.stdout.contains(", 0 damaged\nleft=\n"),
        "{outcome:?}"
    );
}

const LOOK: &str = "\"$2\" cache verify --cache-dir store | tail -n 1; echo left=$(ls -A store/tmp store/sessions | grep -v :; find store/partial -empty -type f)";

#[test]
fn a_full_disk_is_named_and_nothing_half_written_stays() {
    let _compiling = compiling();
    let victim = Victim::new();
    let disk = victim.folder.path().join("disk");
    for megabytes in [2, 64] {
        // Everything comes from the victim's store, as from a mirror; the compiler alone is 100 MB.
        let script = format!(
            "mkdir store; cp -a \"$3\"/resolved store; \"$2\" python3.13 --quiet --mirror \"$3\" --cache-dir store; echo code=$?; {LOOK}"
        );
        full(&on_disk(megabytes, &script, &victim), &disk);
    }
    // A full disk for the image: the store has it all.
    let script = "\"$2\" python3.13 --quiet --cache-dir \"$3\" --tarball t.tar; echo code=$?; ls -A; ls -A dist; true";
    let outcome = on_disk(8, script, &victim);
    let said = &outcome.stderr;
    assert!(
        said.contains("No space left on device") && said.contains("dist/python3.13"),
        "{said}"
    );
    assert_eq!(outcome.stdout, "code=1\ndist\n", "{outcome:?}");
}

#[test]
fn a_disk_that_gets_full_while_steps_run() {
    let _compiling = compiling();
    let victim = Victim::new();
    victim.recovers();
    let lower = victim.folder.path().join("lower");
    fs_err::rename(victim.store(), &lower).unwrap();
    forget(&lower);
    let build = format!(
        "\"$2\" python3.13 --quiet --cache-dir store --cache-lower {} --output \"{}\"",
        lower.display(),
        victim.dist().display()
    );
    // Too small for what a step unpacks, then for its result, then large enough.
    let script = format!(
        "for size in 3 40 90; do
            mount -o remount,size=${{size}}m none \"$1\" && {build} 2>>errors && break; echo code=$?; {LOOK}
        done
        cat errors >&2; mount -o remount,size=2g none \"$1\"; {build} && {LOOK}"
    );
    let outcome = on_disk(3, &script, &victim);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("code=1\n"), "{outcome:?}");
    assert!(!outcome.stdout.contains("code=2\n"), "{outcome:?}");
    let sound = outcome.stdout.matches(", 0 damaged\nleft=\n").count();
    assert!(
        sound >= 2 && outcome.stdout.matches("left=").count() == sound,
        "{outcome:?}"
    );
    assert!(
        outcome.stderr.contains("No space left on device"),
        "{outcome:?}"
    );
    assert_eq!(digest(&victim.dist().join("python3.13")), digest(image()));
}

#[test]
fn a_disk_that_fails_is_named_and_the_next_build_is_right() {
    let _compiling = compiling();
    let victim = Victim::new();
    victim.recovers();
    for call in ["fsync", "rename"] {
        let mut failures = 0;
        for when in [1, 2, 5] {
            forget_if(&victim.store(), false);
            let inject = format!("inject={call}:error=EIO:when={when}");
            let mut command = program(
                "strace",
                ["-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e"],
            );
            command.arg(format!("trace={call}")).args(["-e", &inject]);
            let build = victim.build();
            command.arg(build.get_program()).args(build.get_args());
            let outcome = run(&mut command);
            if outcome.code != Some(0) {
                failures += 1;
                let said = outcome.refused();
                assert!(said.contains("Input/output error"), "{call} {when}: {said}");
                let folder = victim.folder.path().to_str().unwrap();
                assert!(said.contains(folder), "{call} {when}: {said}");
            }
            victim.recovers();
        }
        assert!(failures >= 2, "{call}: {failures} of the builds failed");
    }
    victim.is_sound();
}
