//! What steps share: the store, the number of hands, and the account of what was done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use oci::registry::{Descriptor, Manifest};
use oci::tar_writer::{Times, write_tar};
use oci::{DiffId, Digest, Epoch, Layer, LayerDigest, LayerError, Tree};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::BuildError;
use super::limits::{StepLimits, Watch};
use super::sandbox::{self, Bare, Isolation, Sandbox};
use crate::inputs::{Store, Temporary};
use crate::process::family::{end_sandbox, end_tree};
use crate::process::{Process, ProcessError};

/// The store and the hands of one build. Threads share it.
pub struct Workshop<'a> {
    /// Where inputs and outputs lie.
    pub store: &'a Store,
    jobs: usize,
    limits: StepLimits,
    isolation: Isolation,
    free: Mutex<usize>,
    freed: Condvar,
    done: Mutex<Vec<Done>>,
    steps: Mutex<BTreeMap<String, StepRecord>>,
}

/// A step of a build, run or found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRecord {
    /// For people.
    pub title: String,
    /// What decides its output.
    pub key: Digest,
    /// The blobs of its output.
    pub outputs: Vec<Digest>,
}

/// A step that was run, not found.
#[derive(Clone, Debug)]
pub struct Done {
    /// For people.
    pub title: String,
    /// From the first byte unpacked to the last byte stored.
    pub time: Duration,
}

/// What a step leaves in the store.
pub trait Output: Serialize + DeserializeOwned {
    /// The blobs without which the output is worth nothing.
    fn blobs(&self) -> Vec<Digest>;
}

impl Output for Digest {
    fn blobs(&self) -> Vec<Digest> {
        vec![*self]
    }
}

/// A layer in the store.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct StoredLayer {
    /// Of the blob.
    pub digest: LayerDigest,
    /// Of the tar in it.
    pub diff_id: DiffId,
    /// Of the blob, in bytes.
    pub size: u64,
}

impl From<&Layer> for StoredLayer {
    fn from(layer: &Layer) -> Self {
        Self {
            digest: layer.digest(),
            diff_id: layer.diff_id(),
            size: layer.size(),
        }
    }
}

impl Output for StoredLayer {
    fn blobs(&self) -> Vec<Digest> {
        vec![self.digest.0]
    }
}

/// The folder of one step.
pub enum Workplace {
    /// Anywhere: the sandbox shows it at the right paths.
    Scratch(Temporary),
    /// At the right paths.
    Bare(Bare),
}

impl Workplace {
    /// The folder.
    pub fn path(&self) -> &Path {
        match self {
            Self::Scratch(folder) => folder.path(),
            Self::Bare(folder) => folder.path(),
        }
    }
}

/// One pair of hands; given back when dropped.
struct Hands<'a>(&'a Workshop<'a>);

impl<'a> Workshop<'a> {
    /// At most `jobs` scripts run at a time, each with up to `jobs` compilers.
    pub fn new(store: &'a Store, jobs: usize) -> Self {
        Self {
            store,
            jobs,
            limits: StepLimits::default(),
            isolation: Isolation::default(),
            free: Mutex::new(jobs),
            freed: Condvar::new(),
            done: Mutex::default(),
            steps: Mutex::default(),
        }
    }

    /// What each step may use.
    pub fn with_limits(mut self, limits: StepLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Whether scripts are kept from the machine.
    pub fn with_isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// Whether scripts are kept from the machine.
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// How many compilers a script may start.
    pub fn jobs(&self) -> usize {
        self.jobs
    }

    /// The output recorded under `key`, or `make`'s, which is then recorded. Other processes that want the same key wait.
    pub fn once<T: Output>(
        &self,
        key: &Digest,
        title: &str,
        make: impl FnOnce() -> Result<T, BuildError>,
    ) -> Result<T, BuildError> {
        let output = self.found_or_made(key, title, make)?;
        let step = StepRecord {
            title: title.to_owned(),
            key: *key,
            outputs: output.blobs(),
        };
        lock(&self.steps).insert(format!("{title} {key}"), step);
        Ok(output)
    }

    fn found_or_made<T: Output>(
        &self,
        key: &Digest,
        title: &str,
        make: impl FnOnce() -> Result<T, BuildError>,
    ) -> Result<T, BuildError> {
        if let Some(output) = self.recorded(key)? {
            return Ok(output);
        }
        let _lock = self.store.lock(&format!("step-{}", key.hex()))?;
        if let Some(output) = self.recorded(key)? {
            return Ok(output);
        }
        let _hands = self.take_hands();
        self.store.progress().note(&format!("building {title}"));
        let started = Instant::now();
        let output = make()?;
        self.store.record_step(key, &output)?;
        let time = started.elapsed();
        self.store
            .progress()
            .note(&format!("built {title} in {:.1} s", time.as_secs_f64()));
        lock(&self.done).push(Done {
            title: title.to_owned(),
            time,
        });
        Ok(output)
    }

    fn recorded<T: Output>(&self, key: &Digest) -> Result<Option<T>, BuildError> {
        let Some(output) = self.store.step_output::<T>(key)? else {
            return Ok(None);
        };
        for blob in output.blobs() {
            if self.store.blob(&blob)?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(output))
    }

    /// A folder that goes away with its value.
    pub fn scratch(&self) -> Result<Temporary, BuildError> {
        Ok(self.store.temporary()?)
    }

    /// The folder of one step, in which its scripts find everything.
    pub fn workplace(&self) -> Result<Workplace, BuildError> {
        Ok(match self.isolation {
            Isolation::On => Workplace::Scratch(self.scratch()?),
            Isolation::Off => Workplace::Bare(Bare::open()?),
        })
    }

    /// The index of a step's output.
    pub fn tree(&self, output: &Digest) -> Result<Tree, BuildError> {
        Ok(Tree::from_tar(&self.blob(output)?)?)
    }

    /// The file of a blob that has to be there.
    pub fn blob(&self, digest: &Digest) -> Result<PathBuf, BuildError> {
        self.store
            .blob(digest)?
            .ok_or(BuildError::Vanished(*digest))
    }

    /// Stores the layer that `write` leaves in a folder.
    pub fn keep_layer(
        &self,
        write: impl FnOnce(&Path) -> Result<Layer, LayerError>,
    ) -> Result<StoredLayer, BuildError> {
        let scratch = self.scratch()?;
        let layer = write(scratch.path())?;
        self.store.adopt(layer.path(), &layer.digest().0)?;
        Ok(StoredLayer::from(&layer))
    }

    /// Stores a tree as a canonical tar.
    pub fn keep(&self, tree: &Tree) -> Result<Digest, BuildError> {
        let mut writer = self.store.writer()?;
        write_tar(tree, Times::Epoch(step_epoch()), &mut writer)?;
        Ok(writer.finish()?.0)
    }

    /// The layers of an image whose blobs are in the store, lowest first.
    pub fn layers_of(&self, manifest: &Manifest) -> Result<Vec<Layer>, BuildError> {
        let layer = |described: &Descriptor| {
            let Descriptor {
                digest,
                size,
                media_type,
            } = described;
            Ok(Layer::from_blob(
                &self.blob(digest)?,
                LayerDigest(*digest),
                *size,
                media_type,
            )?)
        };
        manifest.layers.iter().map(layer).collect()
    }

    /// A layer that was stored before.
    pub fn layer(&self, stored: &StoredLayer) -> Result<Layer, BuildError> {
        Ok(Layer::recorded(
            &self.blob(&stored.digest.0)?,
            stored.digest,
            stored.diff_id,
            stored.size,
        )?)
    }

    /// Runs a command in a sandbox, where it writes below `work` alone; everything it says goes to the step's log. One
    /// that uses more than a step may is stopped.
    pub fn run(
        &self,
        sandbox: &Sandbox,
        work: &Workplace,
        command: &[&str],
        title: &str,
        key: &Digest,
    ) -> Result<(), BuildError> {
        let name: String = title
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        let log = self
            .store
            .logs()
            .join(format!("{name}-{}.log", &key.hex()[..12]));
        if log.exists() {
            fs_err::remove_file(&log)?;
        }
        let limits = self.limits.words();
        let limited: Vec<&str> = limits.iter().map(String::as_str).collect();
        let command = [&limited, command].concat();
        let (process, end): (_, fn(u32)) = match work {
            Workplace::Bare(bare) => (bare.command(sandbox, &command)?, end_tree),
            Workplace::Scratch(_) => {
                let (program, package) = sandbox::PROGRAM;
                let process = Process::cleared(program).package(package);
                (process.args(sandbox.arguments(&command)), end_sandbox)
            }
        };
        let mut watch = Watch::new(self.limits, Some(work.path().to_owned()));
        match process.run_watched(&log, end, |id| watch.look(id)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(exceeded)) => Err(BuildError::Stopped {
                title: title.to_owned(),
                exceeded,
                log,
            }),
            Err(ProcessError::Failed {
                status, tail, log, ..
            }) => {
                let log = log.unwrap_or_default();
                Err(BuildError::Step {
                    title: title.to_owned(),
                    status: status.to_string(),
                    last: tail,
                    log,
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The steps that were run so far.
    pub fn done(&self) -> Vec<Done> {
        lock(&self.done).clone()
    }

    /// Every step that was asked for so far, by title.
    pub fn steps(&self) -> Vec<StepRecord> {
        lock(&self.steps).values().cloned().collect()
    }

    fn take_hands(&'a self) -> Hands<'a> {
        let mut free = lock(&self.free);
        while *free == 0 {
            free = self
                .freed
                .wait(free)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Hands(self)
    }
}

impl Drop for Hands<'_> {
    fn drop(&mut self) {
        *lock(&self.0.free) += 1;
        self.0.freed.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Steps see one fixed time, 1980-01-01: their outputs do not depend on the recipe's epoch, which is applied to layers.
pub fn step_epoch() -> Epoch {
    Epoch::new(315_532_800).expect("a time of the past")
}
