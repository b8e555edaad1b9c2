//! What a check found, as lines for people and rows for tables.

use std::error::Error;
use std::fmt;

use super::Target;
use super::rule::Rule;
use crate::digest::ManifestDigest;

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
    /// What the image was checked for.
    pub target: Target,
    /// How many of the layers, from the lowest, are a base image's.
    pub(super) base_layers: usize,
}

impl Report {
    pub(super) fn new(target: Target) -> Self {
        Self {
            target,
            ..Self::default()
        }
    }

    /// Without what does not matter for the target.
    pub(super) fn for_target(mut self) -> Self {
        if self.target == Target::Any {
            self.findings.retain(|finding| !finding.rule.is_lambdas());
        }
        self
    }

    /// Whether the target would take the image, as far as is known.
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

    /// A warning for a base image's layer, an error for the others.
    pub(super) fn own_or_base(&mut self, rule: Rule, layer: usize, detail: String) {
        let severity = if layer < self.base_layers {
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
