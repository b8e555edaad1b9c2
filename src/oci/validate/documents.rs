//! The rules about an image's documents: manifest, configuration and what they name.

use std::collections::BTreeSet;

use oci_spec::image::{self as spec, ImageConfiguration, ImageManifest};

use super::report::Report;
use super::rule::Rule;
use crate::entry::Entry;
use crate::image::OWN_LAYER;
use crate::layout::Layout;
use crate::media_type;
use crate::path::ImagePath;
use crate::registry::Descriptor;
use crate::source::SourceError;
use crate::tree::Tree;

/// Lambda has two kinds of machines.
pub(super) fn check_platform(config: &ImageConfiguration, report: &mut Report) {
    let (os, architecture) = (config.os().to_string(), config.architecture().to_string());
    if os != "linux" || !matches!(architecture.as_str(), "amd64" | "arm64") {
        let detail = format!("the configuration says {os}/{architecture}");
        report.error(Rule::Architecture, None, detail);
    }
}

pub(super) fn check_media_types(
    kind: &str,
    manifest: &ImageManifest,
    is_docker_archive: bool,
    report: &mut Report,
) {
    if manifest.schema_version() != 2 {
        let detail = format!(
            "the manifest has schema version {}",
            manifest.schema_version()
        );
        report.error(Rule::MediaTypes, None, detail);
    }
    let mut types = BTreeSet::from([kind.to_owned()]);
    types.extend(manifest.media_type().as_ref().map(ToString::to_string));
    types.insert(manifest.config().media_type().to_string());
    types.extend(manifest.layers().iter().map(|l| l.media_type().to_string()));
    let family = |prefix: &str| types.iter().any(|t| t.starts_with(prefix));
    if family("application/vnd.docker.") && family("application/vnd.oci.") {
        let all: Vec<String> = types.iter().cloned().collect();
        let detail = format!("types of Docker and OCI are mixed: {}", all.join(", "));
        report.error(Rule::MediaTypes, None, detail);
    }
    for (i, layer) in manifest.layers().iter().enumerate() {
        let kind = layer.media_type().to_string();
        // An archive's plain layers are compressed by whoever pushes them.
        let is_archived = is_docker_archive && kind == media_type::DOCKER_LAYER;
        if !media_type::is_gzip_layer(&kind) && !is_archived {
            // Whoever made the layer: Lambda takes none of them.
            report.error(Rule::Gzip, Some(i), format!("the layer is {kind}"));
        }
    }
    if !matches!(
        manifest.config().media_type().to_string().as_str(),
        media_type::CONFIG | media_type::DOCKER_CONFIG
    ) {
        let kind = manifest.config().media_type();
        let detail = format!("the configuration is {kind}: an artifact, no image");
        report.error(Rule::SingleManifest, None, detail);
    }
}

/// Returns the layers that were made here.
pub(super) fn check_history(
    manifest: &ImageManifest,
    config: &ImageConfiguration,
    report: &mut Report,
) -> BTreeSet<usize> {
    let layers = manifest.layers().len();
    let history: Vec<_> = (config.history().iter().flatten())
        .filter(|history| !history.empty_layer().unwrap_or(false))
        .collect();
    let is_own = |(_, h): &(usize, &&spec::History)| h.comment().as_deref() == Some(OWN_LAYER);
    let own: BTreeSet<usize> = history
        .iter()
        .enumerate()
        .filter(is_own)
        .map(|(i, _)| i)
        .collect();
    report.base_layers = own.first().copied().unwrap_or(0);
    if history.len() != layers {
        let detail = format!("{} history entries for {layers} layers", history.len());
        report.error(Rule::History, None, detail);
    }
    let unnamed = |h: &&&spec::History| h.created_by().as_ref().is_none_or(String::is_empty);
    for (i, _) in history.iter().enumerate().filter(|(_, h)| unnamed(h)) {
        let detail = "the history does not say what made the layer".to_owned();
        report.own_or_base(Rule::History, i, detail);
    }
    own
}

/// What a container starts with must be there, under absolute paths. Without a root only the paths are checked.
pub(super) fn check_run(config: &ImageConfiguration, root: Option<&Tree>, report: &mut Report) {
    let Some(run) = config.config() else {
        report.error(
            Rule::Run,
            None,
            "there is no ENTRYPOINT and no CMD".to_owned(),
        );
        return;
    };
    for variable in run.env().iter().flatten() {
        if variable.find('=').is_none_or(|at| at == 0) {
            let detail = format!("the ENV entry {variable:?} is no NAME=VALUE");
            report.error(Rule::Run, None, detail);
        }
    }
    let entrypoint = run.entrypoint().iter().flatten().next();
    let program = match entrypoint {
        Some(program) => Some(("ENTRYPOINT", program)),
        None => run.cmd().iter().flatten().next().map(|cmd| ("CMD", cmd)),
    };
    match program {
        None => report.error(
            Rule::Run,
            None,
            "there is no ENTRYPOINT and no CMD".to_owned(),
        ),
        Some((what, program)) => match entry_at(root, program) {
            Err(reason) => report.error(Rule::Run, None, format!("{what} {program} {reason}")),
            Ok(Some(entry)) if entry.is_dir() || entry.mode & 0o001 == 0 => {
                let detail = format!("{what} {program} cannot be run by everybody");
                report.error(Rule::Run, None, detail);
            }
            Ok(_) => {}
        },
    }
    if let Some(dir) = run
        .working_dir()
        .as_deref()
        .filter(|dir| !dir.is_empty() && *dir != "/")
    {
        match entry_at(root, dir) {
            Err(reason) => report.error(Rule::Run, None, format!("WORKDIR {dir} {reason}")),
            Ok(Some(entry)) if !entry.is_dir() => {
                report.error(Rule::Run, None, format!("WORKDIR {dir} is no directory"));
            }
            Ok(_) => {}
        }
    }
}

fn entry_at<'a>(root: Option<&'a Tree>, path: &str) -> Result<Option<&'a Entry>, &'static str> {
    if !path.starts_with('/') {
        return Err("is not an absolute path");
    }
    let path = ImagePath::rooted(path).map_err(|_| "is not a path inside the image")?;
    let Some(root) = root else {
        return Ok(None);
    };
    let path = path.and_then(|path| root.resolve(&path).ok());
    let entry = path.and_then(|path| root.get(&path));
    entry.map(Some).ok_or("does not exist")
}

/// Blobs that nothing refers to are not pushed and not checked; in a layout of one image there should be none.
pub(super) fn check_strays(
    layout: &Layout,
    descriptor: &Descriptor,
    manifest: &ImageManifest,
    report: &mut Report,
) -> Result<(), SourceError> {
    if layout.descriptor().is_err() {
        return Ok(());
    }
    let documents = std::iter::once(manifest.config()).chain(manifest.layers());
    let mut known: BTreeSet<String> = documents
        .map(|descriptor| descriptor.digest().digest().to_owned())
        .collect();
    known.insert(descriptor.digest.hex());
    let strays = layout.blobs()?.into_iter();
    for name in strays.filter(|name| !known.contains(name)) {
        let detail = format!("nothing refers to the blob {name}");
        report.warning(Rule::Bytes, None, detail);
    }
    Ok(())
}
