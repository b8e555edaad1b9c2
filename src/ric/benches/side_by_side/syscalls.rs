//! What a start asks of the kernel, counted by strace: system calls and files, up to the first call of `next` or the end.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::thread;

use crate::api::Api;
use crate::host;
use crate::program::{Programs, Runtime};

/// The calls of one start.
pub struct Calls {
    pub total: usize,
    /// Files that were opened, and folders that were listed.
    pub opened: Vec<String>,
    /// Lookups that found nothing.
    pub missed: usize,
}

/// Traces a runtime.
pub fn of_runtime(programs: &Programs, runtime: Runtime) -> Calls {
    let api = Api::start();
    let command = programs.command(runtime, &api);
    let log = programs.folder.join("strace");
    let mut child = traced(&command, &log).spawn().expect("strace is installed");
    // Dropping the connection ends the process.
    let server = thread::spawn(move || drop(api.wait_next()));
    child.wait().unwrap();
    server.join().unwrap();
    parse(&String::from_utf8_lossy(&host::read(&log)))
}

/// Traces the bare interpreter.
pub fn of_bare(programs: &Programs) -> Calls {
    let log = programs.folder.join("strace");
    let status = traced(&programs.bare(&["-c", "pass"]), &log)
        .status()
        .unwrap();
    assert!(status.success());
    parse(&String::from_utf8_lossy(&host::read(&log)))
}

/// The same command under strace.
fn traced(command: &Command, log: &std::path::Path) -> Command {
    let mut strace = host::command("strace");
    strace
        .args(["-f", "-qq", "-s", "200", "-o"])
        .arg(log)
        .arg(command.get_program())
        .args(command.get_args());
    strace.env_clear();
    for (name, value) in command.get_envs() {
        strace.envs(value.map(|value| (name, value)));
    }
    strace.current_dir(command.get_current_dir().unwrap());
    strace
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    strace
}

fn parse(log: &str) -> Calls {
    let mut calls = Calls {
        total: 0,
        opened: Vec::new(),
        missed: 0,
    };
    for line in log.lines() {
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        if !call.starts_with(|c: char| c.is_ascii_lowercase()) {
            continue;
        }
        calls.total += 1;
        if call.contains("= -1 ENOENT") {
            calls.missed += 1;
        } else if call.starts_with("open") && !call.contains("= -1") {
            calls
                .opened
                .extend(call.split('"').nth(1).map(str::to_owned));
        }
        if call.contains("GET /2018-06-01/runtime/invocation/next") {
            break;
        }
    }
    calls
}

/// Prints the counts and which files a start needs beyond those of the bare interpreter.
pub fn report(programs: &Programs) {
    let (bare, official, ours) = (
        of_bare(programs),
        of_runtime(programs, Runtime::Official),
        of_runtime(programs, Runtime::Ours),
    );
    println!(
        "\n{:<34}{:>10}{:>10}{:>10}",
        "start, by strace", "bare", "official", "ours"
    );
    let row = |what: &str, count: fn(&Calls) -> usize| {
        println!(
            "{what:<34}{:>10}{:>10}{:>10}",
            count(&bare),
            count(&official),
            count(&ours)
        );
    };
    row("system calls", |calls| calls.total);
    row("files opened", |calls| calls.opened.len());
    row("lookups that found nothing", |calls| calls.missed);
    let known: BTreeSet<&String> = bare.opened.iter().collect();
    println!("\nopened by ours and not by `python -c pass`:");
    for file in ours.opened.iter().filter(|file| !known.contains(file)) {
        println!("  {file}");
    }
}
