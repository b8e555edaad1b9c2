//! A program that is asked something: it gets a few bytes on stdin, and has a limited time and a limited space to
//! answer. It runs in a process group of its own, which ends with it.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::interrupt::Registered;
use super::{Captured, Process, ProcessError};

/// What a program may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until its end.
    pub time: Duration,
    /// For each of its outputs, in bytes.
    pub output: u64,
}

impl Process {
    /// Sends `question`, and returns how the program ended and all that it said. Its outputs stand in no error.
    pub fn exchange(
        mut self,
        question: &[u8],
        limits: Limits,
    ) -> Result<(ExitStatus, Captured), ProcessError> {
        let program = self.program.clone();
        self.command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = self.command.spawn();
        let mut group = Group(child.map_err(|source| self.cannot_start(source))?);
        let _registered = Registered::new(group.0.id());
        // It may end without having read anything.
        if let Some(mut stdin) = group.0.stdin.take() {
            let _ = stdin.write_all(question);
        }
        let deadline = Instant::now() + limits.time;
        let slow = || ProcessError::Slow {
            program: program.clone(),
            seconds: limits.time.as_secs(),
        };
        let stdout = read_beside(group.0.stdout.take(), limits.output);
        let stderr = read_beside(group.0.stderr.take(), limits.output);
        let mut outputs = [Vec::new(), Vec::new()];
        for (output, reader) in outputs.iter_mut().zip([stdout, stderr]) {
            let left = deadline.saturating_duration_since(Instant::now());
            *output = match reader.recv_timeout(left) {
                Ok(bytes) if bytes.len() as u64 > limits.output => {
                    return Err(ProcessError::TooMuch { program });
                }
                Ok(bytes) => bytes,
                Err(RecvTimeoutError::Timeout) => return Err(slow()),
                Err(RecvTimeoutError::Disconnected) => Vec::new(),
            };
        }
        let [stdout, stderr] = outputs;
        let status = group.end_before(deadline);
        let status = status.map_err(|source| ProcessError::Start {
            program: program.clone(),
            source,
        })?;
        Ok((status.ok_or_else(slow)?, Captured { stdout, stderr }))
    }
}

/// Reads in a thread of its own, which may outlive its use: until the pipe is closed.
fn read_beside(pipe: Option<impl Read + Send + 'static>, limit: u64) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            let _ = pipe.take(limit + 1).read_to_end(&mut bytes);
        }
        let _ = send.send(bytes);
    });
    receive
}

/// A program and all that it started.
struct Group(Child);

impl Group {
    fn end_before(&mut self, deadline: Instant) -> io::Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        if let Ok(id) = i32::try_from(self.0.id())
            && let Some(group) = Pid::from_raw(id)
        {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        time: Duration::from_secs(20),
        output: 1000,
    };

    fn shell(script: &str, limits: Limits) -> Result<(ExitStatus, Captured), ProcessError> {
        Process::inheriting("sh")
            .args(["-c", script])
            .exchange(b"question\n", limits)
    }

    #[test]
    fn a_question_and_its_answer() {
        let (status, said) = shell("read it; echo \"$it?\"; echo no >&2; exit 3", LIMITS).unwrap();
        assert_eq!(status.code(), Some(3));
        assert_eq!(
            (said.stdout.as_slice(), said.stderr.as_slice()),
            (&b"question?\n"[..], &b"no\n"[..])
        );
        assert!(shell("exec <&-; exit 0", LIMITS).unwrap().0.success());
    }

    #[test]
    fn one_that_talks_without_end_is_stopped() {
        let started = Instant::now();
        let error = shell("yes canary", LIMITS).err().unwrap();
        assert!(
            matches!(error, ProcessError::TooMuch { .. })
                && !format!("{error:?}").contains("canary")
        );
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn one_that_hangs_is_stopped_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let limits = Limits {
            time: Duration::from_millis(300),
            ..LIMITS
        };
        for script in [
            "sleep 60 & echo $! > FILE; wait",
            "sleep 60 >&- 2>&- & echo $! > FILE; exec >&- 2>&-; wait",
        ] {
            let error = shell(&script.replace("FILE", file.to_str().unwrap()), limits)
                .err()
                .unwrap();
            assert!(matches!(error, ProcessError::Slow { .. }), "{error}");
            let child = fs_err::read_to_string(&file).unwrap();
            let stat = format!("/proc/{}/stat", child.trim());
            // It is gone, or a dead child that nobody has waited for.
            let gone = || fs_err::read_to_string(&stat).map_or(true, |stat| stat.contains(" Z "));
            let until = Instant::now() + Duration::from_secs(5);
            while !gone() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(10));
            }
            assert!(gone(), "{script}");
        }
    }
}
