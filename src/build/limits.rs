//! What a step may use: comes in what the user says, goes out limits of the kernel and a [`Watch`] for what the kernel
//! limits for single processes only.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::process::family::children;
use crate::quantity;

/// What a step may use, with all that it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepLimits {
    /// In bytes, without what is mapped from files.
    pub memory: u64,
    /// At the same time.
    pub processes: u64,
    /// In bytes, for everything it writes.
    pub disk: u64,
    /// From its start to its end.
    pub time: Duration,
}

impl Default for StepLimits {
    /// Nine tenths of the machine's memory; far more of everything else than the largest step needs.
    fn default() -> Self {
        Self {
            memory: machine_memory() / 10 * 9,
            processes: 4096,
            disk: 32 << 30,
            time: Duration::from_secs(4 * 3600),
        }
    }
}

impl FromStr for StepLimits {
    type Err = String;

    /// `memory=8G,processes=512,disk=20G,time=2h`; what is left out stays as it is by default.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut limits = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match name.trim() {
                "memory" => limits.memory = quantity::bytes(value)?,
                "disk" => limits.disk = quantity::bytes(value)?,
                "time" => limits.time = quantity::time(value)?,
                "processes" => {
                    let number = value.parse().ok().filter(|number| *number > 0);
                    limits.processes =
                        number.ok_or_else(|| "expected a number of processes".to_owned())?;
                }
                _ => return Err("expected memory=, processes=, disk= or time=".to_owned()),
            }
        }
        Ok(limits)
    }
}

/// Why a step was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// With the bytes it may use.
    Memory(u64),
    /// With the number it may have.
    Processes(u64),
    /// With the bytes it may write.
    Disk(u64),
    /// With the time it may take.
    Time(Duration),
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: &u64| bytes.div_ceil(1 << 20);
        match self {
            Self::Memory(limit) => write!(f, "it used more than {} MiB of memory", mib(limit)),
            Self::Processes(limit) => write!(f, "it had more than {limit} processes"),
            Self::Disk(limit) => write!(f, "it wrote more than {} MiB", mib(limit)),
            Self::Time(limit) => write!(f, "it took more than {} s", limit.as_secs()),
        }
    }
}

impl Exceeded {
    /// The key of [`StepLimits`] that would allow more.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Memory(_) => "memory",
            Self::Processes(_) => "processes",
            Self::Disk(_) => "disk",
            Self::Time(_) => "time",
        }
    }
}

impl StepLimits {
    /// The words in front of a command that make the kernel limit each of its processes. The kernel's limit of processes
    /// does not bind root, and the others bind each process by itself: [`Watch`] sees to the sums.
    pub fn words(&self) -> Vec<String> {
        vec![
            "prlimit".to_owned(),
            format!("--nproc={}", self.processes),
            format!("--data={}", self.memory),
            format!("--fsize={}", self.disk),
            "--core=0".to_owned(),
            "--".to_owned(),
        ]
    }
}

/// Looks after a step that runs.
pub struct Watch {
    limits: StepLimits,
    folder: Option<PathBuf>,
    before: u64,
    started: Instant,
    weighed: Instant,
    pause: Duration,
}

impl Watch {
    /// `folder`: below which the step can write, unless it can write nowhere on a disk.
    pub fn new(limits: StepLimits, folder: Option<PathBuf>) -> Self {
        let now = Instant::now();
        let mut watch = Self {
            limits,
            folder,
            before: 0,
            started: now,
            weighed: now,
            pause: Duration::ZERO,
        };
        watch.before = watch.weigh();
        watch
    }

    /// What was exceeded by the process `id` and all its descendants.
    pub fn look(&mut self, id: u32) -> Option<Exceeded> {
        let limits = self.limits;
        if self.started.elapsed() > limits.time {
            return Some(Exceeded::Time(limits.time));
        }
        let (processes, memory) = usage(id);
        if processes > limits.processes {
            return Some(Exceeded::Processes(limits.processes));
        }
        if memory > limits.memory {
            return Some(Exceeded::Memory(limits.memory));
        }
        if self.weighed.elapsed() >= self.pause && self.weigh() > self.before + limits.disk {
            return Some(Exceeded::Disk(limits.disk));
        }
        None
    }

    /// The space that the folder takes. Takes a fiftieth of the time at most.
    fn weigh(&mut self) -> u64 {
        let started = Instant::now();
        let sum = self.folder.as_deref().map_or(0, space);
        self.weighed = Instant::now();
        self.pause = started.elapsed() * 50;
        sum
    }
}

fn space(path: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    // What vanishes meanwhile takes no space.
    let Ok(metadata) = fs_err::symlink_metadata(path) else {
        return 0;
    };
    let own = metadata.blocks() * 512;
    if !metadata.is_dir() {
        return own;
    }
    let entries = fs_err::read_dir(path).into_iter().flatten().flatten();
    own + entries.map(|entry| space(&entry.path())).sum::<u64>()
}

/// The number of processes below and with `id`, and the bytes that are theirs alone or shared memory.
fn usage(id: u32) -> (u64, u64) {
    let mut children = children();
    let (mut processes, mut memory) = (0, 0);
    let mut waiting = vec![id];
    while let Some(process) = waiting.pop() {
        processes += 1;
        memory += own_memory(process);
        waiting.extend(children.remove(&process).into_iter().flatten());
    }
    (processes, memory)
}

fn own_memory(process: u32) -> u64 {
    let status = fs_err::read(format!("/proc/{process}/status")).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let kibibytes = status.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        ["RssAnon", "RssShmem"].contains(&name).then_some(())?;
        value.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    });
    kibibytes.sum::<u64>() << 10
}

fn machine_memory() -> u64 {
    let text = fs_err::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| {
        let words = line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?;
        words.parse::<u64>().ok()
    });
    total.map_or(u64::MAX / 2, |kibibytes| kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_as_they_are_written() {
        let limits: StepLimits = "memory=8G,processes=512,disk=20GB,time=2h".parse().unwrap();
        let expected = StepLimits {
            memory: 8 << 30,
            processes: 512,
            disk: 20_000_000_000,
            time: Duration::from_secs(7200),
        };
        assert_eq!(limits, expected);
        assert_eq!("".parse(), Ok(StepLimits::default()));
        for wrong in ["memory", "memory=", "cpu=1", "processes=0", "time=2", "8G"] {
            assert!(wrong.parse::<StepLimits>().is_err(), "{wrong}");
        }
    }
}
