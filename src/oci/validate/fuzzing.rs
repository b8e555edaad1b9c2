//! The audit's parsers, as functions of bytes.

use oci_spec::image::{ImageConfiguration, ImageManifest};

use super::documents;
use super::elf::Elf;
use super::report::Report;

/// A program or a shared library.
pub fn elf(bytes: &[u8]) {
    let _ = Elf::read(bytes);
}

/// The rules about a configuration, without its layers.
pub fn documents(config: &ImageConfiguration, manifest: &ImageManifest) {
    let mut report = Report::default();
    documents::check_platform(config, &mut report);
    documents::check_history(manifest, config, &mut report);
    documents::check_run(config, None, &mut report);
}
