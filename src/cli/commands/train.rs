//! `imgbuild train`: a recipe in, a profile of its interpreter beside the recipes out.

use std::path::Path;

use anyhow::{Context, Result};
use liblzma::read::XzEncoder;
use oci::Digest;

use super::{CommandError, build, lock};
use crate::arch::Arch;
use crate::build::{BuildError, Inputs, Workload, Workshop, train};
use crate::cli::flags;
use crate::cli::settings::Settings;
use crate::inputs::{FetchOptions, Fetcher, Progress};
use crate::recipe::{self, PROFILES, Profile, ProfileHeader, Recipe, Version};

/// Trains, writes `profiles/cpython-3.13.profdata.xz` and its header, and prints the header's path.
pub fn run(settings: &Settings, flags: &flags::Train) -> Result<()> {
    let text = settings.library.recipe(&flags.recipe)?;
    let recipe = Recipe::parse(&text.path, &text.text, &[])?;
    let lock = lock::read(settings, &text, &recipe)?;
    if !text.path.exists() {
        let message = format!(
            "{} is built into this program: there is no file beside which a profile could be written",
            flags.recipe
        );
        return Err(CommandError::new(
            message,
            "copy the recipe and its lock into ./recipes, or name a file",
        )
        .into());
    }
    let host = Arch::host()?;
    let progress = Progress::new(settings.progress);
    let store = settings.store(progress.clone())?;
    let options = FetchOptions {
        mirrors: settings.steps.mirror.clone(),
        network: settings.network()?,
        ..FetchOptions::default()
    };
    let fetcher = Fetcher::new(&store, options);
    let mut inputs = Inputs::fetch(&recipe.python, &lock, host, host, &fetcher, true)?;
    let llvm = lock.llvm.get(&host).ok_or_else(|| BuildError::NotLocked {
        what: "LLVM for profiles".to_owned(),
        arch: host,
    })?;
    inputs.llvm = fetcher.fetch_all(llvm).map_err(BuildError::from)?;
    build::warn_about_fallbacks(&inputs, &progress);

    let workshop = Workshop::new(
        &store,
        flags.jobs.map_or(settings.cores, |jobs| jobs as usize),
    )
    .with_limits(settings.steps.step_limits.unwrap_or_default())
    .with_isolation(settings.steps.sandbox);
    let workload = match flags.workload {
        flags::Workload::Both => Workload::Both,
        flags::Workload::Functions => Workload::Functions,
        flags::Workload::Cpython => Workload::Cpython,
    };
    let (python, glibc) = (&recipe.python, &lock.base.glibc);
    let training = train(python, &inputs, host, glibc, workload, &workshop)?;

    let mut compressed = Vec::new();
    std::io::copy(&mut XzEncoder::new(&*training.profdata, 9), &mut compressed)?;
    let version = &inputs.cpython.artifact.version;
    let header = ProfileHeader {
        python: Version(version.clone()),
        zig: Version(inputs.toolchain.artifact.version.clone()),
        sha256: Digest::of(&compressed),
        start: training.start,
    };
    let folder = text.path.parent().unwrap_or(Path::new("")).join(PROFILES);
    fs_err::create_dir_all(&folder)?;
    let path = folder.join(format!("{}.yaml", Profile::stem(version)));
    for (path, bytes) in [
        (Profile::beside(&path), compressed),
        (path.clone(), header.to_text().into_bytes()),
    ] {
        recipe::write(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    println!("{}", path.display());
    Ok(())
}
