//! Checks a whole image from its bytes alone, wherever it is: every digest, size and diffID is computed again, every rule
//! is applied that Lambda is known to have, and what was built here is audited as programs. What Docker and emulators let
//! pass is found here before a deployment. Layers are streamed; what stays in memory is a name and a few bytes per file.

mod audit;
mod documents;
mod elf;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod layer;
mod report;
mod rule;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use oci_spec::image::{self as spec, ImageConfiguration, ImageManifest};

use crate::digest::{Digest, ManifestDigest};
use crate::layout::Layout;
use crate::media_type;
use crate::registry::{Descriptor, Platform};
use crate::source::{Access, Form, ImageSource, Location, SourceError, described_by};
use crate::tree::Tree;
pub use audit::{Expected, Inventory};
use documents::{check_history, check_media_types, check_platform, check_run, check_strays};
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

#[cfg(test)]
mod tests;
