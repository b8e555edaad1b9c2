//! The one home of effects: environment, files, child processes, the clock. This crate has no dependencies, so what
//! fs_err does elsewhere in the project (naming the path in errors) is done by the callers here.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, UNIX_EPOCH};

use crate::ffi;

/// An environment variable; empty counts as unset.
pub fn variable(name: &str) -> Option<OsString> {
    present(name).filter(|value| !value.is_empty())
}

/// An environment variable, even an empty one.
#[expect(
    clippy::disallowed_methods,
    reason = "the crate's one reader of the environment"
)]
pub fn present(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// An environment variable as text; empty counts as unset, bytes that are not UTF-8 are replaced.
pub fn text_variable(name: &str) -> Option<String> {
    variable(name).map(|value| value.to_string_lossy().into_owned())
}

/// A folder that the environment may name.
pub fn folder(variable_name: &str, default: &str) -> PathBuf {
    variable(variable_name).map_or_else(|| PathBuf::from(default), PathBuf::from)
}

/// The file of this program with every link resolved. Without /proc, it is found through the name it was called by.
pub fn executable(called: &OsStr) -> PathBuf {
    std::env::current_exe()
        .or_else(|_| Path::new(called).canonicalize())
        .unwrap_or_else(|_| PathBuf::from(called))
}

/// What the file system says about a program to start.
#[derive(Debug, PartialEq, Eq)]
pub enum Program {
    /// Not there, or not a file.
    Missing,
    /// A file without execute permission.
    NotExecutable,
    /// Can be started.
    Executable,
}

/// Looks at a program before it is started.
#[expect(
    clippy::disallowed_methods,
    reason = "the crate's one home of file access"
)]
pub fn program(path: &Path) -> Program {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() && found.permissions().mode() & 0o111 == 0 => {
            Program::NotExecutable
        }
        Ok(found) if found.is_file() => Program::Executable,
        _ => Program::Missing,
    }
}

/// Whether a folder has files that `site.addsitedir` would act on.
#[expect(
    clippy::disallowed_methods,
    reason = "the crate's one home of file access"
)]
pub fn has_path_files(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            name.as_bytes().ends_with(b".pth") || name.as_bytes().ends_with(b".start")
        })
    })
}

/// A file's bytes, if it is there.
#[expect(
    clippy::disallowed_methods,
    reason = "the crate's one home of file access"
)]
pub fn read(path: &Path) -> Option<Vec<u8>> {
    std::fs::read(path).ok()
}

/// Becomes another program, with changes to the environment. Returns only if that fails.
pub fn become_program(
    program: &Path,
    arguments: &[&OsStr],
    environment: &[(&str, &OsStr)],
) -> io::Error {
    const NOT_A_BINARY: i32 = 8;
    let error = command(program.as_os_str(), arguments, environment).exec();
    if error.raw_os_error() != Some(NOT_A_BINARY) {
        return error;
    }
    // As a shell does: a text without `#!` is a script.
    let mut script = vec![program.as_os_str()];
    script.extend(arguments);
    command(OsStr::new("/bin/sh"), &script, environment).exec()
}

/// Starts a child as the leader of its own process group, with pipes for standard output and error. It is killed when the
/// thread that calls this ends. `hidden` are variables of this process that it does not get.
pub fn spawn(
    program: &Path,
    name: &OsStr,
    arguments: &[OsString],
    environment: &[(&str, &OsStr)],
    hidden: &[&str],
) -> io::Result<(Child, io::PipeReader, io::PipeReader)> {
    let arguments: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
    let mut command = command(program.as_os_str(), &arguments, environment);
    for name in hidden {
        command.env_remove(name);
    }
    let (output, output_end) = io::pipe()?;
    let (error, error_end) = io::pipe()?;
    command.stdout(output_end).stderr(error_end);
    ffi::unblock_signals_in(&mut command);
    ffi::kill_with_parent(&mut command);
    let child = command.arg0(name).process_group(0).spawn()?;
    Ok((child, output, error))
}

/// The files in a folder that can be executed, sorted. A folder that is not there has none.
#[expect(
    clippy::disallowed_methods,
    reason = "the crate's one home of file access"
)]
pub fn executables(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.retain(|file| self::program(file) == Program::Executable);
    files.sort();
    files
}

/// The numbers of this process's children.
#[expect(
    clippy::disallowed_methods,
    reason = "the crate's one home of file access"
)]
pub fn children() -> Vec<u32> {
    let own = std::process::id().to_string();
    let is_child = |process: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // The name before the closing bracket may hold anything; behind it are the state and the parent.
        let rest = status.rsplit_once(')').map(|(_, rest)| rest);
        rest.and_then(|rest| rest.split_whitespace().nth(1)) == Some(&own)
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(is_child)
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the crate's one home of child processes"
)]
fn command(program: &OsStr, arguments: &[&OsStr], environment: &[(&str, &OsStr)]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).envs(environment.iter().copied());
    command
}

/// Time since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "deadlines and log lines carry the real time"
)]
pub fn now() -> Duration {
    std::time::SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Milliseconds since 1970.
pub fn now_in_millis() -> u64 {
    now().as_millis() as u64
}

/// The largest memory that a living process has used, in MB.
#[expect(
    clippy::disallowed_methods,
    reason = "the crate's one home of file access"
)]
pub fn peak_memory_in_mb(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib.div_ceil(1024))
}
