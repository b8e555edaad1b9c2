//! Checks a whole image from its bytes alone, wherever it is: every digest, size and diffID is computed again, every rule
//! is applied that Lambda is known to have, and what was built here is audited as programs. What Docker and emulators let
//! pass is found here before a deployment. Layers are streamed; what stays in memory is a name and a few bytes per file.

mod audit;
mod elf;
mod layer;
mod report;
mod rule;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use oci_spec::image::{self as spec, ImageConfiguration, ImageManifest};

use crate::digest::{Digest, ManifestDigest};
use crate::entry::Entry;
use crate::image::OWN_LAYER;
use crate::layout::Layout;
use crate::media_type;
use crate::path::ImagePath;
use crate::registry::{Descriptor, Platform};
use crate::source::{Access, Form, ImageSource, Location, SourceError, described_by};
use crate::tree::Tree;
pub use audit::{Expected, Inventory};
pub use elf::Glibc;
use layer::Scan;
pub use report::{Finding, Report, Severity};
pub use rule::Rule;

/// What the image is to run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// AWS Lambda: all rules.
    #[default]
    Lambda,
    /// Any container runtime: the rules without those that only Lambda has.
    Any,
}

/// Whose programs are audited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Audited {
    /// Those of the layers that were made here, by the history's word.
    #[default]
    Own,
    /// Those of every layer, a base's too.
    All,
}

/// What to check.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Which rules.
    pub target: Target,
    /// Which image of an index.
    pub platform: Option<&'a Platform>,
    /// Which programs.
    pub audited: Audited,
    /// What the labels of the configuration promise.
    pub expected: fn(&BTreeMap<String, String>) -> Expected,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            target: Target::default(),
            platform: None,
            audited: Audited::default(),
            expected: |_| Expected::default(),
        }
    }
}

/// Where Lambda's limits are.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Bytes of all uncompressed layers.
    unpacked: u64,
    /// Bytes of a manifest.
    manifest: usize,
    /// Layers; Docker cannot mount more.
    layers: usize,
}

const LAMBDA: Limits = Limits {
    unpacked: 10_000_000_000,
    manifest: 25_400,
    layers: 127,
};

/// Checks an image. What is wrong with it is a finding in the report; an error is returned only when it cannot be read
/// at all.
///
/// Rules that the base image breaks with its own layers are warnings: those layers are used as they are published.
/// Which layers those are stands in the history; an image without such marks is judged as a whole.
pub fn validate(source: &ImageSource, options: &Options) -> Result<Report, SourceError> {
    check(source, options, LAMBDA)
}

/// The same for the only image of a layout.
pub fn validate_layout(dir: &Path, options: &Options) -> Result<Report, SourceError> {
    validate(&open_layout(dir)?, options)
}

fn open_layout(dir: &Path) -> Result<ImageSource<'static>, SourceError> {
    Layout::open(dir)?;
    let location = Location::Local {
        path: dir.to_owned(),
        name: None,
        form: Form::Layout,
    };
    let access = Access {
        scratch: dir,
        connect: &|_| unreachable!("a layout is in no registry"),
    };
    ImageSource::open(&location, &access)
}

fn check(source: &ImageSource, options: &Options, limits: Limits) -> Result<Report, SourceError> {
    let mut report = Report::new(options.target);
    let kind = &source.top().media_type;
    if media_type::is_index(kind) {
        let detail = format!("the name resolves to {}", shown_index(source));
        let Some(platform) = options.platform else {
            report.error(Rule::SingleManifest, None, detail);
            // An index of one image and its papers.
            if let Ok(descriptor) = source.choose(None) {
                Check::new(source, options, limits).image(&descriptor, &mut report)?;
            }
            return Ok(report.for_target());
        };
        let descriptor = source.choose(Some(platform))?;
        let detail = format!("{detail}; use {} instead", descriptor.digest);
        report.warning(Rule::SingleManifest, None, detail);
        Check::new(source, options, limits).image(&descriptor, &mut report)?;
    } else {
        let top = source.choose(options.platform)?;
        Check::new(source, options, limits).image(&top, &mut report)?;
    }
    Ok(report.for_target())
}

/// An index in words: what it is and how much is in it.
fn shown_index(source: &ImageSource) -> String {
    let kind = &source.top().media_type;
    let bytes = source.document(source.top()).ok();
    match bytes.and_then(|bytes| spec::ImageIndex::from_reader(&*bytes).ok()) {
        Some(index) => format!("{kind} of {} manifests", index.manifests().len()),
        None => kind.clone(),
    }
}

/// One image under examination.
struct Check<'a> {
    source: &'a ImageSource<'a>,
    options: &'a Options<'a>,
    limits: Limits,
}

impl<'a> Check<'a> {
    fn new(source: &'a ImageSource<'a>, options: &'a Options<'a>, limits: Limits) -> Self {
        Self {
            source,
            options,
            limits,
        }
    }

    fn image(&self, descriptor: &Descriptor, report: &mut Report) -> Result<(), SourceError> {
        let kind = &descriptor.media_type;
        if !media_type::is_manifest(kind) {
            let detail = format!("the name resolves to {kind}");
            report.error(Rule::SingleManifest, None, detail);
            return Ok(());
        }
        let Some(bytes) = found(self.source.document(descriptor), report)? else {
            return Ok(());
        };
        report.manifest = Some(ManifestDigest(Digest::of(&bytes)));
        if bytes.len() > self.limits.manifest {
            let (size, limit) = (bytes.len(), self.limits.manifest);
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
        check_media_types(kind, &manifest, self.source.is_docker_archive(), report);
        let Some(config) = described(manifest.config(), None, report) else {
            return Ok(());
        };
        let Some(bytes) = found(self.source.config(&config), report)? else {
            return Ok(());
        };
        let config = match ImageConfiguration::from_reader(&*bytes) {
            Ok(config) => config,
            Err(e) => {
                report.error(Rule::Bytes, None, format!("the configuration: {e}"));
                return Ok(());
            }
        };
        check_platform(&config, report);
        let own = check_history(&manifest, &config, report);
        let root = self.layers(&manifest, &config, &own, report)?;
        check_run(&config, root.as_ref(), report);
        match self.source.layout() {
            Some(layout) => check_strays(layout, descriptor, &manifest, report),
            None => Ok(()),
        }
    }

    /// Reads all layers and returns the root file system, if all of it is known.
    fn layers(
        &self,
        manifest: &ImageManifest,
        config: &ImageConfiguration,
        own: &BTreeSet<usize>,
        report: &mut Report,
    ) -> Result<Option<Tree>, SourceError> {
        let diff_ids = config.rootfs().diff_ids();
        if diff_ids.len() != manifest.layers().len() {
            let (ids, layers) = (diff_ids.len(), manifest.layers().len());
            let detail = format!("{ids} diffIDs for {layers} layers");
            report.error(Rule::Bytes, None, detail);
        }
        if manifest.layers().len() > self.limits.layers {
            let (layers, limit) = (manifest.layers().len(), self.limits.layers);
            let detail = format!("{layers} layers; Docker runs {limit} at most");
            report.warning(Rule::Size, None, detail);
        }
        let mut root = Some(Tree::new());
        let mut programs = Vec::new();
        for (i, scan) in self.scan_all(manifest, config, own).into_iter().enumerate() {
            let scan = scan?;
            report.unpacked += scan.unpacked;
            report.layers += 1;
            let is_whole = scan.damage.is_empty();
            for (rule, detail) in scan.damage {
                report.error(rule, Some(i), detail);
            }
            for (rule, detail) in scan.findings {
                report.own_or_base(rule, i, detail);
            }
            if let (Some(got), Some(expected)) = (scan.diff_id, diff_ids.get(i))
                && got.to_string() != *expected
            {
                let detail = format!("diffID is {got}, the configuration says {expected}");
                report.error(Rule::Bytes, Some(i), detail);
            }
            programs.extend(scan.programs.into_iter().map(|program| (i, program)));
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
        if report.unpacked > self.limits.unpacked {
            let (size, limit) = (report.unpacked, self.limits.unpacked);
            let detail = format!("the layers unpack to {size} bytes, more than {limit}");
            report.error(Rule::Size, None, detail);
        }
        let labels = config
            .config()
            .as_ref()
            .and_then(|run| run.labels().clone());
        let labels = labels.unwrap_or_default().into_iter().collect();
        let expected = (self.options.expected)(&labels);
        audit::judge(&programs, root.as_ref(), config, &expected, report);
        Ok(root)
    }

    /// Scans layers on as many threads as there are cores, results in their order.
    fn scan_all(
        &self,
        manifest: &ImageManifest,
        config: &ImageConfiguration,
        own: &BTreeSet<usize>,
    ) -> Vec<Result<Scan, SourceError>> {
        let (layers, architecture) = (manifest.layers(), config.architecture().to_string());
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let Some(layer) = layers.get(i) else {
                    return done;
                };
                let is_audited = self.options.audited == Audited::All || own.contains(&i);
                done.push((i, Scan::new(self.source, layer, &architecture, is_audited)));
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
}

/// What was read, or a finding when it is damaged.
fn found<T>(read: Result<T, SourceError>, report: &mut Report) -> Result<Option<T>, SourceError> {
    match read {
        Err(e) if e.is_damage() => {
            report.error(Rule::Bytes, None, report::chain(&e));
            Ok(None)
        }
        read => read.map(Some),
    }
}

fn described(
    descriptor: &spec::Descriptor,
    layer: Option<usize>,
    report: &mut Report,
) -> Option<Descriptor> {
    let described = described_by(descriptor);
    described
        .map_err(|e| report.error(Rule::Bytes, layer, report::chain(&e)))
        .ok()
}

/// Lambda has two kinds of machines.
fn check_platform(config: &ImageConfiguration, report: &mut Report) {
    let (os, architecture) = (config.os().to_string(), config.architecture().to_string());
    if os != "linux" || !matches!(architecture.as_str(), "amd64" | "arm64") {
        let detail = format!("the configuration says {os}/{architecture}");
        report.error(Rule::Architecture, None, detail);
    }
}

fn check_media_types(
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
fn check_history(
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
fn check_run(config: &ImageConfiguration, root: Option<&Tree>, report: &mut Report) {
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
fn check_strays(
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

#[cfg(test)]
mod tests;
