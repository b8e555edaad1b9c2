//! What the labels of an image that was built here promise about its programs: which glibc they run on, and which modules
//! the interpreter has. The audit itself is [`oci::validate`]'s.

use std::collections::BTreeMap;

use oci::validate::{Expected, Glibc};

/// Nothing of an image without our labels.
pub fn expected(labels: &BTreeMap<String, String>) -> Expected {
    Expected {
        glibc: labels
            .get("io.imgbuild.glibc")
            .and_then(|version| Glibc::parse(version)),
        inventory: None,
    }
}
