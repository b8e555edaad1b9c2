//! The two clients, and what one of them does with a case.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::case::{Api, Case, End, Start};
use crate::executable::{self, Executable};
use crate::host;
use crate::normal;
use crate::official::{self, Official};
use crate::recorder::{Part, Recorder, Segment};

/// The clients, on one interpreter.
pub struct Clients {
    pub ours: &'static Executable,
    pub official: Official,
}

/// Both clients; None, after a loud word, if there is no executable to test.
pub fn clients() -> Option<&'static Clients> {
    static CLIENTS: OnceLock<Option<Clients>> = OnceLock::new();
    let clients = CLIENTS.get_or_init(|| {
        let ours = executable::get()?;
        let official = official::install(ours);
        Some(Clients { ours, official })
    });
    clients.as_ref()
}

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Ours,
    Official,
}

impl Clients {
    fn runtime(&self, which: Which) -> &Path {
        match which {
            Which::Ours => &self.ours.runtime,
            Which::Official => &self.official.runtime,
        }
    }

    fn command(&self, which: Which, case: &Case, folder: &Path) -> Command {
        let runtime = self.runtime(which);
        let output = |name: &str| format!("'{}'", folder.join(name).display());
        let mut script = format!(
            "ulimit -c 0; exec >>{} 2>>{}; ",
            output("out"),
            output("err")
        );
        if case.frames {
            script.push_str(&format!("exec 7>>{}; ", output("frames")));
        }
        script.push_str("exec \"$0\" \"$@\"");
        let mut command = host::command("/bin/sh");
        command.args(["-c", &script]);
        let mut module_path = None;
        match (case.start, which) {
            (Start::Image, Which::Ours) => {
                command.arg(runtime.join("bootstrap")).arg(&case.handler);
            }
            (Start::Image, Which::Official) => {
                command
                    .arg(&self.official.python)
                    .arg(runtime.join("bootstrap.py"));
            }
            (Start::Module, which) => {
                let (python, folder) = match which {
                    Which::Ours => (&self.ours.python, runtime.to_owned()),
                    Which::Official => (&self.official.python, runtime.join("site-packages")),
                };
                command.arg(python).args(["-m", "awslambdaric"]);
                command.args((!case.handler.is_empty()).then_some(&case.handler));
                module_path = Some(folder);
            }
        }
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env(
                "AWS_EXECUTION_ENV",
                format!("AWS_Lambda_python3.{}", self.ours.minor),
            )
            .env("LAMBDA_TASK_ROOT", folder)
            .env("LAMBDA_RUNTIME_DIR", runtime)
            .env("_HANDLER", &case.handler)
            .envs(self.ours.home.iter().map(|home| ("PYTHONHOME", home)))
            .envs(module_path.iter().map(|path| ("PYTHONPATH", path)))
            .envs(case.frames.then_some(("_LAMBDA_TELEMETRY_LOG_FD", "7")))
            .envs(case.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(folder)
            .stdin(Stdio::null())
            .process_group(0);
        command
    }

    /// Runs a case and returns what could be seen, with what must vary replaced.
    pub fn run(&self, which: Which, case: &Case, folder: &Path) -> Vec<Segment> {
        let mut segments = self.run_once(which, case, folder, 0);
        while case.resumes && segments.len() <= case.events.len() {
            let rest = self.run_once(which, case, folder, segments.len() - 1);
            assert!(
                rest.len() > 1,
                "{}: it ends without taking an event: {rest:?}",
                case.name
            );
            segments.extend(rest.into_iter().skip(1));
        }
        segments
    }

    fn run_once(&self, which: Which, case: &Case, folder: &Path, from: usize) -> Vec<Segment> {
        let streams = [
            (Part::Stdout, "out"),
            (Part::Stderr, "err"),
            (Part::Frames, "frames"),
        ];
        let paths = streams.map(|(part, name)| (part, folder.join(name)));
        for (_, path) in &paths {
            host::write(path, "");
        }
        let recorder = Recorder::start(case.events[from..].to_vec(), case.alone, paths.into());
        let mut command = self.command(which, case, folder);
        match case.api {
            Api::Recorded => command.env("AWS_LAMBDA_RUNTIME_API", &recorder.address),
            Api::At(address) => command.env("AWS_LAMBDA_RUNTIME_API", address),
            Api::Unknown => &mut command,
        };
        let mut child = command.spawn().unwrap();
        recorder.wait_until_idle(|| child.try_wait().unwrap().is_some());
        let mut status = child.try_wait().unwrap();
        if let (None, End::Signal(signal)) = (status, case.end) {
            // The wait in the kernel begins a moment after the request has come in.
            std::thread::sleep(Duration::from_millis(50));
            host::signal(child.id(), signal);
            let started = Instant::now();
            while status.is_none() && started.elapsed() < Duration::from_millis(700) {
                std::thread::sleep(Duration::from_millis(5));
                status = child.try_wait().unwrap();
            }
        }
        // Also what the client has started: the whole group.
        kill_group(child.id());
        child.wait().unwrap();
        let mut segments = recorder.finish();
        let end = status.map_or("waiting".to_owned(), |status| status.to_string());
        segments
            .last_mut()
            .unwrap()
            .push((Part::Exit, end.into_bytes()));
        let runtime = format!("{}/", self.runtime(which).display());
        normal::segments(
            segments,
            &[(&recorder.address, "HOST"), (&runtime, "RUNTIME/")],
        )
    }
}

fn kill_group(process: u32) {
    let mut kill = host::command("kill");
    kill.args(["-KILL", "--", &format!("-{process}")])
        .stderr(Stdio::null());
    // There may be nothing left to kill.
    let _ = kill.status();
}
