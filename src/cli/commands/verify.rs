//! `imgbuild verify`: a layout is recomputed from its bytes and compared with what Lambda accepts.

use std::fmt::Write;

use anyhow::Result;
use oci::validate::{Report, validate_layout};

use super::layout_dir;
use crate::cli::flags::{self, Format};
use crate::cli::settings::Settings;

/// Prints the findings. Exit code 1 when a rule is broken.
pub fn run(settings: &Settings, flags: &flags::Verify) -> Result<u8> {
    let report = validate_layout(&layout_dir(&flags.image, &flags.output))?;
    match settings.format {
        Format::Text => print!("{}", table(&report)),
        Format::Json => println!("{}", json(&report)),
    }
    Ok(u8::from(!report.is_accepted()))
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
    let verdict = if report.is_accepted() {
        "Lambda takes this image"
    } else {
        "Lambda refuses this image"
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
