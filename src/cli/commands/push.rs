//! `imgbuild push`: built images in, a tag of a registry out.

mod papers;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use oci::media_type::is_index;
use oci::registry::{
    Descriptor, Document, Endpoint, Graph, OpenBlob, Platform, Push, Pushed, Reference, Registry,
};
use oci::source::{Access, ImageSource, Location, SourceImage};
use oci::{Digest, ManifestDigest, copy};
use serde_json::{Value, json};

use super::{CommandError, lock};
use crate::cli::flags::{self, Format};
use crate::cli::sending::Sending;
use crate::cli::settings::Settings;
use crate::inputs::Progress;
use crate::lock::LockError;
use crate::papers::Papers;
use crate::recipe::Recipe;

/// What stands in the labels of an image that is not as its recipe says.
const FALLBACKS: &str = "io.imgbuild.fallbacks";
const BASE_NAME: &str = "org.opencontainers.image.base.name";

/// One image that is pushed.
struct Image {
    graph: Graph,
    documents: SourceImage,
    /// Where it lies on this machine.
    place: Option<PathBuf>,
    papers: Option<Papers>,
}

/// Pushes, and prints `registry/repository@sha256:…`.
pub fn run(settings: &Settings, flags: &flags::Push) -> Result<()> {
    let tags = tags(&flags.reference, &flags.tag)?;
    let http = settings.http()?;
    let scratch = settings.scratch()?;
    let access = Access {
        scratch: scratch.path(),
        connect: &|reference| Registry::new(&http, reference.clone()),
    };
    let progress = Progress::new(settings.progress);
    let mut sources = Vec::new();
    let mut places = Vec::new();
    for image in &flags.image {
        let location = Location::parse(image, Some(&flags.output))?;
        sources.push(ImageSource::open(&location, &access)?);
        places.push(match location {
            Location::Local { path, .. } => Some(path),
            Location::Registry(_) => None,
        });
    }
    let mut images = images(&sources, &places, flags.index)?;
    for image in &mut images {
        refuse_fallback(&image.documents, flags.allow_fallback)?;
        if flags.locked {
            refuse_another_lock(settings, &image.documents)?;
        }
        image.papers = papers::of(image, flags, &progress)?;
    }
    let graph = match images.as_slice() {
        [image] if !flags.index => image.graph.clone(),
        images => {
            let of = |image: &Image| (image.graph.clone(), image.documents.platform.clone());
            Graph::index(images.iter().map(of).collect())
        }
    };
    let names = names(&images, &graph, &tags);

    let endpoint = Endpoint::new(&http, &flags.reference)?;
    let push = Push {
        endpoint: &endpoint,
        repository: flags.reference.repository(),
        graph: &graph,
        open: &|blob| open(&sources, blob),
        mount_from: &mounts(&flags.reference, &flags.mount_from, &images)?,
        watch: Arc::new(Sending::new(&progress)),
    };
    let failed = || format!("cannot push to {}", flags.reference);
    let mut attached = Vec::new();
    let before = || -> Result<()> {
        for image in &images {
            attached.extend(papers::attach(
                image,
                &endpoint,
                &flags.reference,
                &progress,
            )?);
        }
        if let Some(signer) = &flags.sign {
            for document in &graph.documents {
                let reference = flags.reference.with_digest(ManifestDigest(document.digest));
                signer.sign(&reference.to_string())?;
            }
        }
        Ok(())
    };
    let wanted = flags.sign.is_some() || images.iter().any(|image| image.papers.is_some());
    let pushed = push
        .run_with(&names, wanted.then_some(before))
        .with_context(failed)?;
    summarise(&pushed, &attached, &progress);
    let mut result = result(&flags.reference, &images, &graph, &names, &pushed);
    result["attached"] = json!(attached);
    let refs = flags.image_refs.as_ref().map(|path| (path, refs(&result)));
    report(settings.format, &result, refs, flags.metadata_file.as_ref())
}

/// The image has to be built from its recipe's lock as it is on disk.
fn refuse_another_lock(settings: &Settings, image: &SourceImage) -> Result<()> {
    let config: Value = serde_json::from_slice(&image.config_bytes)?;
    let label = |name: &str| config["config"]["Labels"][name].as_str().unwrap_or("none");
    let recipe = label("org.opencontainers.image.title");
    let text = settings.library.recipe(recipe)?;
    let recipe = Recipe::parse(&text.path, &text.text, &[])?;
    let lock = lock::read(settings, &text, &recipe)?;
    let found = label("io.imgbuild.lock");
    if found == lock.digest().to_string() {
        return Ok(());
    }
    let other = LockError::Other {
        path: text.path.with_extension("lock"),
        image: image.digest().to_string(),
        found: found.to_owned(),
    };
    Err(other.into())
}

/// A blob is in one of the places.
fn open(sources: &[ImageSource], blob: &Descriptor) -> io::Result<OpenBlob> {
    let mut found = Err(io::Error::from(io::ErrorKind::NotFound));
    for source in sources {
        found = copy::open(source, blob);
        if found.is_ok() {
            break;
        }
    }
    found
}

/// The reference's own tag and the others, each once.
fn tags(reference: &Reference, others: &[String]) -> Result<Vec<String>> {
    if reference.digest().is_some() {
        let message = format!("{reference} names a digest, which is the result of a push");
        return Err(
            CommandError::new(message, "push to a tag: registry.example/repository:tag").into(),
        );
    }
    let mut tags = vec![reference.tag().unwrap_or("latest").to_owned()];
    for tag in others {
        // Checked like a reference's own.
        let named: Reference =
            format!("{}/{}:{tag}", reference.registry(), reference.repository()).parse()?;
        debug_assert_eq!(named.tag(), Some(tag.as_str()));
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    Ok(tags)
}

/// The single images of all places.
fn images(sources: &[ImageSource], places: &[Option<PathBuf>], index: bool) -> Result<Vec<Image>> {
    let mut images: Vec<Image> = Vec::new();
    for (source, place) in sources.iter().zip(places) {
        let platforms: Vec<Option<Platform>> = if is_index(&source.top().media_type) {
            let several = source.images()?.into_iter();
            several.map(|(_, platform)| Some(platform)).collect()
        } else {
            vec![None]
        };
        for platform in platforms {
            let documents = source.image(platform.as_ref())?;
            let graph = copy::graph(source, &documents.descriptor)?;
            images.push(Image {
                graph,
                documents,
                place: place.clone(),
                papers: None,
            });
        }
    }
    if images.len() != 1 && !index {
        let message = format!("{} images cannot be pushed to one tag", images.len());
        let hint =
            "--index pushes an index of them, and each under TAG-ARCHITECTURE, as Lambda wants it";
        return Err(CommandError::new(message, hint).into());
    }
    images.sort_by_key(|image| image.documents.platform.to_string());
    let same = |pair: &&[Image]| pair[0].documents.platform == pair[1].documents.platform;
    if let Some(twice) = images.windows(2).find(same) {
        let message = format!("two of the images are for {}", twice[0].documents.platform);
        return Err(CommandError::new(message, "an index holds one image per architecture").into());
    }
    Ok(images)
}

pub(super) fn refuse_fallback(image: &SourceImage, allowed: bool) -> Result<()> {
    let documents = [&image.manifest_bytes, &image.config_bytes];
    let parsed = documents.map(|bytes| serde_json::from_slice::<Value>(bytes).unwrap_or_default());
    let said = [
        &parsed[0]["annotations"][FALLBACKS],
        &parsed[1]["config"]["Labels"][FALLBACKS],
    ];
    match said.into_iter().find_map(Value::as_str) {
        Some(fallbacks) if !allowed => {
            let message = format!("this image was built with fallbacks: {fallbacks}");
            let hint = "build it where the recipe's inputs can be reached, or push it as it is with --allow-fallback";
            Err(CommandError::new(message, hint).into())
        }
        _ => Ok(()),
    }
}

/// Which tag leads where. Below an index, each image has a tag of its own, since Lambda takes no index.
fn names(images: &[Image], graph: &Graph, tags: &[String]) -> Vec<(String, Digest)> {
    let mut names = Vec::new();
    if graph.root().is_index() {
        for image in images {
            let architecture = &image.documents.platform.architecture;
            let digest = image.graph.root().digest;
            names.extend(
                tags.iter()
                    .map(|tag| (format!("{tag}-{architecture}"), digest)),
            );
        }
    }
    names.extend(tags.iter().map(|tag| (tag.clone(), graph.root().digest)));
    names
}

/// Repositories of the same registry that may have the base's layers.
fn mounts(to: &Reference, named: &[String], images: &[Image]) -> Result<Vec<String>> {
    let mut from = Vec::new();
    for name in named {
        let full = format!("{}/{name}", to.registry());
        let reference: Reference = full.parse().or_else(|_| name.parse())?;
        from.push(reference);
    }
    for image in images {
        let manifest: Value =
            serde_json::from_slice(&image.documents.manifest_bytes).unwrap_or_default();
        let base = manifest["annotations"][BASE_NAME].as_str();
        from.extend(base.and_then(|name| name.parse().ok()));
    }
    let mut repositories: Vec<String> = Vec::new();
    for reference in from {
        let repository = reference.repository();
        let elsewhere = reference.registry() != to.registry() || repository == to.repository();
        if !elsewhere && !repositories.iter().any(|known| known == repository) {
            repositories.push(repository.to_owned());
        }
    }
    Ok(repositories)
}

fn summarise(pushed: &Pushed, attached: &[String], progress: &Progress) {
    if !attached.is_empty() {
        progress.note(&format!("{} papers attached", attached.len()));
    }
    if pushed.moved.is_empty() && pushed.sent == 0 {
        progress.note("nothing to push: the registry has it");
        return;
    }
    progress.note(&format!(
        "{} blobs sent ({:.1} MB), {} taken from other repositories, {} there already; tags: {}",
        pushed.sent,
        pushed.bytes as f64 / 1e6,
        pushed.mounted,
        pushed.there,
        pushed.moved.join(", "),
    ));
}

fn result(
    reference: &Reference,
    images: &[Image],
    graph: &Graph,
    names: &[(String, Digest)],
    pushed: &Pushed,
) -> Value {
    let one = |document: &Document, platform: Option<&Platform>| {
        let tags = names
            .iter()
            .filter(|(_, digest)| *digest == document.digest);
        let tags: Vec<&String> = tags.map(|(tag, _)| tag).collect();
        json!({
            "reference": reference.with_digest(ManifestDigest(document.digest)).to_string(),
            "digest": document.digest,
            "mediaType": document.media_type,
            "platform": platform.map(ToString::to_string),
            "tags": tags,
        })
    };
    let root = graph.root();
    let mut result = one(
        root,
        images
            .first()
            .filter(|_| !root.is_index())
            .map(|image| &image.documents.platform),
    );
    if root.is_index() {
        let images = images
            .iter()
            .map(|image| one(image.graph.root(), Some(&image.documents.platform)));
        result["images"] = images.collect();
    }
    result["moved"] = json!(pushed.moved);
    result["blobs"] =
        json!({"sent": pushed.sent, "mounted": pushed.mounted, "there": pushed.there});
    result["bytes"] = json!(pushed.bytes);
    result
}

/// The reference that was asked for, and those of an index's images.
fn refs(result: &Value) -> Vec<&str> {
    let images = result["images"].as_array().into_iter().flatten();
    std::iter::once(result)
        .chain(images)
        .filter_map(|image| image["reference"].as_str())
        .collect()
}

/// To stdout, and to the files that were asked for.
pub(super) fn report(
    format: Format,
    result: &Value,
    refs: Option<(&PathBuf, Vec<&str>)>,
    metadata: Option<&PathBuf>,
) -> Result<()> {
    if let Some((path, refs)) = refs {
        fs_err::write(path, refs.join("\n") + "\n")?;
    }
    if let Some(path) = metadata {
        fs_err::write(path, format!("{result:#}\n"))?;
    }
    match format {
        Format::Text => println!("{}", result["reference"].as_str().unwrap_or_default()),
        Format::Json => println!("{result}"),
    }
    Ok(())
}
