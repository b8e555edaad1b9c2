//! `imgbuild attach`: files become an artifact that belongs to an image in a registry: an SBOM, a signature, a report.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use oci::Digest;
use oci::registry::{
    Descriptor, Document, EMPTY_CONFIG, Endpoint, Graph, OpenBlob, Push, Referrers, Registry,
    artifact, empty_config,
};
use serde_json::json;

use super::push::report;
use crate::cli::flags;
use crate::cli::sending::Sending;
use crate::cli::settings::Settings;
use crate::inputs::Progress;

/// Attaches, and prints the artifact's own `registry/repository@sha256:…`.
pub fn run(settings: &Settings, flags: &flags::Attach) -> Result<()> {
    let http = settings.http()?;
    let (bytes, media_type) = Registry::new(&http, flags.image.clone())?
        .manifest_bytes(None)
        .with_context(|| format!("cannot attach to {}", flags.image))?;
    let subject = match media_type {
        Some(media_type) => Document::new(&media_type, bytes),
        None => Document::parse(bytes)?,
    };
    let files = flags.file.iter().map(|path| {
        described(
            path,
            flags.media_type.as_ref().unwrap_or(&flags.artifact_type),
        )
    });
    let files: Vec<(Descriptor, String)> = files.collect::<Result<_>>()?;
    let annotations: BTreeMap<String, String> = flags.annotation.iter().cloned().collect();
    let document = artifact(
        &flags.artifact_type,
        &subject.descriptor(),
        &files,
        &annotations,
    );

    let endpoint = Endpoint::new(&http, &flags.image)?;
    let repository = flags.image.repository();
    let progress = Progress::new(settings.progress);
    let blobs = std::iter::once(empty_config()).chain(files.iter().map(|(file, _)| file.clone()));
    let graph = Graph {
        documents: vec![document.clone()],
        blobs: blobs.collect(),
    };
    let push = Push {
        endpoint: &endpoint,
        repository,
        graph: &graph.each_once(),
        open: &|blob| open(&flags.file, &files, blob),
        mount_from: &[],
        watch: Arc::new(Sending::new(&progress)),
    };
    let failed = || format!("cannot attach to {}", flags.image);
    push.blobs().with_context(failed)?;
    let referrers = Referrers {
        endpoint: &endpoint,
        repository,
        subject: subject.digest,
    };
    referrers.put(&document).with_context(failed)?;
    let reference = flags
        .image
        .with_digest(oci::ManifestDigest(document.digest));
    let result = json!({
        "reference": reference.to_string(),
        "digest": document.digest,
        "artifactType": flags.artifact_type,
        "subject": subject.digest,
    });
    report(settings.format, &result, None, None)
}

fn described(path: &Path, media_type: &str) -> Result<(Descriptor, String)> {
    let (digest, size) = Digest::of_reader(fs_err::File::open(path)?)?;
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let file = Descriptor {
        media_type: media_type.to_owned(),
        digest,
        size,
    };
    Ok((file, name))
}

fn open(
    paths: &[std::path::PathBuf],
    files: &[(Descriptor, String)],
    blob: &Descriptor,
) -> io::Result<OpenBlob> {
    let file = files
        .iter()
        .position(|(file, _)| file.digest == blob.digest);
    let path = file.map(|i| paths[i].clone());
    Ok(Arc::new(move |from| -> io::Result<Box<dyn Read + Send>> {
        let Some(path) = &path else {
            return Ok(Box::new(
                &EMPTY_CONFIG[usize::try_from(from).unwrap_or(0)..],
            ));
        };
        let mut file = fs_err::File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        Ok(Box::new(file))
    }))
}
