//! `imgbuild attach`: files become an artifact that belongs to an image in a registry: an SBOM, a signature, a report.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use oci::registry::{Document, Endpoint, Registry};
use serde_json::json;

use super::push::report;
use crate::cli::attachment::{Attachment, Bytes, File};
use crate::cli::flags;
use crate::cli::sending::Sending;
use crate::cli::settings::Settings;
use crate::inputs::Progress;

/// Attaches, and prints the artifact's own `registry/repository@sha256:…`.
pub fn run(settings: &Settings, flags: &flags::Attach) -> Result<()> {
    let http = settings.http()?;
    let failed = || format!("cannot attach to {}", flags.image);
    let (bytes, media_type) = Registry::new(&http, flags.image.clone())?
        .manifest_bytes(None)
        .with_context(failed)?;
    let subject = match media_type {
        Some(media_type) => Document::new(&media_type, bytes),
        None => Document::parse(bytes)?,
    };
    let media_type = flags.media_type.as_ref().unwrap_or(&flags.artifact_type);
    let file = |path: &std::path::PathBuf| File {
        name: name_of(path),
        media_type: media_type.clone(),
        bytes: Bytes::Path(path.clone()),
    };
    let annotations: BTreeMap<String, String> = flags.annotation.iter().cloned().collect();
    let attachment = Attachment::new(
        &flags.artifact_type,
        &subject.descriptor(),
        flags.file.iter().map(file).collect(),
        &annotations,
    )?;
    let endpoint = Endpoint::new(&http, &flags.image)?;
    let progress = Progress::new(settings.progress);
    let watch = Arc::new(Sending::new(&progress));
    attachment
        .put(&endpoint, flags.image.repository(), watch)
        .with_context(failed)?;
    let digest = attachment.document().digest;
    let reference = flags.image.with_digest(oci::ManifestDigest(digest));
    let result = json!({
        "reference": reference.to_string(),
        "digest": digest,
        "artifactType": flags.artifact_type,
        "subject": subject.digest,
    });
    report(settings.format, &result, None, None)
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
