//! What pip would install → wheels, each with its sha256. Asks pip; downloads nothing.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::ResolveError;
use crate::inputs::{Artifact, Input, Origin, pip};
use crate::recipe::Recipe;

/// pip's installation report, as far as it is needed.
#[derive(Deserialize)]
struct Report {
    install: Vec<Installed>,
}

#[derive(Deserialize)]
struct Installed {
    download_info: DownloadInfo,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct DownloadInfo {
    url: String,
    archive_info: ArchiveInfo,
}

#[derive(Deserialize)]
struct ArchiveInfo {
    hashes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

/// boto3 and everything it needs, as pip resolves it for the recipe's Python.
pub(super) fn sdk(recipe: &Recipe) -> Result<Vec<Input>, ResolveError> {
    let requirement = format!("boto3=={}", recipe.sdk.boto3);
    newest_wheels(&recipe.python.minor(), &[], &requirement)
}

/// The newest wheels that meet a requirement, as pip resolves it for a series of Python, sorted by name.
pub fn newest_wheels(
    python: &str,
    more: &[&str],
    requirement: &str,
) -> Result<Vec<Input>, ResolveError> {
    let python = format!("--python-version={python}");
    let mut arguments = vec![
        "install",
        "--quiet",
        "--dry-run",
        "--ignore-installed",
        "--only-binary=:all:",
        "--report=-",
        "--target=.",
        "--implementation=cp",
        "--platform=any",
        &python,
        requirement,
    ];
    arguments.extend(more);
    let printed = pip(&arguments, Path::new(".")).map_err(|source| ResolveError::Wheels {
        requirement: requirement.to_owned(),
        source,
    })?;
    let report: Report =
        serde_json::from_slice(&printed.stdout).map_err(|e| ResolveError::Report(e.to_string()))?;
    let mut inputs: Vec<Input> = report
        .install
        .into_iter()
        .map(wheel)
        .collect::<Result<_, _>>()?;
    inputs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(inputs)
}

fn wheel(installed: Installed) -> Result<Input, ResolveError> {
    let Metadata { name, version } = installed.metadata;
    let hash = installed.download_info.archive_info.hashes.get("sha256");
    let sha256 = hash.and_then(|hex| format!("sha256:{hex}").parse().ok());
    let sha256 =
        sha256.ok_or_else(|| ResolveError::Report(format!("{name} {version} has no sha256")))?;
    // The address is a detail of the user's index; the file's name is what identifies the wheel there.
    let filename = installed
        .download_info
        .url
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let origin = Origin::Wheel {
        name: name.clone(),
        version: version.clone(),
        filename,
    };
    let artifact = Artifact {
        version,
        sha256,
        size: None,
        subdir: None,
        origins: vec![origin],
    };
    Ok(Input {
        name,
        artifacts: vec![artifact],
    })
}
