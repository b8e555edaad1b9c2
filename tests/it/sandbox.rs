//! What a script of somebody else's tries while it is built: every attempt is a `configure` that really runs in a build.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use oci::Digest;

use crate::support::{compiling, definitions, edit_lock, image, imgbuild, program, run};

/// Definitions whose ncurses has this `configure`.
fn hostile(configure: &str) -> tempfile::TempDir {
    image();
    let folder = definitions();
    let mirror = folder.path().join("mirror");
    let source = folder.path().join("source/ncurses-6.5");
    fs_err::create_dir_all(&source).unwrap();
    fs_err::create_dir(&mirror).unwrap();
    let script = format!("#!/bin/sh\n{configure}\necho it went on\nexit 7\n");
    for (name, text) in [
        ("COPYING", "none\n"),
        ("config.guess", "echo any\n"),
        ("configure", &script),
    ] {
        fs_err::write(source.join(name), text).unwrap();
    }
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs_err::set_permissions(source.join("configure"), mode).unwrap();
    let archive = mirror.join("ncurses.tar.gz");
    let mut tar = program("tar", ["--create", "--gzip", "--file"]);
    tar.arg(&archive).arg("--directory");
    run(tar.arg(folder.path().join("source")).arg("ncurses-6.5")).succeeded();
    let (digest, _) = Digest::of_reader(fs_err::File::open(&archive).unwrap()).unwrap();
    fs_err::rename(&archive, mirror.join(digest.hex())).unwrap();
    let lock = folder.path().join("recipes/python3.13.lock");
    let ncurses = "sha256:136d91bc269a9a5785e5f9e980bc76ab57428f604ce3e5a5a90cebc767971cc6";
    edit_lock(&lock, ncurses, &digest.to_string());
    folder
}

/// What the user is told, and the whole log of the step.
fn attempt(configure: &str, limits: &str) -> (String, String) {
    let folder = hostile(configure);
    let home = folder.path().join("home");
    fs_err::create_dir(&home).unwrap();
    fs_err::write(home.join("token"), "canary of the home folder\n").unwrap();
    let mut command = imgbuild([
        "build",
        "./recipes/python3.13.yaml",
        "--mirror=mirror",
        "--quiet",
    ]);
    command
        .current_dir(folder.path())
        .args(["--cache-dir".as_ref(), crate::support::cache().as_os_str()])
        .env("HOME", &home)
        .env("CI_TOKEN", "canary of the environment")
        .env("IMGBUILD_STEP_LIMITS", limits);
    let said = run(&mut command).refused();
    let log = said
        .lines()
        .find_map(|line| line.strip_prefix("the whole log: "));
    let log = PathBuf::from(log.unwrap_or_else(|| panic!("{said}")));
    let text = String::from_utf8_lossy(&fs_err::read(&log).unwrap()).into_owned();
    fs_err::remove_file(log).unwrap();
    assert!(said.contains("\nhint: "), "{said}");
    (said, text)
}

#[test]
fn nothing_of_the_user_is_seen() {
    let script = "env; cat /proc/*/environ /proc/*/cmdline; ls -a / /root /home /etc /var /tmp /run /mnt /srv
        find / -path /proc -prune -o -path /usr -prune -o -name token -print; id; ps; kill -9 1
        echo top: $(ls -A /) end; echo settings: $(ls -A /etc) end
        cat /etc/passwd /etc/shadow /etc/hostname; ls /proc | grep -c '^[0-9]'";
    let (said, log) = attempt(script, "");
    for text in [&said, &log] {
        assert!(!text.contains("canary"), "{text}");
        assert!(!text.contains("/token"), "{text}");
    }
    assert!(
        log.contains("uid=1000") && log.contains("it went on"),
        "{log}"
    );
    assert!(log.contains("cat: /etc/passwd: No such file"), "{log}");
    let listed = |name: &str| {
        let line = log.lines().find_map(|line| line.strip_prefix(name));
        let line = line.and_then(|line| line.strip_suffix(" end"));
        line.unwrap_or_else(|| panic!("{log}")).to_owned()
    };
    let known = "bin dev etc imgbuild lib lib32 lib64 libx32 proc sbin tmp usr".split(' ');
    let known: Vec<&str> = known.collect();
    let top = listed("top: ");
    assert!(top.split(' ').all(|name| known.contains(&name)), "{top}");
    assert_eq!(listed("settings: "), "alternatives");
    let variables = log.lines().filter(|line| line.starts_with("CI_"));
    assert_eq!(variables.count(), 0, "{log}");
}

#[test]
fn nothing_is_reached_over_the_network() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!(
        "cat /proc/net/dev
         perl -MIO::Socket::INET -e '
            for (\"127.0.0.1:{port}\", \"1.1.1.1:53\") {{
                print IO::Socket::INET->new(PeerAddr => $_, Timeout => 3) ? \"reached $_\\n\" : \"no $_: $!\\n\"
            }}'"
    );
    let (_, log) = attempt(&script, "");
    assert!(
        log.contains("no 127.0.0.1") && log.contains("no 1.1.1.1"),
        "{log}"
    );
    assert!(log.contains("lo:") && !log.contains("eth"), "{log}");
    let asked = listener.accept().map(drop).unwrap_err();
    assert_eq!(asked.kind(), ErrorKind::WouldBlock);
}

#[test]
fn nothing_is_written_elsewhere() {
    let script = "for place in / /usr /usr/bin /etc /dev /var /imgbuild /imgbuild/files /imgbuild/deps /imgbuild/zig \
            /imgbuild/wrappers /proc/sys/kernel /sys; do
            if touch $place/canary; then echo \"wrote to $place\"; fi
        done
        echo x > /imgbuild/script.sh && echo 'wrote to the script'
        cat /proc/sys/kernel/core_pattern > /proc/sys/kernel/core_pattern && echo 'wrote to the kernel'
        echo x > /proc/sysrq-trigger && echo 'wrote to the kernel'
        mount -t tmpfs none /imgbuild/out && echo 'wrote a mount'
        mknod /tmp/disk b 252 0 && echo 'wrote a device'
        chmod u+s /usr/bin/true && echo 'wrote a mode'
        grep CapEff /proc/self/status
        touch /tmp/a /dev/shm/a /imgbuild/out/a /imgbuild/src/a && echo 'its own places are open'";
    let (_, log) = attempt(script, "");
    assert!(!log.contains("wrote"), "{log}");
    assert!(log.contains("CapEff:\t0000000000000000"), "{log}");
    assert!(log.contains("its own places are open"), "{log}");
    assert!(!Path::new("/usr/canary").exists());
}

/// Runs the script with these limits; it must be stopped for this reason, soon, with all that it started.
#[track_caller]
fn stopped(script: &str, limits: &str, reasons: &[&str]) {
    // A sandbox is a pid namespace: nobody has a name like this outside, and no other test has it.
    let test = std::thread::current();
    let name = test.name().unwrap().replace("::", "-");
    let name = format!("imgbuild-{name}-{}", std::process::id());
    let started = Instant::now();
    let (said, log) = attempt(&script.replace("NAME", &name), limits);
    assert!(
        reasons.iter().any(|reason| said.contains(reason)),
        "{said}\n{log}"
    );
    assert!(said.contains("--step-limits"), "{said}");
    assert!(!log.contains("it went on"), "{log}");
    assert!(
        started.elapsed() < Duration::from_secs(100),
        "{:?}",
        started.elapsed()
    );
    let left = run(&mut program("pgrep", ["-f", &name]));
    assert_eq!(left.stdout, "", "something survived");
}

#[test]
fn a_fork_bomb_is_stopped() {
    let _compiling = compiling();
    let script = "cp /bin/sleep /tmp/NAME; while :; do /tmp/NAME 600 & done";
    let reasons = ["was stopped: it had more than 150 processes", "Cannot fork"];
    stopped(script, "processes=150", &reasons);
}

#[test]
fn one_that_eats_memory_is_stopped() {
    let _compiling = compiling();
    let alone = "perl -e '$x = \"x\" x 2e9; sleep 600' NAME || exit 3";
    // By the kernel, at once.
    stopped(alone, "memory=300M", &["Out of memory"]);
    let together =
        "for i in 1 2 3 4 5 6 7 8; do perl -e '$x = \"x\" x 1e8; sleep 600' NAME & done; wait";
    let reason = "was stopped: it used more than 300 MiB of memory";
    stopped(together, "memory=300M", &[reason]);
}

#[test]
fn one_that_fills_the_disk_is_stopped() {
    let _compiling = compiling();
    let one = "dd if=/dev/zero of=NAME bs=1M count=5000 || exit 3";
    stopped(one, "disk=60M", &["File size limit", "File too large"]);
    for folder in [
        ".",
        "/tmp",
        "/dev/shm",
        "/imgbuild/out",
        "/imgbuild/zig-cache",
    ] {
        let many = format!(
            "i=0; while i=$((i + 1)); do head -c 10000000 /dev/zero >{folder}/NAME.$i || exit 3; test $i -lt 300 || sleep 600; done"
        );
        let many = format!("trap 'rm -f {folder}/NAME.*' EXIT; {many}");
        stopped(
            &many,
            "disk=60M",
            &["was stopped: it wrote more than 60 MiB"],
        );
    }
}

#[test]
fn what_one_plants_is_not_there_for_the_next() {
    let _compiling = compiling();
    let plant = "cd /imgbuild/zig-cache && mkdir -p o/planted && touch planted o/planted/a
        find . -type f | while read file; do echo planted >$file || echo 'cannot write'; done
        for place in /tmp /dev/shm /imgbuild/out /imgbuild/src; do touch $place/planted; done
        find /imgbuild /tmp /dev/shm -name planted | wc -l; grep -rl planted . | wc -l";
    let (_, log) = attempt(plant, "");
    let counts: Vec<u32> = log.lines().filter_map(|line| line.parse().ok()).collect();
    assert!(counts[0] >= 5 && counts[1] > 20, "{log}");
    let find = "find /imgbuild /tmp /dev/shm -name planted; grep -rl '^planted' /imgbuild/zig-cache
        echo 'int main(void) { return 0; }' >/tmp/a.c; clang /tmp/a.c -o /tmp/a && /tmp/a && echo compiled";
    let (_, log) = attempt(find, "");
    assert!(
        log.contains("compiled") && !log.contains("planted"),
        "{log}"
    );
}

#[test]
fn one_that_does_not_end_is_stopped() {
    stopped(
        "cp /bin/sleep /tmp/NAME; /tmp/NAME 600",
        "time=2s",
        &["was stopped: it took more than 2 s"],
    );
}

#[test]
fn where_user_namespaces_are_forbidden() {
    let folder = hostile("echo never");
    let mut command = program(
        "bwrap",
        [
            "--unshare-user",
            "--uid",
            "0",
            "--disable-userns",
            "--dev-bind",
            "/",
            "/",
        ],
    );
    command.arg("--").arg(env!("CARGO_BIN_EXE_imgbuild"));
    command.args([
        "build",
        "./recipes/python3.13.yaml",
        "--mirror=mirror",
        "--quiet",
    ]);
    let said = run(command.current_dir(folder.path())).refused();
    assert!(said.contains("namespace"), "{said}");
    assert!(
        said.contains("hint: build scripts run in a sandbox") && said.contains("sysctl"),
        "{said}"
    );
}

/// A container that allows no user namespaces and no mounts: bubblewrap cannot run in it.
fn container(folder: &Path, command: &[&str]) -> Command {
    let mut container = program(
        "bwrap",
        [
            "--unshare-user",
            "--uid",
            "0",
            "--gid",
            "0",
            "--disable-userns",
        ],
    );
    container.args([
        "--cap-drop",
        "CAP_SYS_ADMIN",
        "--tmpfs",
        "/",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--tmpfs",
        "/tmp",
    ]);
    for place in ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc"] {
        container.args(["--ro-bind-try", place, place]);
    }
    for place in [
        Path::new(env!("CARGO_MANIFEST_DIR")),
        &crate::support::cache(),
        folder,
    ] {
        container.arg("--bind").arg(place).arg(place);
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_imgbuild"));
    container
        .arg("--ro-bind")
        .arg(binary)
        .arg("/imgbuild-program");
    container.args([
        "--chdir",
        env!("CARGO_MANIFEST_DIR"),
        "--",
        "/imgbuild-program",
    ]);
    container.args(command);
    container
}

#[test]
#[ignore = "a whole build: `make test-bare`"]
fn a_build_without_a_sandbox_makes_the_same_layers_and_says_so() {
    let _compiling = compiling();
    image();
    let folder = tempfile::tempdir_in(crate::support::cache()).unwrap();
    let dist = folder.path().join("dist");
    let cache = crate::support::cache();
    let common = [
        "python3.13",
        "--cache-dir",
        cache.to_str().unwrap(),
        "--output",
        dist.to_str().unwrap(),
    ];
    let said = run(&mut container(
        folder.path(),
        &[&common[..], &["--sandbox", "off"]].concat(),
    ));
    let layout = dist.join("python3.13");
    let said = said.succeeded().stderr;
    eprintln!("{said}");
    let layers = |layout: &Path| -> Vec<String> {
        let image = oci::Layout::open(layout).unwrap().image().unwrap();
        image
            .layers()
            .iter()
            .map(|layer| layer.digest().to_string())
            .collect()
    };
    assert_eq!(layers(&layout), layers(image()));
    let config = oci::Layout::open(&layout).unwrap().image().unwrap();
    let config: serde_json::Value = serde_json::from_slice(config.config()).unwrap();
    assert_eq!(config["config"]["Labels"]["io.imgbuild.sandbox"], "off");
}

#[test]
fn limits_that_are_none_are_refused() {
    for limits in ["memory", "memory=lots", "cpu=1", "processes=0"] {
        let outcome = run(&mut imgbuild(["python3.13", "--step-limits", limits]));
        assert_eq!(outcome.code, Some(1));
        assert!(outcome.stderr.contains("expected "), "{}", outcome.stderr);
    }
}
