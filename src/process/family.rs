//! Which process started which.

use std::collections::BTreeMap;

use rustix::process::{Pid, Signal, kill_process};

/// The children of every process that has some.
pub fn children() -> BTreeMap<u32, Vec<u32>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let entries = fs_err::read_dir("/proc").into_iter().flatten().flatten();
    for entry in entries {
        let Some(process) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        if let Some(parent) = parent(process) {
            children.entry(parent).or_default().push(process);
        }
    }
    children
}

/// The fourth word of a process's stat; the second is a name, which may hold anything.
fn parent(process: u32) -> Option<u32> {
    let stat = fs_err::read(format!("/proc/{process}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Ends a sandbox. Its first process is bubblewrap's child: when that is killed the kernel kills all the others, and
/// bubblewrap ends when none is left.
pub fn end_sandbox(id: u32) {
    let first = children().remove(&id).unwrap_or_default();
    if first.is_empty() {
        kill(id, Signal::KILL);
    }
    for id in first {
        kill(id, Signal::KILL);
    }
}

/// Ends a process and everything below it.
pub fn end_tree(id: u32) {
    let mut children = children();
    let mut waiting = vec![id];
    while let Some(id) = waiting.pop() {
        kill(id, Signal::KILL);
        waiting.extend(children.remove(&id).into_iter().flatten());
    }
}

pub(super) fn kill(id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }
}
