//! Inputs: comes in what a lock names, goes out a verified file in the content store.

mod origin;

pub use origin::{Artifact, Input, Origin};
