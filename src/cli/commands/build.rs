//! `imgbuild build`: a recipe in, an OCI layout out.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use oci::{Image, Layout, ManifestDigest};

use super::verify::{check, table};
use super::{CommandError, lock};
use crate::arch::Arch;
use crate::build::{self, Base, Fallback, Inputs, NoQemu, Qemu, Workshop};
use crate::cli::flags::{self, Format};
use crate::cli::settings::Settings;
use crate::image::Contents;
use crate::inputs::{FetchOptions, Fetched, Fetcher, Progress, Store};
use crate::lock::Lock;
use crate::papers::{self, HostFacts, Papers, Provenance, Subject};
use crate::recipe::{Optimize, Profile, Recipe, Text};

/// Builds, and prints `dist/python3.13@sha256:…`, a line for each machine type.
pub fn run(settings: &Settings, flags: &flags::Build) -> Result<()> {
    let text = settings.library.recipe(&flags.recipe)?;
    let recipe = Recipe::parse(&text.path, &text.text, &flags.set)?;
    let lock = lock::read(settings, &text, &recipe)?;
    let host = Arch::host()?;
    let archs = machines(flags, host)?;
    let progress = Progress::new(settings.progress);
    warn_about_lifecycle(&recipe, &progress);
    writable(&flags.output)?;

    let store = settings.store(progress.clone())?;
    if flags.locked {
        lock::check(settings, &store, &text, &recipe, &lock)?;
    }
    let options = FetchOptions {
        mirrors: settings.steps.mirror.clone(),
        refresh: flags.refresh,
        fallbacks: !flags.no_fallback,
        network: settings.network()?,
        ..FetchOptions::default()
    };
    let order = Order {
        settings,
        flags,
        text: &text,
        recipe: &recipe,
        lock: &lock,
        host,
        fetcher: &Fetcher::new(&store, options),
        store: &store,
        progress: &progress,
    };
    let mut said = Vec::new();
    let results: Vec<String> = archs
        .iter()
        .map(|arch| order.build(*arch, &mut said))
        .collect::<Result<_>>()?;
    for result in results {
        println!("{result}");
    }
    Ok(())
}

/// The machine types to build for, each once; the other one first, which makes this machine's interpreter on its way.
fn machines(flags: &flags::Build, host: Arch) -> Result<Vec<Arch>> {
    let mut archs = flags.arch.clone();
    if archs.is_empty() {
        archs.push(host);
    }
    archs.sort_by_key(|arch| (*arch == host, *arch));
    archs.dedup();
    if flags.tarball.is_some() && archs.len() > 1 {
        let message = "a tarball for `docker load` holds one image";
        let hint = "give --arch one machine type with --tarball";
        return Err(CommandError::new(message, hint).into());
    }
    Ok(archs)
}

/// What is the same for every machine type.
struct Order<'a> {
    settings: &'a Settings,
    flags: &'a flags::Build,
    text: &'a Text,
    recipe: &'a Recipe,
    lock: &'a Lock,
    host: Arch,
    fetcher: &'a Fetcher<'a>,
    store: &'a Store,
    progress: &'a Progress,
}

impl Order<'_> {
    /// Builds, checks and writes one image; returns the line for stdout. `said`: the fallbacks that were named before.
    fn build(&self, arch: Arch, said: &mut Vec<Fallback>) -> Result<String> {
        let started = Instant::now();
        let (flags, recipe, lock, progress) = (self.flags, self.recipe, self.lock, self.progress);
        let (host, fallbacks) = (self.host, !flags.no_fallback);
        let mut inputs = Inputs::fetch(&recipe.python, lock, arch, host, self.fetcher, fallbacks)?;
        inputs.profile = self.profile(&inputs);
        if *said != inputs.fallbacks {
            warn_about_fallbacks(&inputs, progress);
            said.clone_from(&inputs.fallbacks);
        }
        let fetched = started.elapsed();

        let workshop = Workshop::new(
            self.store,
            flags.jobs.map_or(self.settings.cores, |jobs| jobs as usize),
        )
        .with_limits(self.settings.steps.step_limits.unwrap_or_default())
        .with_isolation(self.settings.steps.sandbox);
        let created = self
            .settings
            .epoch
            .unwrap_or(oci::Epoch::new(lock.created)?);
        // First, so that a wrong base is found before anything is compiled for it.
        let base = Base::make(&inputs.base, arch, created.of_files(), &workshop)?;
        let qemu = self.qemu(arch);
        let (machines, glibc) = ([arch, host], &lock.base.glibc);
        let parts = build::run(
            &recipe.python,
            &inputs,
            machines,
            glibc,
            qemu.as_ref(),
            &workshop,
        )?;
        let contents = Contents {
            recipe,
            lock,
            python: &inputs.cpython.artifact.version,
            arch,
            created,
            base: &base,
            parts: &parts,
            fallbacks: &inputs.fallbacks,
            profile: inputs.profile.as_ref(),
        };
        let image = contents.assemble(&workshop)?;

        let mut name = contents.name();
        if arch != host {
            name = format!("{name}-{arch}");
        }
        let dir = flags.output.join(&name);
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
            &contents,
            &image,
            &inputs,
            &self.text.text,
            &flags.set,
            &workshop,
        )?;
        papers
            .write(&dir)
            .with_context(|| format!("cannot write beside {}", dir.display()))?;
        if let Some(tarball) = &flags.tarball {
            let name = format!("{name}:{}", contents.tag());
            oci::tarball::write_tarball(tarball, &image, &name)?;
        }
        let times = [fetched, started.elapsed()];
        summarise(&contents, &workshop, &image, unchanged, times, progress);
        Ok(result(
            self.settings.format,
            &dir,
            image.manifest_digest(),
            &contents,
        ))
    }

    /// The profile that the recipe asks for. One that is missing or does not fit makes a slower interpreter, never a failed build.
    fn profile(&self, inputs: &Inputs) -> Option<Profile> {
        let recipe = self.recipe;
        if recipe.python.optimize == Optimize::None {
            return None;
        }
        let version = |fetched: &Fetched| fetched.artifact.version.clone();
        let (python, zig) = (version(&inputs.cpython), version(&inputs.toolchain));
        let advice = format!("`imgbuild train {}` makes one that fits", recipe.name);
        match self
            .settings
            .library
            .profile(&self.text.path, &python, &zig)
        {
            Ok(profile) => {
                if let Some(stale) = &profile.stale {
                    self.progress.warn(&format!("{stale}; {advice}"));
                }
                Some(profile)
            }
            Err(unusable) => {
                self.progress.warn(&format!(
                    "{unusable}: the interpreter is compiled without and will be slower; {advice}"
                ));
                None
            }
        }
    }

    /// What runs the other machine's programs; without it, nobody asks what was built for that machine.
    fn qemu(&self, arch: Arch) -> Option<Qemu> {
        if arch == self.host {
            return None;
        }
        let found = Qemu::find(arch, &Settings::path());
        let not_asked = |missing: NoQemu| {
            self.progress.warn(&format!(
                "the {arch} interpreter is not asked whether it is what the recipe says: {missing}; {}",
                missing.hint()
            ));
        };
        found.map_err(not_asked).ok()
    }
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
        created: contents.created,
        fallbacks: contents.fallbacks.iter().map(ToString::to_string).collect(),
    };
    let provenance = Provenance {
        recipe: &contents.recipe.name,
        recipe_text,
        set,
        lock: contents.lock,
        inputs,
        steps: &workshop.steps(),
        host: &HostFacts::ask(workshop.isolation())?,
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

/// Says what was taken instead of what the recipe asks for.
pub(super) fn warn_about_fallbacks(inputs: &Inputs, progress: &Progress) {
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
    contents: &Contents,
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
    let built = all - fetched;
    progress.note(&format!(
        "inputs in {fetched:.1} s, {steps} steps in {built:.1} s\n{}",
        sizes(contents, image)
    ));
}

/// A table of what is pulled: one line per layer, lowest first, and what all above the base has together.
fn sizes(contents: &Contents, image: &Image) -> String {
    let sizes: Vec<u64> = image.layers().iter().map(oci::Layer::size).collect();
    let plan = contents.plan();
    let (base, own) = sizes.split_at(sizes.len().saturating_sub(plan.len()));
    let of_base = base.iter().map(|size| ("base", *size));
    let layers = of_base.chain(plan.iter().zip(own).map(|((name, _), size)| (*name, *size)));
    let sums = [
        ("above the base", own.iter().sum()),
        ("all, compressed", sizes.iter().sum()),
    ];
    let line = |(name, size)| format!("  {name:<16}{:>6.1} MB", megabytes(size));
    let lines: Vec<String> = layers.chain(sums).map(line).collect();
    lines.join("\n")
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// `dist/python3.13@sha256:…`, or the same for machines.
fn result(format: Format, dir: &Path, digest: ManifestDigest, contents: &Contents) -> String {
    match format {
        Format::Text => format!("{}@{digest}", dir.display()),
        Format::Json => {
            let fallbacks: Vec<String> =
                contents.fallbacks.iter().map(ToString::to_string).collect();
            serde_json::json!({
                "layout": dir,
                "digest": digest.to_string(),
                "tag": contents.tag(),
                "arch": contents.arch.name(),
                "python": contents.python,
                "fallbacks": fallbacks,
            })
            .to_string()
        }
    }
}
