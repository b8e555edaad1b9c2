//! Inputs → Tree: the steps of a build. Knows recipes and nothing of image formats.

mod base;
mod emulator;
mod error;
mod inputs;
mod licences;
mod limits;
mod packages;
mod pipeline;
mod sandbox;
mod scripts;
mod standin;
mod step;
mod toolchain;
mod workshop;

pub use base::{Base, BaseFault};
pub use emulator::{Emulator, NoEmulator};
pub use error::BuildError;
pub use inputs::{BaseInputs, Fallback, Inputs};
pub use limits::{Exceeded, StepLimits};
pub use pipeline::{Parts, run};
pub use sandbox::{PROGRAM as SANDBOX_PROGRAM, Sandbox};
pub use step::HOST_TOOLS;
pub use workshop::{Done, Output, StepRecord, StoredLayer, Workshop};
