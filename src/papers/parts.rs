//! What a finished build consists of: from the base's and the image's own trees what is installed there, from the lock
//! and the compilers what is linked into the executable.

use std::collections::BTreeMap;

use oci::{Digest, Layer};

use super::component::{Component, Kind, cpe, purl};
use super::known::library;
use super::licence::Licence;
use super::{packages, wheels};
use crate::build::{BuildError, Inputs, Output, StoredLayer, Workshop};
use crate::image::Contents;
use crate::inputs::{Artifact, Fetched, Origin, url_without_login};

impl Output for Vec<Component> {
    fn blobs(&self) -> Vec<Digest> {
        Vec::new()
    }
}

/// Everything in the image that has a version: the system and its packages, the interpreter and what is linked into it,
/// the Python distributions. The trees are read once; their lists are kept like a step's output.
pub fn components(
    contents: &Contents,
    inputs: &Inputs,
    workshop: &Workshop,
) -> Result<Vec<Component>, BuildError> {
    let mut found = system(&contents.base.layers, workshop)?;
    found.push(interpreter(&inputs.cpython));
    for source in &inputs.libraries {
        found.push(linked_library(source)?);
    }
    found.extend(runtime(
        &inputs.rust_std.artifact,
        &inputs.toolchain.artifact,
    ));
    found.extend(distributions(contents, inputs, workshop)?);
    Ok(found)
}

fn system(layers: &[StoredLayer], workshop: &Workshop) -> Result<Vec<Component>, BuildError> {
    let key = key(&("packages 1", layers));
    workshop.once(&key, "list of the base's packages", || {
        let scratch = workshop.scratch()?;
        let layers: Vec<Layer> = layers
            .iter()
            .map(|layer| workshop.layer(layer))
            .collect::<Result<_, _>>()?;
        Ok(packages::of(&oci::root_tree(&layers, scratch.path())?))
    })
}

fn distributions(
    contents: &Contents,
    inputs: &Inputs,
    workshop: &Workshop,
) -> Result<Vec<Component>, BuildError> {
    let files = inputs.installers.iter().chain(&inputs.sdk);
    let wheels: BTreeMap<(String, String), Digest> = files
        .map(|wheel| {
            let name = wheels::normalised(&wheel.name);
            (
                (name, wheel.artifact.version.clone()),
                wheel.artifact.sha256,
            )
        })
        .collect();
    let key = key(&(
        "distributions 1",
        contents.plan(),
        wheels.values().collect::<Vec<_>>(),
    ));
    workshop.once(&key, "list of the Python distributions", || {
        Ok(wheels::distributions(&contents.tree(workshop)?, &wheels))
    })
}

fn interpreter(source: &Fetched) -> Component {
    Component {
        supplier: Some("Python Software Foundation".to_owned()),
        cpe: Some(cpe("python", "python", &source.artifact.version)),
        licence: Some(Licence::known("Python-2.0.1")),
        ..from_source(Kind::Interpreter, "python", &source.artifact)
    }
}

fn linked_library(source: &Fetched) -> Result<Component, BuildError> {
    let known = library(&source.name).ok_or_else(|| BuildError::Library(source.name.clone()))?;
    let (vendor, product) = known.cpe;
    Ok(Component {
        supplier: Some(known.supplier.to_owned()),
        cpe: Some(cpe(vendor, product, &source.artifact.version)),
        licence: Some(Licence::known(known.licence)),
        ..from_source(Kind::Linked, &source.name, &source.artifact)
    })
}

/// The runtime interface client, which is compiled without cargo and so has no crate but Rust's own library, and what
/// the linker adds: compiler-rt, libunwind and glibc's start files, all from zig's wheel.
fn runtime(rust: &Artifact, zig: &Artifact) -> [Component; 3] {
    let linked = |name: &str, version: &str, supplier: &str, licence: &str, note: &str| Component {
        supplier: Some(supplier.to_owned()),
        purl: purl("generic", None, name, version, &[]),
        licence: Some(Licence::known(licence)),
        note: format!("linked into the interpreter: {note}"),
        ..Component::new(Kind::Linked, name, version)
    };
    let (tool, version) = super::TOOL;
    // Debian's `1.96.0+dfsg1-1~deb12u2`.
    let release = rust.version.split(['+', '-']).next().unwrap_or_default();
    let client = "imgbuild-runtime-interface-client";
    let std = "Rust's core, alloc and std with the crates inside them";
    let rest = "compiler-rt, libunwind and glibc's start files, as the compiler brings them";
    let licences =
        "MIT AND Apache-2.0 WITH LLVM-exception AND LGPL-2.1-or-later WITH GCC-exception-2.0-note";
    [
        linked(
            client,
            version,
            tool,
            "Apache-2.0",
            "/var/runtime/bootstrap",
        ),
        Component {
            cpe: Some(cpe("rust-lang", "rust", release)),
            sha256: Some(rust.sha256),
            ..linked(
                "rust-std",
                release,
                "The Rust Project",
                "MIT OR Apache-2.0",
                std,
            )
        },
        Component {
            sha256: Some(zig.sha256),
            ..linked(
                "zig-runtime",
                &zig.version,
                "Zig Software Foundation",
                licences,
                rest,
            )
        },
    ]
}

/// What was compiled from an archive.
fn from_source(kind: Kind, name: &str, source: &Artifact) -> Component {
    let url = source.origins.iter().find_map(|origin| match origin {
        Origin::Url(url) => Some(url_without_login(url)),
        _ => None,
    });
    let checksum = source.sha256.to_string();
    let mut qualifiers = vec![("checksum", checksum.as_str())];
    qualifiers.extend(url.as_deref().map(|url| ("download_url", url)));
    let folder = source
        .subdir
        .as_ref()
        .map(|folder| format!(", folder {folder}"));
    Component {
        purl: purl("generic", None, name, &source.version, &qualifiers),
        sha256: Some(source.sha256),
        download: url,
        note: format!(
            "compiled from {}{}",
            source.origins[0],
            folder.unwrap_or_default()
        ),
        ..Component::new(kind, name, source.version.clone())
    }
}

fn key(identity: &impl serde::Serialize) -> Digest {
    Digest::of(&serde_json::to_vec(identity).expect("a key is plain data"))
}
