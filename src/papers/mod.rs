//! The papers of an image: two bills of materials and the provenance. Comes in what a build used and made, goes out
//! documents whose bytes depend on nothing else; written beside the layout and attached to the image when it is pushed.

mod component;
mod cyclonedx;
mod files;
mod known;
mod licence;
pub mod packages;
mod parts;
mod provenance;
mod spdx;
pub mod wheels;

use oci::{Epoch, ManifestDigest};

use crate::arch::Arch;
pub use component::{Component, Kind};
pub use files::{Paper, Papers, PapersError};
pub use licence::Licence;
pub use parts::components;
pub use provenance::{HostFacts, Provenance};

/// Which image the papers are of.
pub struct Subject<'a> {
    /// Its name: `python3.13-jit`.
    pub name: &'a str,
    /// The interpreter's version, which is the image's.
    pub version: &'a str,
    /// Its manifest.
    pub digest: ManifestDigest,
    /// The machine it is for.
    pub arch: Arch,
    /// The image's time, which is the documents', too.
    pub created: Epoch,
    /// What is not as the recipe says; empty where everything is.
    pub fallbacks: Vec<String>,
}

impl Subject<'_> {
    /// `pkg:oci/python3.13@sha256%3A…?arch=amd64`.
    fn purl(&self) -> Option<String> {
        let digest = self.digest.to_string();
        component::purl(
            "oci",
            None,
            self.name,
            &digest,
            &[("arch", self.arch.name())],
        )
    }

    fn note(&self) -> String {
        match self.fallbacks.as_slice() {
            [] => "built as its recipe says".to_owned(),
            fallbacks => format!("built with fallbacks: {}", fallbacks.join("; ")),
        }
    }
}

/// Names of the components in a document, none twice.
fn ids(components: &[Component]) -> Vec<String> {
    let mut times = std::collections::BTreeMap::<String, usize>::new();
    let once = |component: &Component| {
        let id = component.id();
        let time = times.entry(id.clone()).or_default();
        *time += 1;
        if *time == 1 {
            id
        } else {
            format!("{id}-{time}")
        }
    };
    components.iter().map(once).collect()
}

/// What made the documents, as they name it.
const TOOL: (&str, &str) = ("imgbuild", env!("CARGO_PKG_VERSION"));

fn json(document: &serde_json::Value) -> Vec<u8> {
    format!("{document:#}\n").into_bytes()
}
