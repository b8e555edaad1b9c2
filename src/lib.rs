//! The pipeline on one page.
#![forbid(unsafe_code)]

pub mod inputs;
