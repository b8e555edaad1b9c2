//! The papers of an image that is pushed: found beside it, attached before a tag leads to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use oci::ManifestDigest;
use oci::registry::{Endpoint, Reference, Referrers};

use super::Image;
use crate::cli::attachment::{Attachment, Bytes, File};
use crate::cli::commands::CommandError;
use crate::cli::flags;
use crate::cli::sending::Sending;
use crate::inputs::Progress;
use crate::papers::Papers;

/// The papers beside an image, if they are wanted.
pub fn of(image: &Image, flags: &flags::Push, progress: &Progress) -> Result<Option<Papers>> {
    if flags.no_attest {
        return Ok(None);
    }
    let digest = ManifestDigest(image.graph.root().digest);
    let place = image.place.as_deref();
    let found = place
        .map(|place| Papers::read(place, digest))
        .transpose()?
        .flatten();
    if found.is_none() {
        let shown = place.map_or_else(|| digest.to_string(), |place| place.display().to_string());
        let message = format!("there are no papers beside {shown}");
        if flags.attest {
            return Err(CommandError::new(
                message,
                "`imgbuild build` writes them beside the layout",
            )
            .into());
        }
        progress.note(&format!("{message}: none are attached"));
    }
    Ok(found)
}

/// Attaches those of an image's papers that are not there yet; returns them as `registry/repository@sha256:…`.
pub fn attach(
    image: &Image,
    endpoint: &Endpoint,
    to: &Reference,
    progress: &Progress,
) -> Result<Vec<String>> {
    let Some(papers) = &image.papers else {
        return Ok(Vec::new());
    };
    let subject = image.graph.root().descriptor();
    let repository = to.repository();
    let referrers = Referrers {
        endpoint,
        repository,
        subject: subject.digest,
    };
    let failed = || format!("cannot attach the papers of {}", subject.digest);
    let there = referrers.list(None).with_context(failed)?;
    let mut attached = Vec::new();
    for (paper, bytes) in papers.iter() {
        let file = File {
            name: format!("{}{}", papers.name(), paper.suffix()),
            media_type: paper.media_type().to_owned(),
            bytes: Bytes::Memory(bytes.into()),
        };
        let attachment =
            Attachment::new(paper.media_type(), &subject, vec![file], &BTreeMap::new())?;
        let digest = attachment.document().digest;
        if !there.iter().any(|entry| entry.digest == digest) {
            attachment
                .put(endpoint, repository, Arc::new(Sending::new(progress)))
                .with_context(failed)?;
            attached.push(to.with_digest(ManifestDigest(digest)).to_string());
        }
    }
    Ok(attached)
}
