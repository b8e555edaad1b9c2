//! A program that is looked after while it runs, and stopped when it should not go on.

use std::path::Path;
use std::time::{Duration, Instant};

use super::interrupt::Registered;
use super::{Process, ProcessError};

/// The time between two looks.
const TICK: Duration = Duration::from_millis(200);

impl Process {
    /// Runs to the end with both outputs appended to `log`, or until `look` says why it has to stop. `look` and `end` get
    /// the program's id. A status other than 0 is an error with the log's last lines.
    pub fn run_watched<S>(
        mut self,
        log: &Path,
        end: fn(u32),
        mut look: impl FnMut(u32) -> Option<S>,
    ) -> Result<Result<(), S>, ProcessError> {
        self.log_to(log)?;
        let child = self.command.spawn();
        let mut child = child.map_err(|source| self.cannot_start(source))?;
        let registered = Registered::ended_by(child.id(), end);
        let mut looked = Instant::now();
        let mut pause = Duration::from_millis(1);
        let failed = |source| ProcessError::Start {
            program: self.program.clone(),
            source,
        };
        let status = loop {
            if let Some(status) = child.try_wait().map_err(failed)? {
                break status;
            }
            if looked.elapsed() >= TICK {
                looked = Instant::now();
                if let Some(stop) = look(child.id()) {
                    end(child.id());
                    child.wait().map_err(failed)?;
                    return Ok(Err(stop));
                }
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(TICK / 4);
        };
        drop(registered);
        self.ended_logged(status, log).map(Ok)
    }
}
