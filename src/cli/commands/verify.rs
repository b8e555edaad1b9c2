//! `imgbuild verify`: an image is recomputed from its bytes, compared with what Lambda accepts, and its programs are
//! audited.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;
use oci::registry::{Platform, Registry};
use oci::source::{Access, ImageSource, Location};
use oci::validate::{Audited, Options, Report, Rule, Target, validate, validate_layout};

use crate::audit;
use crate::cli::flags::{self, Format, VerifyTarget};
use crate::cli::settings::Settings;

/// Prints the findings. Exit code 1 when a rule is broken.
pub fn run(settings: &Settings, flags: &flags::Verify) -> Result<u8> {
    let Some(image) = &flags.image else {
        match settings.format {
            Format::Text => print!("{}", rules()),
            Format::Json => println!("{}", rules_json()),
        }
        return Ok(0);
    };
    let location = Location::parse(image, Some(&flags.output))?;
    let http = settings.http()?;
    let scratch = settings.scratch()?;
    let access = Access {
        scratch: scratch.path(),
        connect: &|reference| Registry::new(&http, reference.clone()),
    };
    let platform = flags.arch.map(|arch| Platform {
        os: "linux".to_owned(),
        architecture: arch.name().to_owned(),
        variant: None,
    });
    let options = Options {
        target: match flags.target {
            VerifyTarget::Lambda => Target::Lambda,
            VerifyTarget::Any => Target::Any,
        },
        platform: platform.as_ref(),
        audited: if flags.all {
            Audited::All
        } else {
            Audited::Own
        },
        expected: audit::expected,
    };
    let report = validate(&ImageSource::open(&location, &access)?, &options)?;
    match settings.format {
        Format::Text => print!("{}", table(&report)),
        Format::Json => println!("{}", json(&report)),
    }
    Ok(u8::from(!report.is_accepted()))
}

/// The check that every build ends with.
pub fn check(layout: &Path) -> Result<Report> {
    let options = Options {
        expected: audit::expected,
        ..Options::default()
    };
    Ok(validate_layout(layout, &options)?)
}

/// A line per finding, with what to do about it, and a verdict.
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let layer = finding
            .layer
            .map_or("image".to_owned(), |layer| format!("layer {layer}"));
        let (severity, rule, detail) = (finding.severity, finding.rule, &finding.detail);
        writeln!(
            text,
            "{severity:8} {rule:16} {layer:8} {detail}\n{:35}hint: {}",
            "",
            rule.hint()
        )
        .expect("a string takes everything");
    }
    let verdict = match (report.target, report.is_accepted()) {
        (Target::Lambda, true) => "Lambda takes this image",
        (Target::Lambda, false) => "Lambda refuses this image",
        (Target::Any, true) => "container runtimes take this image",
        (Target::Any, false) => "there are faults in this image",
    };
    let digest = report
        .manifest
        .map_or("unreadable".to_owned(), |digest| digest.to_string());
    let megabytes = report.unpacked as f64 / 1e6;
    writeln!(
        text,
        "{verdict}: {digest}, {} layers, {megabytes:.1} MB unpacked",
        report.layers
    )
    .expect("a string takes everything");
    text
}

fn json(report: &Report) -> serde_json::Value {
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|finding| {
            serde_json::json!({
                "severity": finding.severity.to_string(),
                "rule": finding.rule.name(),
                "layer": finding.layer,
                "detail": finding.detail,
                "hint": finding.rule.hint(),
            })
        })
        .collect();
    serde_json::json!({
        "accepted": report.is_accepted(),
        "digest": report.manifest.map(|digest| digest.to_string()),
        "layers": report.layers,
        "unpacked": report.unpacked,
        "findings": findings,
    })
}

/// All rules as a table in Markdown, as it stands in images/README.md.
fn rules() -> String {
    let mut text = "| rule | what it demands | only Lambda's |\n| --- | --- | --- |\n".to_owned();
    for rule in Rule::all() {
        let lambdas = if rule.is_lambdas() { "yes" } else { "" };
        writeln!(text, "| `{rule}` | {} | {lambdas} |", rule.text())
            .expect("a string takes everything");
    }
    text
}

fn rules_json() -> serde_json::Value {
    Rule::all()
        .map(|rule| {
            serde_json::json!({
                "rule": rule.name(),
                "demands": rule.text(),
                "hint": rule.hint(),
                "lambda_only": rule.is_lambdas(),
            })
        })
        .collect()
}
