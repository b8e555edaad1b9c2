//! What people see while files travel: bars on a terminal, plain lines elsewhere, nothing when quiet. Everything goes
//! to stderr; stdout belongs to results.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, MultiProgress, ProgressBar, ProgressStyle};

/// How to show progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressMode {
    /// Moving bars; for terminals.
    Bars,
    /// A line when something ends.
    Lines,
    /// Warnings only.
    Quiet,
}

/// A place to report to; clones report to the same place.
#[derive(Clone)]
pub struct Progress {
    mode: ProgressMode,
    bars: MultiProgress,
    kept: Option<Arc<Mutex<Vec<String>>>>,
}

/// One transfer under way.
pub struct Transfer {
    progress: Progress,
    bar: ProgressBar,
    name: String,
    started: Instant,
}

impl Progress {
    /// Reports to stderr.
    pub fn new(mode: ProgressMode) -> Self {
        Self {
            mode,
            bars: MultiProgress::new(),
            kept: None,
        }
    }

    /// Reports to a list instead of stderr.
    pub fn kept(mode: ProgressMode) -> (Self, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let progress = Self {
            kept: Some(lines.clone()),
            ..Self::new(mode)
        };
        (progress, lines)
    }

    /// Something that people may want to know; not shown when quiet.
    pub fn note(&self, text: &str) {
        if self.mode != ProgressMode::Quiet {
            self.line(text);
        }
    }

    /// Something that people must know; always shown.
    pub fn warn(&self, text: &str) {
        self.line(&format!("warning: {text}"));
    }

    /// Starts to report one transfer.
    pub fn transfer(&self, name: &str, size: Option<u64>) -> Transfer {
        let bar = match (self.mode, size) {
            (ProgressMode::Bars, Some(size)) => self.bars.add(ProgressBar::new(size)),
            (ProgressMode::Bars, None) => self.bars.add(ProgressBar::new_spinner()),
            _ => ProgressBar::hidden(),
        };
        let template = match size {
            Some(_) => {
                "{prefix:24!} {bar:24} {binary_bytes:>10} of {binary_total_bytes:>10} {binary_bytes_per_sec:>12} {eta:>4} {msg}"
            }
            None => "{prefix:24!} {spinner} {binary_bytes:>10} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        if self.mode == ProgressMode::Bars {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Transfer {
            progress: self.clone(),
            bar,
            name: name.to_owned(),
            started: Instant::now(),
        }
    }

    fn line(&self, text: &str) {
        match &self.kept {
            Some(lines) => lines
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .push(text.to_owned()),
            // A closed stderr is no reason to stop a build.
            None => self
                .bars
                .suspend(|| drop(writeln!(std::io::stderr(), "{text}"))),
        }
    }
}

impl Transfer {
    /// Which origin is being asked.
    pub fn from(&self, origin: &str) {
        self.bar.set_message(origin.to_owned());
    }

    /// How many bytes are there by now.
    pub fn at(&self, bytes: u64) {
        self.bar.set_position(bytes);
    }

    /// It is here.
    pub fn done(self, bytes: u64, origin: &str) {
        // Of an image, the blobs count, not the manifest.
        let bytes = bytes.max(self.bar.position());
        self.ended("fetched", bytes, Some(origin));
    }

    /// It is done, in a word; `origin` is where it came from.
    pub fn ended(self, word: &str, bytes: u64, origin: Option<&str>) {
        self.bar.finish_and_clear();
        let seconds = self.started.elapsed().as_secs_f64();
        let speed = BinaryBytes((bytes as f64 / seconds.max(0.001)) as u64);
        let (name, size) = (&self.name, BinaryBytes(bytes));
        let from = origin.map_or_else(String::new, |origin| format!(" from {origin}"));
        self.progress.note(&format!(
            "{word} {name}: {size} in {seconds:.1} s ({speed}/s){from}"
        ));
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
