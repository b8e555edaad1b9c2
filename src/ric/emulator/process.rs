//! The processes of an environment: started with their output in the log, ended with everything that they started.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Arc, mpsc};
use std::thread;

use super::log::{Log, Stream};
use super::subscription::Category;
use crate::ffi::{self, Signal};
use crate::system;

/// A program to start.
#[derive(Clone, Debug)]
pub struct Program {
    /// The file.
    pub file: PathBuf,
    /// Its own name, as it sees it.
    pub name: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// What is set in its environment, beyond what the emulator has.
    pub environment: Vec<(&'static str, OsString)>,
    /// What the emulator has and it has not.
    pub hidden: &'static [&'static str],
    /// Whose lines these are in the log.
    pub category: Category,
}

/// Starts a program as the leader of its own process group. `started` is called with its number before anything else,
/// `ended` with its number and how it ended.
pub fn start(
    program: Program,
    log: &Arc<Log>,
    started: impl FnOnce(u32) + Send + 'static,
    ended: impl FnOnce(u32, String) + Send + 'static,
) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel();
    let log = Arc::clone(log);
    // The thread that starts a process lives as long as the process: the system kills the process when the thread ends, and
    // so nothing is left behind even if the emulator itself is killed.
    thread::spawn(move || {
        let environment: Vec<(&str, &OsStr)> = program
            .environment
            .iter()
            .map(|(name, value)| (*name, value.as_os_str()))
            .collect();
        let spawned = system::spawn(
            &program.file,
            &program.name,
            &program.arguments,
            &environment,
            program.hidden,
        );
        let (mut child, output, error) = match spawned {
            Ok(spawned) => spawned,
            Err(error) => {
                let _ = sender.send(Err(error));
                return;
            }
        };
        log.follow(output, program.category, Stream::Output);
        log.follow(error, program.category, Stream::Error);
        started(child.id());
        let _ = sender.send(Ok(()));
        let how = child
            .wait()
            .map_or_else(|error| error.to_string(), describe);
        // What it started must not outlive it.
        ffi::signal_group(child.id(), Signal::Kill);
        ended(child.id(), how);
    });
    receiver
        .recv()
        .unwrap_or_else(|_| Err(io::Error::other("the process could not be watched")))
}

/// Kills what is left of processes that moved out of their groups: without a parent, they became the emulator's own.
pub fn end_orphans(known: impl Fn(u32) -> bool) {
    // Children of those that are killed turn up in the next round.
    const ROUNDS: usize = 20;
    for _ in 0..ROUNDS {
        let mut orphans = system::children();
        orphans.retain(|&process| !known(process));
        if orphans.is_empty() {
            return;
        }
        for process in orphans {
            ffi::signal_process(process, Signal::Kill);
            ffi::reap(process);
        }
    }
}

/// In the service's words.
fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(9)) => "signal: killed".to_owned(),
        (None, Some(signal)) => format!("signal: {signal}"),
        (None, None) => "unknown".to_owned(),
    }
}
