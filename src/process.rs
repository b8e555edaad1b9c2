//! Child processes: comes in a program, its arguments and its whole environment, goes out what it printed, or an error
//! that says which program failed, how, and its last words. The only place that starts one. Knows no sandbox and no
//! step: callers put `bwrap` or `apt-get` in front.

mod exchange;
pub mod family;
pub mod interrupt;
mod watched;

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

pub use exchange::Limits;
use interrupt::Registered;

use fs_err as fs;

/// How many lines of a failed program's output go into its error.
const TAIL_LINES: usize = 20;
/// How many characters of such a line: a linker's can have thousands.
const TAIL_WIDTH: usize = 400;
/// How many bytes of a log are read to find those lines.
const TAIL_BYTES: u64 = 64 * 1024;

/// A program about to run. It reads nothing from stdin.
pub struct Process {
    command: Command,
    program: String,
    package: Option<&'static str>,
}

/// What a program printed.
pub struct Captured {
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

/// A program that could not start or did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// No such program in PATH.
    #[error("{program} is not installed")]
    Missing {
        /// The program's name.
        program: String,
        /// The Debian package that has it.
        package: Option<&'static str>,
    },
    /// It is there, but the kernel refused.
    #[error("cannot run {program}")]
    Start {
        /// The program's name.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ran and failed.
    #[error("{program} failed ({status}){}", last_words(tail, log.as_deref()))]
    Failed {
        /// The program's name.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// Its last lines of output.
        tail: String,
        /// The file that holds all of its output.
        log: Option<PathBuf>,
    },
    /// It did not end in time.
    #[error("{program} did not end within {seconds} s")]
    Slow {
        /// The program's name.
        program: String,
        /// The time it had.
        seconds: u64,
    },
    /// It says more than it may.
    #[error("{program} says more than it should")]
    TooMuch {
        /// The program's name.
        program: String,
    },
    /// The file for its output could not be used.
    #[error(transparent)]
    Log(io::Error),
}

impl Process {
    /// `program` is looked up in PATH when it has no slash; in `/bin` and `/usr/bin` when the environment is cleared
    /// and no `PATH` is set with [`Process::env`].
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the home of child processes"
    )]
    fn start(program: &OsStr) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        Self {
            command,
            program: program.to_string_lossy().into_owned(),
            package: None,
        }
    }

    /// A program that sees no environment but what [`Process::env`] sets.
    pub fn cleared(program: impl AsRef<OsStr>) -> Self {
        let mut process = Self::start(program.as_ref());
        process.command.env_clear();
        process
    }

    /// A program of the user's own (pip, cargo, apt), which is configured through their environment.
    pub fn inheriting(program: impl AsRef<OsStr>) -> Self {
        Self::start(program.as_ref())
    }

    /// Names the Debian package that has the program, for the hint when it is missing.
    pub fn package(mut self, package: &'static str) -> Self {
        self.package = Some(package);
        self
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// More arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Hides an environment variable of the user.
    pub fn env_remove(mut self, key: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(key);
        self
    }

    /// The folder to run in.
    pub fn current_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Runs to the end with the output kept in memory; a status other than 0 is an error.
    pub fn run(mut self) -> Result<Captured, ProcessError> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.command.spawn();
        let child = child.map_err(|source| self.cannot_start(source))?;
        let registered = Registered::new(child.id());
        let output = child.wait_with_output();
        let output = output.map_err(|source| self.cannot_start(source))?;
        drop(registered);
        if output.status.success() {
            return Ok(Captured {
                stdout: output.stdout,
                stderr: output.stderr,
            });
        }
        let said = if output.stderr.trim_ascii().is_empty() {
            &output.stdout
        } else {
            &output.stderr
        };
        Err(ProcessError::Failed {
            program: self.program,
            status: output.status,
            tail: last_lines(said),
            log: None,
        })
    }

    /// Runs to the end with both outputs appended to `log`; a status other than 0 is an error with the log's last lines.
    pub fn run_logged(mut self, log: &Path) -> Result<(), ProcessError> {
        self.log_to(log)?;
        let status = self.status()?;
        self.ended_logged(status, log)
    }

    fn log_to(&mut self, log: &Path) -> Result<(), ProcessError> {
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .map_err(ProcessError::Log)?
            .into_file();
        let twin = file.try_clone().map_err(ProcessError::Log)?;
        self.command.stdout(file).stderr(twin);
        Ok(())
    }

    fn status(&mut self) -> Result<ExitStatus, ProcessError> {
        let child = self.command.spawn();
        let mut child = child.map_err(|source| self.cannot_start(source))?;
        let _registered = Registered::new(child.id());
        child.wait().map_err(|source| self.cannot_start(source))
    }

    fn ended_logged(self, status: ExitStatus, log: &Path) -> Result<(), ProcessError> {
        if status.success() {
            return Ok(());
        }
        Err(ProcessError::Failed {
            program: self.program,
            status,
            tail: end_of(log).map_err(ProcessError::Log)?,
            log: Some(log.to_owned()),
        })
    }

    /// Runs to the end with the terminal's own input and outputs; returns whatever status it had.
    pub fn run_attached(mut self) -> Result<ExitStatus, ProcessError> {
        self.command.stdin(Stdio::inherit());
        self.status()
    }

    /// Runs to the end with the terminal's own input and both outputs going to this program's stderr; returns whatever
    /// status it had.
    pub fn run_on_stderr(mut self) -> Result<ExitStatus, ProcessError> {
        self.command.stdin(Stdio::inherit());
        self.command.stdout(io::stderr()).stderr(io::stderr());
        self.command
            .status()
            .map_err(|source| self.cannot_start(source))
    }

    /// Starts it beside this program, with both outputs going to this program's stderr.
    pub fn spawn(mut self) -> Result<Child, ProcessError> {
        self.command.stdout(io::stderr()).stderr(io::stderr());
        match self.command.spawn() {
            Ok(child) => Ok(Child {
                _registered: Registered::new(child.id()),
                child,
            }),
            Err(source) => Err(self.cannot_start(source)),
        }
    }

    fn cannot_start(&self, source: io::Error) -> ProcessError {
        let program = self.program.clone();
        match source.kind() {
            io::ErrorKind::NotFound => ProcessError::Missing {
                program,
                package: self.package,
            },
            _ => ProcessError::Start { program, source },
        }
    }
}

/// A program that runs beside this one, and ends with it.
pub struct Child {
    child: std::process::Child,
    _registered: Registered,
}

impl Child {
    /// The program's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl ProcessError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing {
                package: Some(package),
                ..
            } => Some(format!("apt-get install {package}")),
            _ => None,
        }
    }

    /// Whether the program is not on this machine.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }

    /// The last lines that the program printed; empty when it never ran.
    pub fn tail(&self) -> &str {
        match self {
            Self::Failed { tail, .. } => tail,
            _ => "",
        }
    }
}

fn last_words(tail: &str, log: Option<&Path>) -> String {
    let mut text = String::new();
    if !tail.is_empty() {
        let _ = write!(text, ":\n{tail}");
    }
    if let Some(log) = log {
        let _ = write!(text, "\nthe whole log: {}", log.display());
    }
    text
}

fn last_lines(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    let cut = |line: &&str| line.chars().take(TAIL_WIDTH).collect::<String>();
    last.iter().map(cut).collect::<Vec<_>>().join("\n")
}

fn end_of(log: &Path) -> io::Result<String> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut file = fs::File::open(log)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(last_lines(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_its_package() {
        let error = Process::cleared("imgbuild-no-such-tool")
            .package("no-such-package")
            .run()
            .err()
            .unwrap();
        assert!(error.is_missing());
        assert_eq!(error.to_string(), "imgbuild-no-such-tool is not installed");
        assert_eq!(error.hint().unwrap(), "apt-get install no-such-package");
    }

    #[test]
    fn a_failure_keeps_the_last_lines_only() {
        let script = "seq 1 100 >&2; exit 3";
        let error = Process::cleared("sh")
            .args(["-c", script])
            .run()
            .err()
            .unwrap();
        assert!(
            error.tail().starts_with("81\n") && error.tail().ends_with("\n100"),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .starts_with("sh failed (exit status: 3):\n81\n"),
            "{error}"
        );
    }

    #[test]
    fn the_log_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("step.log");
        let script = "echo out; echo err >&2; false";
        let error = Process::cleared("sh")
            .args(["-c", script])
            .run_logged(&log)
            .err()
            .unwrap();
        assert_eq!(error.tail(), "out\nerr");
        assert!(error.to_string().contains("step.log"));
    }

    #[test]
    fn only_what_is_set_is_seen() {
        let captured = Process::cleared("env").env("A", "1").run().unwrap();
        assert_eq!(String::from_utf8(captured.stdout).unwrap().trim(), "A=1");
    }
}
