//! `imgbuild copy`: an image from one place to another, byte for byte.

use std::sync::Arc;

use anyhow::{Context, Result};
use oci::copy::{self, Destination};
use oci::registry::{Descriptor, Endpoint, Graph, Push, Reference, Referrers, Registry, Watch};
use oci::source::{Access, ImageSource, Location, Name};
use serde_json::json;

use super::CommandError;
use super::push::{refuse_fallback, report};
use crate::cli::flags;
use crate::cli::sending::Sending;
use crate::cli::settings::Settings;
use crate::inputs::Progress;

/// Copies, and prints the destination's name with the digest.
pub fn run(settings: &Settings, flags: &flags::Copy) -> Result<()> {
    let http = settings.http()?;
    let scratch = settings.scratch()?;
    let progress = Progress::new(settings.progress);
    let watch: Arc<dyn Watch> = Arc::new(Sending::new(&progress));
    let access = Access {
        scratch: scratch.path(),
        connect: &|reference| Ok(Registry::new(&http, reference.clone())?.watched(watch.clone())),
    };
    let location = Location::parse(&flags.source, Some(&flags.output))?;
    let destination = Destination::parse(&flags.destination)?;
    let source = ImageSource::open(&location, &access)?;
    let top = match &flags.platform {
        Some(platform) => source.choose(Some(platform))?,
        None => source.top().clone(),
    };
    let graph = copy::graph(&source, &top)?;
    let root = graph.root();
    let image = if root.is_index() {
        None
    } else {
        // An artifact is no image, and is copied all the same.
        source.image(flags.platform.as_ref()).ok()
    };
    let platform = image.as_ref().map(|image| image.platform.clone());
    let failed = || format!("cannot copy {location} to {destination}");
    let from = match (&location, &destination) {
        _ if !flags.referrers => None,
        (Location::Registry(from), Destination::Registry(_)) => {
            Some((Endpoint::new(&http, from)?, from))
        }
        _ => {
            let hint = "leave out --referrers, or copy from a registry to a registry";
            return Err(CommandError::new(
                "only registries know what is attached to an image",
                hint,
            )
            .into());
        }
    };
    let name = match &destination {
        Destination::Registry(reference) => {
            if let (Some(image), Location::Local { .. }) = (&image, &location) {
                refuse_fallback(image, flags.allow_fallback)?;
            }
            let endpoint = Endpoint::new(&http, reference)?;
            to_registry(
                watch.clone(),
                &endpoint,
                reference,
                &source,
                &graph,
                &location,
                from.as_ref().map(|(endpoint, from)| (endpoint, *from)),
            )
            .with_context(failed)?;
            format!("{}/{}", reference.registry(), reference.repository())
        }
        Destination::Layout(dir, name) => {
            let name = name.clone().unwrap_or_else(|| name_of(&location));
            copy::to_layout(&source, &graph, platform, dir, &name).with_context(failed)?;
            dir.display().to_string()
        }
        Destination::Archive(path, name) => {
            let name = name.clone().unwrap_or_else(|| name_of(&location));
            copy::to_archive(&source, &graph, platform, path, &name).with_context(failed)?;
            path.display().to_string()
        }
    };
    let result = json!({
        "reference": format!("{name}@{}", root.digest),
        "digest": root.digest,
        "mediaType": root.media_type,
        "platform": image.as_ref().map(|image| image.platform.to_string()),
    });
    report(settings.format, &result, None, None)
}

fn to_registry(
    watch: Arc<dyn Watch>,
    endpoint: &Endpoint,
    to: &Reference,
    source: &ImageSource,
    graph: &Graph,
    from: &Location,
    attached_at: Option<(&Endpoint, &Reference)>,
) -> Result<()> {
    let digest = graph.root().digest;
    let tags = match (to.tag(), to.digest()) {
        // Under its digest alone.
        (None, Some(_)) => Vec::new(),
        (tag, _) => vec![(tag.unwrap_or("latest").to_owned(), digest)],
    };
    if let Some(expected) = to.digest().filter(|expected| expected.0 != digest) {
        anyhow::bail!("it is {digest}, not {expected}");
    }
    let mount_from = match from {
        Location::Registry(from)
            if from.registry() == to.registry() && from.repository() != to.repository() =>
        {
            vec![from.repository().to_owned()]
        }
        _ => Vec::new(),
    };
    let open = |blob: &Descriptor| copy::open(source, blob);
    let push = Push {
        endpoint,
        repository: to.repository(),
        graph,
        open: &open,
        mount_from: &mount_from,
        watch: watch.clone(),
    };
    // What belongs to the image is there before a tag leads to it.
    let before = attached_at.map(|(attached_at, from)| {
        let (open, mount_from) = (&open, &mount_from);
        move || -> Result<()> {
            for document in &graph.documents {
                let at = |endpoint, repository| Referrers {
                    endpoint,
                    repository,
                    subject: document.digest,
                };
                for entry in at(attached_at, from.repository()).list(None)? {
                    let artifact = Descriptor {
                        media_type: entry.media_type,
                        digest: entry.digest,
                        size: entry.size,
                    };
                    let artifact = copy::graph(source, &artifact)?;
                    let push = Push {
                        endpoint,
                        repository: to.repository(),
                        graph: &artifact,
                        open,
                        mount_from,
                        watch: watch.clone(),
                    };
                    push.blobs()?;
                    at(endpoint, to.repository()).put(artifact.root())?;
                }
            }
            Ok(())
        }
    });
    push.run_with(&tags, before)?;
    Ok(())
}

/// What the image is called where it comes from.
fn name_of(location: &Location) -> String {
    let name = match location {
        Location::Registry(reference) => reference.tag().map(str::to_owned),
        Location::Local {
            name: Some(Name::Tag(tag)),
            ..
        } => Some(tag.clone()),
        Location::Local { .. } => None,
    };
    name.unwrap_or_else(|| "latest".to_owned())
}
