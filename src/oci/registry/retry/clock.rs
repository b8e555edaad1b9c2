//! The passing of time, which tests do not wait for.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Tells how much time has passed, and lets it pass.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    #[cfg(test)]
    simulated: Option<std::sync::Arc<std::sync::Mutex<Simulated>>>,
}

impl Clock {
    /// Since some moment of this process; never goes back, whatever is done to the machine's clock.
    pub(in crate::registry) fn now(&self) -> Duration {
        #[cfg(test)]
        if let Some(simulated) = &self.simulated {
            return simulated.lock().unwrap().now;
        }
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }

    pub(in crate::registry) fn sleep(&self, time: Duration) {
        #[cfg(test)]
        if let Some(simulated) = &self.simulated {
            let mut simulated = simulated.lock().unwrap();
            simulated.now += time;
            simulated.pauses.push(time);
            return;
        }
        std::thread::sleep(time);
    }
}

#[cfg(test)]
#[derive(Debug, Default)]
struct Simulated {
    now: Duration,
    pauses: Vec<Duration>,
}

#[cfg(test)]
impl Clock {
    /// A clock that only these functions move, and sleeping.
    pub(in crate::registry) fn simulated() -> Self {
        Self {
            simulated: Some(Default::default()),
        }
    }

    pub(in crate::registry) fn advance(&self, time: Duration) {
        self.simulated.as_ref().unwrap().lock().unwrap().now += time;
    }

    /// Every pause so far.
    pub(in crate::registry) fn pauses(&self) -> Vec<Duration> {
        self.simulated
            .as_ref()
            .unwrap()
            .lock()
            .unwrap()
            .pauses
            .clone()
    }
}
