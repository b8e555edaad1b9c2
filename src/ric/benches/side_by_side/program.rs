//! The programs that are compared: the bare interpreter, the official client on it, and ours.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::api::{Api, Waiting};
use crate::executable::Executable;
use crate::host;
use crate::official::Official;

/// What is measured.
pub struct Programs {
    pub ours: &'static Executable,
    pub official: Official,
    /// Where the function lies.
    pub folder: PathBuf,
}

/// One of the two runtimes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    Official,
    Ours,
}

/// A runtime at work; it is killed in the end.
pub struct Running {
    child: Child,
    pub waiting: Waiting,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Resident memory in KiB.
    pub fn resident(&self) -> u64 {
        resident(self.child.id())
    }
}

fn resident(process: u32) -> u64 {
    let status = host::read(format!("/proc/{process}/status").as_ref());
    let status = String::from_utf8(status).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

impl Programs {
    /// The command line of a runtime, in the image's environment.
    pub fn command(&self, runtime: Runtime, api: &Api) -> Command {
        let (program, script, folder) = match runtime {
            Runtime::Ours => (
                self.ours.runtime.join("bootstrap"),
                "app.handler".into(),
                &self.ours.runtime,
            ),
            Runtime::Official => (
                self.official.python.clone(),
                self.official.runtime.join("bootstrap.py"),
                &self.official.runtime,
            ),
        };
        let mut command = host::command(program);
        command
            .arg(script)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env(
                "AWS_EXECUTION_ENV",
                format!("AWS_Lambda_python3.{}", self.ours.minor),
            )
            .env("AWS_LAMBDA_RUNTIME_API", &api.address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "f")
            .env("LAMBDA_TASK_ROOT", &self.folder)
            .env("LAMBDA_RUNTIME_DIR", folder)
            .env("_HANDLER", "app.handler")
            .envs(self.ours.home.iter().map(|home| ("PYTHONHOME", home)))
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        command
    }

    /// The interpreter with nothing to do.
    pub fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = host::command(&self.official.python);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LANG", "C.UTF-8");
        command.envs(self.ours.home.iter().map(|home| ("PYTHONHOME", home)));
        command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// Starts a runtime; it and the time until it has asked for the first event.
    pub fn start(&self, runtime: Runtime) -> (Running, Duration) {
        let api = Api::start();
        let mut command = self.command(runtime, &api);
        let started = Instant::now();
        let child = command.spawn().unwrap();
        let waiting = api.wait_next();
        let taken = started.elapsed();
        (Running { child, waiting }, taken)
    }

    /// From the start of the bare interpreter to its end.
    pub fn time_bare(&self, arguments: &[&str]) -> Duration {
        let started = Instant::now();
        let status = self.bare(arguments).status().unwrap();
        assert!(status.success());
        started.elapsed()
    }

    /// Resident memory of the bare interpreter when it has started, in KiB.
    pub fn bare_resident(&self) -> u64 {
        use std::io::Read;
        let mut command = self.bare(&["-c", "print(flush=True); input()"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let resident = resident(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        resident
    }
}
