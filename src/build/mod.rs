//! Inputs → Tree: the steps of a build. Knows recipes and nothing of image formats.

mod base;
mod compiler_cache;
mod error;
mod inputs;
mod licences;
mod limits;
mod packages;
mod pipeline;
mod qemu;
mod sandbox;
mod scripts;
mod standin;
mod step;
mod toolchain;
mod train;
mod workshop;

pub use base::{Base, BaseFault};
pub use error::BuildError;
pub use inputs::{BaseInputs, Fallback, Inputs};
pub use limits::{Exceeded, StepLimits, Watch};
pub use pipeline::{Parts, run};
pub use qemu::{NoQemu, Qemu};
pub use sandbox::{Isolation, PROGRAM as SANDBOX_PROGRAM, Sandbox};
#[cfg(any(test, fuzzing))]
pub use standin::fuzz_deb822;
pub use step::HOST_TOOLS;
pub use train::{Workload, train};
pub use workshop::{Done, Output, StepRecord, StoredLayer, Workshop};
