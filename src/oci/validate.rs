//! Checks a whole layout from its bytes alone: every digest, size and diffID is computed again, and every rule is
//! applied that Lambda is known to have. What Docker and emulators let pass is found here before a deployment.

mod layer;
mod report;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest};

use crate::digest::{Digest, ManifestDigest};
use crate::entry::Entry;
use crate::image::OWN_LAYER;
use crate::layout::{Layout, LayoutError, MAX_CONFIG, MAX_DOCUMENT};
use crate::media_type;
use crate::path::ImagePath;
use crate::tree::Tree;
use layer::Scan;
pub use report::{Finding, Report, Rule, Severity};

/// Where Lambda's limits are.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Bytes of all uncompressed layers.
    unpacked: u64,
    /// Bytes of a manifest.
    manifest: usize,
}

const LAMBDA: Limits = Limits {
    unpacked: 10_000_000_000,
    manifest: 25_400,
};

/// Checks a layout. What is wrong with the image is a finding in the report; an error is returned only when the folder
/// cannot be read as a layout at all.
///
/// Rules that the base image breaks with its own layers are warnings: those layers are used as they are published.
/// Which layers those are stands in the history; an image without such marks is judged as a whole.
pub fn validate_layout(dir: &Path) -> Result<Report, LayoutError> {
    check(&Layout::open(dir)?, LAMBDA)
}

fn check(layout: &Layout, limits: Limits) -> Result<Report, LayoutError> {
    let mut report = Report::default();
    let index = layout.index_bytes()?;
    let index = match ImageIndex::from_reader(&*index) {
        Ok(index) => index,
        Err(e) => {
            report.error(Rule::Bytes, None, format!("index.json: {e}"));
            return Ok(report);
        }
    };
    if let [descriptor] = index.manifests().as_slice() {
        check_image(layout, descriptor, limits, &mut report)?;
    } else {
        let found = index.manifests().len();
        report.error(
            Rule::SingleManifest,
            None,
            format!("the layout holds {found} manifests"),
        );
    }
    Ok(report)
}

fn check_image(
    layout: &Layout,
    descriptor: &Descriptor,
    limits: Limits,
    report: &mut Report,
) -> Result<(), LayoutError> {
    let kind = descriptor.media_type().to_string();
    if kind != media_type::MANIFEST && kind != media_type::DOCKER_MANIFEST {
        report.error(
            Rule::SingleManifest,
            None,
            format!("the name resolves to {kind}"),
        );
        return Ok(());
    }
    let Some(bytes) = document(layout, descriptor, MAX_DOCUMENT, report)? else {
        return Ok(());
    };
    report.manifest = Some(ManifestDigest(Digest::of(&bytes)));
    if bytes.len() > limits.manifest {
        let (size, limit) = (bytes.len(), limits.manifest);
        let detail = format!("the manifest has {size} bytes; Lambda advises {limit} at most");
        report.warning(Rule::Size, None, detail);
    }
    let manifest = match ImageManifest::from_reader(&*bytes) {
        Ok(manifest) => manifest,
        Err(e) => {
            report.error(Rule::Bytes, None, format!("the manifest: {e}"));
            return Ok(());
        }
    };
    check_media_types(&kind, &manifest, report);
    let Some(bytes) = document(layout, manifest.config(), MAX_CONFIG, report)? else {
        return Ok(());
    };
    let config = match ImageConfiguration::from_reader(&*bytes) {
        Ok(config) => config,
        Err(e) => {
            report.error(Rule::Bytes, None, format!("the configuration: {e}"));
            return Ok(());
        }
    };
    let base_layers = check_history(&manifest, &config, report);
    let root = check_layers(layout, &manifest, &config, base_layers, limits, report)?;
    check_run(&config, root.as_ref(), report);
    check_strays(layout, descriptor, &manifest, report)
}

/// A verified document; what is wrong with its bytes is a finding.
fn document(
    layout: &Layout,
    descriptor: &Descriptor,
    limit: u64,
    report: &mut Report,
) -> Result<Option<Vec<u8>>, LayoutError> {
    match layout.document(descriptor, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) => {
            report.error(Rule::Bytes, None, report::chain(&e));
            Ok(None)
        }
    }
}

fn check_media_types(kind: &str, manifest: &ImageManifest, report: &mut Report) {
    let mut types = BTreeSet::from([kind.to_owned()]);
    types.extend(manifest.media_type().as_ref().map(ToString::to_string));
    types.insert(manifest.config().media_type().to_string());
    types.extend(manifest.layers().iter().map(|l| l.media_type().to_string()));
    let family = |prefix: &str| types.iter().any(|t| t.starts_with(prefix));
    if family("application/vnd.docker.") && family("application/vnd.oci.") {
        let all: Vec<String> = types.iter().cloned().collect();
        let detail = format!("types of Docker and OCI are mixed: {}", all.join(", "));
        report.error(Rule::Gzip, None, detail);
    }
    for (i, layer) in manifest.layers().iter().enumerate() {
        let kind = layer.media_type().to_string();
        if !media_type::is_gzip_layer(&kind) {
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

/// Returns how many of the layers are a base image's.
fn check_history(
    manifest: &ImageManifest,
    config: &ImageConfiguration,
    report: &mut Report,
) -> usize {
    let layers = manifest.layers().len();
    let history: Vec<_> = (config.history().iter().flatten())
        .filter(|history| !history.empty_layer().unwrap_or(false))
        .collect();
    if history.len() != layers {
        let detail = format!("{} history entries for {layers} layers", history.len());
        report.error(Rule::History, None, detail);
    }
    let unnamed =
        |h: &&&oci_spec::image::History| h.created_by().as_ref().is_none_or(String::is_empty);
    let own = history
        .iter()
        .position(|h| h.comment().as_deref() == Some(OWN_LAYER));
    for (i, _) in history.iter().enumerate().filter(|(_, h)| unnamed(h)) {
        let detail = "the history does not say what made the layer".to_owned();
        report.own_or_base(own.unwrap_or(0), Rule::History, i, detail);
    }
    own.unwrap_or(0)
}

fn check_layers(
    layout: &Layout,
    manifest: &ImageManifest,
    config: &ImageConfiguration,
    base_layers: usize,
    limits: Limits,
    report: &mut Report,
) -> Result<Option<Tree>, LayoutError> {
    let diff_ids = config.rootfs().diff_ids();
    if diff_ids.len() != manifest.layers().len() {
        let (ids, layers) = (diff_ids.len(), manifest.layers().len());
        report.error(
            Rule::Bytes,
            None,
            format!("{ids} diffIDs for {layers} layers"),
        );
    }
    let mut root = Some(Tree::new());
    let architecture = config.architecture().to_string();
    let scans = scan_all(layout, manifest.layers(), &architecture);
    for (i, scan) in scans.into_iter().enumerate() {
        let scan = scan?;
        report.unpacked += scan.unpacked;
        report.layers += 1;
        let is_whole = scan.damage.is_empty();
        for (rule, detail) in scan.damage {
            report.error(rule, Some(i), detail);
        }
        for (rule, detail) in scan.findings {
            report.own_or_base(base_layers, rule, i, detail);
        }
        if let (Some(got), Some(expected)) = (scan.diff_id, diff_ids.get(i))
            && got.to_string() != *expected
        {
            let detail = format!("diffID is {got}, the configuration says {expected}");
            report.error(Rule::Bytes, Some(i), detail);
        }
        // What a damaged layer would have added is not known: then nobody can say what is missing.
        root = match root
            .filter(|_| is_whole)
            .map(|root| root.with_layer(scan.tree))
        {
            Some(Err(e)) => {
                report.error(Rule::Bytes, Some(i), report::chain(&e));
                None
            }
            root => root.and_then(Result::ok),
        };
    }
    if report.unpacked > limits.unpacked {
        let (size, limit) = (report.unpacked, limits.unpacked);
        let detail = format!("the layers unpack to {size} bytes, more than {limit}");
        report.error(Rule::Size, None, detail);
    }
    Ok(root)
}

/// Scans layers on as many threads as there are cores, results in their order.
fn scan_all(
    layout: &Layout,
    layers: &[Descriptor],
    architecture: &str,
) -> Vec<Result<Scan, LayoutError>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(layer) = layers.get(i) else {
                return done;
            };
            done.push((i, Scan::new(layout, layer, architecture)));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut done: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = (0..threads.min(layers.len()))
            .map(|_| scope.spawn(work))
            .collect();
        let results = running.into_iter().map(|thread| match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        results.flatten().collect()
    });
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, scan)| scan).collect()
}

/// What a container starts with must be there, under absolute paths. Without a root only the paths are checked.
fn check_run(config: &ImageConfiguration, root: Option<&Tree>, report: &mut Report) {
    let Some(run) = config.config() else {
        report.error(
            Rule::Run,
            None,
            "there is no ENTRYPOINT and no CMD".to_owned(),
        );
        return;
    };
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
        Some((what, program)) => match found(root, program) {
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
        match found(root, dir) {
            Err(reason) => report.error(Rule::Run, None, format!("WORKDIR {dir} {reason}")),
            Ok(Some(entry)) if !entry.is_dir() => {
                report.error(Rule::Run, None, format!("WORKDIR {dir} is no directory"));
            }
            Ok(_) => {}
        }
    }
}

fn found<'a>(root: Option<&'a Tree>, path: &str) -> Result<Option<&'a Entry>, &'static str> {
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

/// Blobs that nothing refers to are not pushed and not checked; there should be none.
fn check_strays(
    layout: &Layout,
    descriptor: &Descriptor,
    manifest: &ImageManifest,
    report: &mut Report,
) -> Result<(), LayoutError> {
    let known: BTreeSet<String> = [descriptor, manifest.config()]
        .into_iter()
        .chain(manifest.layers())
        .map(|descriptor| descriptor.digest().digest().to_owned())
        .collect();
    let strays = layout
        .blobs()?
        .into_iter()
        .filter(|name| !known.contains(name));
    for name in strays {
        report.warning(
            Rule::Bytes,
            None,
            format!("nothing refers to the blob {name}"),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
