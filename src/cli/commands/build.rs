//! `imgbuild build`: a recipe in, an OCI layout out.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use oci::{Image, Layout, ManifestDigest};

use super::verify::{check, table};
use super::{CommandError, lock};
use crate::arch::Arch;
use crate::build::{self, Base, BuildError, Inputs, Workshop};
use crate::cli::flags::{self, Format};
use crate::cli::settings::Settings;
use crate::image::Contents;
use crate::inputs::{FetchOptions, Fetcher, Progress};
use crate::papers::{self, HostFacts, Papers, Provenance, Subject};
use crate::recipe::Recipe;

/// Builds, and prints `dist/python3.13@sha256:…`.
pub fn run(settings: &Settings, flags: &flags::Build) -> Result<()> {
    let started = Instant::now();
    let text = settings.library.recipe(&flags.recipe)?;
    let recipe = Recipe::parse(&text.path, &text.text, &flags.set)?;
    let lock = lock::read(settings, &text, &recipe)?;
    let host = Arch::host()?;
    let arch = flags.arch.unwrap_or(host);
    if arch != host {
        return Err(BuildError::Cross { wanted: arch, host }.into());
    }
    let progress = Progress::new(settings.progress);
    warn_about_lifecycle(&recipe, &progress);
    writable(&flags.output)?;

    let store = settings.store(progress.clone())?;
    if flags.locked {
        lock::check(settings, &store, &text, &recipe, &lock)?;
    }
    let options = FetchOptions {
        mirrors: flags.mirror.clone(),
        refresh: flags.refresh,
        fallbacks: !flags.no_fallback,
        network: settings.network()?,
        ..FetchOptions::default()
    };
    let fetcher = Fetcher::new(&store, options);
    let inputs = Inputs::fetch(
        &recipe.python,
        &lock,
        arch,
        host,
        &fetcher,
        !flags.no_fallback,
    )?;
    warn_about_fallbacks(&inputs, &progress);
    let fetched = started.elapsed();

    let workshop = Workshop::new(
        &store,
        flags.jobs.map_or(settings.cores, |jobs| jobs as usize),
    )
    .with_limits(flags.step_limits.unwrap_or_default());
    let epoch = settings.epoch.unwrap_or(oci::Epoch::new(lock.epoch)?);
    // First, so that a wrong base is found before anything is compiled for it.
    let base = Base::make(&inputs.base, arch, epoch, &workshop)?;
    let parts = build::run(&recipe.python, &inputs, arch, &lock.base.glibc, &workshop)?;
    let python = inputs.cpython.artifact.version.as_str();
    let fallbacks = &inputs.fallbacks;
    let contents = Contents {
        recipe: &recipe,
        lock: &lock,
        python,
        arch,
        epoch,
        base: &base,
        parts: &parts,
        fallbacks,
    };
    let image = contents.assemble(&workshop)?;

    let dir = flags.output.join(contents.name());
    let there = Layout::open(&dir).and_then(|layout| layout.holds(&image, &contents.tag()));
    let unchanged = matches!(there, Ok(true));
    if !unchanged {
        Layout::write(&dir, &image, &contents.tag())
            .with_context(|| format!("cannot write {}", dir.display()))?;
        let report = check(&dir)?;
        if !report.is_accepted() {
            bail!("the finished image breaks a rule:\n{}", table(&report));
        }
    }
    let papers = papers(
        &contents, &image, &inputs, &text.text, &flags.set, &workshop,
    )?;
    papers
        .write(&dir)
        .with_context(|| format!("cannot write beside {}", dir.display()))?;
    if let Some(tarball) = &flags.tarball {
        oci::tarball::write_tarball(
            tarball,
            &image,
            &format!("{}:{}", contents.name(), contents.tag()),
        )?;
    }
    summarise(
        &workshop,
        &image,
        unchanged,
        [fetched, started.elapsed()],
        &progress,
    );
    print_result(settings.format, &dir, image.manifest_digest(), &contents);
    Ok(())
}

/// What the image consists of, and how it came to be.
fn papers(
    contents: &Contents,
    image: &Image,
    inputs: &Inputs,
    recipe_text: &str,
    set: &[(String, String)],
    workshop: &Workshop,
) -> Result<Papers> {
    let components = papers::components(contents, inputs, workshop)?;
    let subject = Subject {
        name: &contents.name(),
        version: contents.python,
        digest: image.manifest_digest(),
        arch: contents.arch,
        epoch: contents.epoch,
        fallbacks: contents.fallbacks.iter().map(ToString::to_string).collect(),
    };
    let provenance = Provenance {
        recipe: &contents.recipe.name,
        recipe_text,
        set,
        lock: contents.lock,
        inputs,
        steps: &workshop.steps(),
        host: &HostFacts::ask()?,
    };
    Ok(Papers::new(&subject, &components, &provenance))
}

fn warn_about_lifecycle(recipe: &Recipe, progress: &Progress) {
    let Some(lifecycle) = recipe.lifecycle else {
        progress.warn(&format!("{} is a preview of a runtime", recipe.name));
        return;
    };
    let status = lifecycle.status(jiff::Zoned::now().date());
    if status != "supported" {
        progress.warn(&format!(
            "{} is at the end of its life: {status} since {}",
            recipe.name, lifecycle.deprecation
        ));
    }
}

/// Says before an hour of work whether its result can be kept.
fn writable(output: &Path) -> Result<()> {
    let tried =
        fs_err::create_dir_all(output).and_then(|()| tempfile::tempfile_in(output).map(drop));
    let message = || format!("cannot write to the output folder {}", output.display());
    Ok(tried.map_err(|source| {
        CommandError::new(message(), "name another folder with --output").because(source)
    })?)
}

fn warn_about_fallbacks(inputs: &Inputs, progress: &Progress) {
    if inputs.fallbacks.is_empty() {
        return;
    }
    let list: Vec<String> = inputs
        .fallbacks
        .iter()
        .map(|fallback| format!("  {fallback}"))
        .collect();
    progress.warn(&format!(
        "this image is made with fallbacks, because what the recipe asks for could not be reached:\n{}\n\
         Its name ends in -fallback and its labels list them. --no-fallback makes this an error.",
        list.join("\n")
    ));
}

/// `times`: until the inputs were there, and until the end.
fn summarise(
    workshop: &Workshop,
    image: &Image,
    unchanged: bool,
    times: [Duration; 2],
    progress: &Progress,
) {
    let steps = workshop.done().len();
    let [fetched, all] = times.map(|time| time.as_secs_f64());
    if steps == 0 && unchanged {
        progress.note(&format!(
            "nothing to do: every step was built before ({all:.2} s)"
        ));
        return;
    }
    let size: u64 = image.layers().iter().map(|layer| layer.size()).sum();
    let (layers, megabytes, built) = (image.layers().len(), megabytes(size), all - fetched);
    progress.note(&format!(
        "inputs in {fetched:.1} s, {steps} steps in {built:.1} s; {layers} layers, {megabytes:.1} MB compressed"
    ));
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn print_result(format: Format, dir: &Path, digest: ManifestDigest, contents: &Contents) {
    match format {
        Format::Text => println!("{}@{digest}", dir.display()),
        Format::Json => {
            let fallbacks: Vec<String> =
                contents.fallbacks.iter().map(ToString::to_string).collect();
            let result = serde_json::json!({
                "layout": dir,
                "digest": digest.to_string(),
                "tag": contents.tag(),
                "python": contents.python,
                "fallbacks": fallbacks,
            });
            println!("{result}");
        }
    }
}
