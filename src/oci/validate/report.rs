//! What a check found, as lines for people and rows for tables.

use std::error::Error;
use std::fmt;

use crate::digest::ManifestDigest;

/// A rule that an image has to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Digests, sizes, diffIDs, documents and tars are what they say they are.
    Bytes,
    /// The name resolves to one image manifest, not to an index.
    SingleManifest,
    /// Every directory has an entry before what is inside it, in the same layer.
    ParentsFirst,
    /// Layers are gzip; media types of Docker and OCI are not mixed.
    Gzip,
    /// No hard links, device nodes, pipes, sockets or sparse files.
    PlainEntries,
    /// 10 GB uncompressed; a small manifest.
    Size,
    /// ENTRYPOINT, CMD and WORKDIR are absolute and there.
    Run,
    /// Everybody can read every file and enter every directory.
    Readable,
    /// Programs are for the configuration's architecture.
    Architecture,
    /// One history entry for each layer.
    History,
}

impl Rule {
    /// A short name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::SingleManifest => "single-manifest",
            Self::ParentsFirst => "parents-first",
            Self::Gzip => "gzip",
            Self::PlainEntries => "plain-entries",
            Self::Size => "size",
            Self::Run => "run",
            Self::Readable => "readable",
            Self::Architecture => "architecture",
            Self::History => "history",
        }
    }

    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Bytes => "the layout is damaged; build or copy it again",
            Self::SingleManifest => {
                "Lambda takes one image per name; attach papers as referrers, build without an index"
            }
            Self::ParentsFirst => "Lambda fails with MissingParentDirectory; write the layer again",
            Self::Gzip => "Lambda takes gzip layers of one family of media types only",
            Self::PlainEntries => "make hard links files of their own; leave out the rest",
            Self::Size => "leave out what the function does not need",
            Self::Run => "use absolute paths of things that are in the image",
            Self::Readable => "Lambda runs functions as an unknown user; chmod o+rX",
            Self::Architecture => "build the program for the image's architecture",
            Self::History => "write one history entry for each layer",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whether a finding stops an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing: Lambda takes it, or the base image is published like that.
    Warning,
    /// Lambda would refuse the image.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One thing that is wrong, or several of one kind in one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// Which rule.
    pub rule: Rule,
    /// Number of the layer from 1, lowest first; `None` for the image as a whole.
    pub layer: Option<usize>,
    /// What it is, in a sentence with examples.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}: ", self.severity, self.rule)?;
        if let Some(layer) = self.layer {
            write!(f, "layer {layer}: ")?;
        }
        f.write_str(&self.detail)
    }
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The image, as computed; `None` when it could not be read.
    pub manifest: Option<ManifestDigest>,
    /// Layers that were read.
    pub layers: usize,
    /// Bytes of all uncompressed layers.
    pub unpacked: u64,
    /// In the order of the checks.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether Lambda would take the image, as far as is known.
    pub fn is_accepted(&self) -> bool {
        self.errors().next().is_none()
    }

    /// The findings that stop the image.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        let is_error = |finding: &&Finding| finding.severity == Severity::Error;
        self.findings.iter().filter(is_error)
    }

    pub(super) fn error(&mut self, rule: Rule, layer: Option<usize>, detail: String) {
        self.add(Severity::Error, rule, layer, detail);
    }

    pub(super) fn warning(&mut self, rule: Rule, layer: Option<usize>, detail: String) {
        self.add(Severity::Warning, rule, layer, detail);
    }

    /// A warning for one of the lowest `base_layers`, an error for the others.
    pub(super) fn own_or_base(
        &mut self,
        base_layers: usize,
        rule: Rule,
        layer: usize,
        detail: String,
    ) {
        let severity = if layer < base_layers {
            Severity::Warning
        } else {
            Severity::Error
        };
        self.add(severity, rule, Some(layer), detail);
    }

    fn add(&mut self, severity: Severity, rule: Rule, layer: Option<usize>, detail: String) {
        self.findings.push(Finding {
            severity,
            rule,
            layer: layer.map(|i| i + 1),
            detail,
        });
    }
}

/// An error with its causes in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
