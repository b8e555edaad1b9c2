//! The pipeline on one page. The types are the stages; one function leads from each to the next.
//!
//! | from | to | by |
//! | --- | --- | --- |
//! | [`recipe::Recipe`] | [`lock::Lock`] | [`lock::Resolver::resolve`] |
//! | [`lock::Lock`] | [`build::Inputs`] | [`build::Inputs::fetch`] |
//! | [`build::Inputs`] | [`build::Base`], [`build::Parts`] | [`build::Base::make`], [`build::run`] |
//! | [`build::Parts`] | [`oci::Image`] | [`image::Contents::assemble`] |
//! | [`oci::Image`] | [`oci::Layout`] | [`oci::Layout::write`] |
//! | [`oci::Image`], [`build::Inputs`] | [`papers::Papers`] | [`papers::Papers::new`] |
//!
//! Everything before the image knows recipes and nothing of OCI; the crate `oci` knows images and nothing of recipes.
#![forbid(unsafe_code)]

pub mod arch;
pub mod audit;
pub mod build;
pub mod cli;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod image;
pub mod inputs;
pub mod lock;
pub mod packages;
pub mod papers;
pub mod process;
pub mod quantity;
pub mod recipe;
pub mod update;
