//! `imgbuild update`: recipes, their locks and the catalogue in, the same with newer versions out, all of them or none.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;

use super::CommandError;
use super::lock::{created, on_disk, read};
use crate::cli::flags::{self, Format};
use crate::cli::settings::Settings;
use crate::inputs::{Progress, Store};
use crate::lock::{Asked, InputChange, Lock, Resolver, changes};
use crate::recipe::{self, Recipe, Text, yaml};
use crate::update::{Asker, Catalogue, Note, Parts, is_newer, newest_boto3, newest_python};

/// A recipe with its lock.
struct Pair {
    text: Text,
    recipe: Recipe,
    lock: Lock,
}

/// What becomes of it.
struct Updated {
    recipe: String,
    changes: Vec<InputChange>,
    files: Vec<(PathBuf, String)>,
}

/// Prints a table of what is newer, and writes it.
pub fn run(settings: &Settings, flags: &flags::Update) -> Result<()> {
    let progress = Progress::new(settings.progress);
    let names = match flags.recipes.is_empty() {
        true => settings.library.recipes(),
        false => flags.recipes.clone(),
    };
    let pairs: Vec<Pair> = names
        .iter()
        .map(|name| pair(settings, name))
        .collect::<Result<_>>()?;
    let folder = folder(&pairs)?;
    let store = settings.store(progress.clone())?;
    let parts = parts(flags);

    let sources = settings.library.sources(&pairs[0].text.path)?;
    let mut catalogue = Catalogue::parse(&sources.path, &sources.text)?;
    let notes = ask(&store, &pairs, parts, &mut catalogue)?;
    let old = sources.text;
    let sources = Text {
        path: sources.path,
        text: catalogue.text(),
    };
    let mut updated = Vec::new();
    for pair in &pairs {
        updated.push(update(settings, &store, pair, parts, &catalogue, &sources)?);
    }
    for note in &notes {
        progress.note(&format!("not updated: {}: {}", note.name, note.why));
    }
    report(settings.format, &updated, &notes);

    let mut files: Vec<(PathBuf, String)> = updated
        .into_iter()
        .flat_map(|updated| updated.files)
        .collect();
    if old != sources.text {
        // Beside the recipes, where it is looked for first.
        let name = sources.path.file_name().unwrap_or_default();
        files.push((name.into(), sources.text));
    }
    match (files.is_empty(), flags.dry_run) {
        (true, _) => progress.note("everything is as new as it can be known"),
        (false, true) => progress.note("nothing was written"),
        (false, false) => {
            recipe::write_together(&folder, &files)
                .with_context(|| format!("cannot write to {}", folder.display()))?;
        }
    }
    Ok(())
}

fn parts(flags: &flags::Update) -> Parts {
    let all = !(flags.python || flags.sdk || flags.base || flags.libraries);
    Parts {
        python: flags.python || all,
        sdk: flags.sdk || all,
        base: flags.base || all,
        libraries: flags.libraries || all,
    }
}

fn pair(settings: &Settings, name: &str) -> Result<Pair> {
    let text = settings.library.recipe(name)?;
    on_disk(name, &text)?;
    let recipe = Recipe::parse(&text.path, &text.text, &[])?;
    let lock = read(settings, &text, &recipe)?;
    Ok(Pair { text, recipe, lock })
}

/// Files are written together in one folder.
fn folder(pairs: &[Pair]) -> Result<PathBuf> {
    let mut folders = pairs.iter().filter_map(|pair| pair.text.path.parent());
    let first = folders.next().unwrap_or(Path::new(""));
    if folders.any(|folder| folder != first) {
        let message = "the recipes lie in several folders";
        return Err(CommandError::new(message, "update those of one folder at a time").into());
    }
    Ok(first.to_owned())
}

/// Brings the catalogue up to date where it is the source of a part.
fn ask(
    store: &Store,
    pairs: &[Pair],
    parts: Parts,
    catalogue: &mut Catalogue,
) -> Result<Vec<Note>> {
    let mut wanted: Vec<String> = Vec::new();
    for pair in pairs {
        let series = pair.recipe.python.series();
        if parts.python {
            wanted.push(format!("cpython-{}", pair.recipe.python.minor()));
        }
        if parts.libraries {
            wanted.extend(series.all_libraries().into_iter().map(str::to_owned));
            wanted.push("pip".to_owned());
            wanted.extend(series.setuptools.then(|| "setuptools".to_owned()));
        }
    }
    wanted.sort();
    wanted.dedup();
    let oldest = pairs
        .iter()
        .map(|pair| pair.recipe.python.minor())
        .reduce(|a, b| match is_newer(&a, &b) {
            true => b,
            false => a,
        });
    let asker = Asker::new(store, &oldest.unwrap_or_default());
    let mut notes = asker.update(catalogue, &wanted)?;
    if parts.base {
        notes.extend(pairs.iter().flat_map(|pair| system(&pair.lock)));
    }
    notes.sort();
    notes.dedup();
    Ok(notes)
}

/// Published systems are chosen by people: their definitions pin digests.
fn system(lock: &Lock) -> Option<Note> {
    let input = lock.base.system.values().next()?;
    let origin = input.artifacts.first()?.origins.first()?;
    let name = input.name.clone();
    Some(Note {
        why: format!(
            "its publisher cannot be asked for newer versions: look at {origin}, then edit images/{name}.yaml"
        ),
        name,
    })
}

fn update(
    settings: &Settings,
    store: &Store,
    pair: &Pair,
    parts: Parts,
    catalogue: &Catalogue,
    sources: &Text,
) -> Result<Updated> {
    let path = &pair.text.path;
    let mut text = pair.text.text.clone();
    let (python, boto3) = (&pair.recipe.python.version.0, &pair.recipe.sdk.boto3.0);
    if parts.python {
        text = edit(
            path,
            &text,
            "python.version",
            python,
            &newest_python(catalogue, python),
        )?;
    }
    if parts.sdk {
        let newest = newest_boto3(&pair.recipe.python.minor(), boto3)?;
        text = edit(path, &text, "sdk.boto3", boto3, &newest)?;
    }
    let recipe = Recipe::parse(path, &text, &[])?;
    let mut lock = Resolver {
        library: &settings.library,
        store,
        created: pair.lock.created,
        asked: Asked {
            sdk: (!parts.sdk).then_some(&pair.lock),
            packages: (!parts.base).then_some(&pair.lock),
            nobody: false,
        },
        catalogue: Some(sources.clone()),
    }
    .resolve(&recipe, path)?;
    let changes = changes(&pair.lock, &lock);
    let mut files = Vec::new();
    if lock != pair.lock {
        lock.created = created(settings);
        let name = |path: &Path| PathBuf::from(path.file_name().unwrap_or_default());
        if text != pair.text.text {
            files.push((name(path), text));
        }
        files.push((name(&path.with_extension("lock")), lock.to_text()));
    }
    Ok(Updated {
        recipe: pair.recipe.name.clone(),
        changes,
        files,
    })
}

fn edit(path: &Path, text: &str, key: &str, old: &str, new: &str) -> Result<String> {
    if old == new {
        return Ok(text.to_owned());
    }
    let edited = yaml::replaced(text, key, old, new);
    let message = || {
        format!(
            "{}: cannot write {new} in the place of {key}",
            path.display()
        )
    };
    let hint = "give the key a line of its own, with the value in quotes";
    Ok(edited.ok_or_else(|| CommandError::new(message(), hint))?)
}

fn report(format: Format, updated: &[Updated], notes: &[Note]) {
    if format == Format::Json {
        let changes = updated
            .iter()
            .map(|updated| json!({"recipe": updated.recipe, "changes": updated.changes}));
        let notes = notes
            .iter()
            .map(|note| json!({"name": note.name, "why": note.why}));
        println!(
            "{}",
            json!({"recipes": changes.collect::<Vec<_>>(), "not_updated": notes.collect::<Vec<_>>()})
        );
        return;
    }
    let mut rows = vec![["RECIPE", "INPUT", "OLD", "NEW", "WHERE", "WHY"].map(str::to_owned)];
    for updated in updated {
        rows.extend(
            updated
                .changes
                .iter()
                .map(|change| row(&updated.recipe, change)),
        );
    }
    if rows.len() == 1 {
        return;
    }
    let widths: [usize; 6] =
        std::array::from_fn(|i| rows.iter().map(|row| row[i].len()).max().unwrap_or(0));
    for row in rows {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

fn row(recipe: &str, change: &InputChange) -> [String; 6] {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let is_first = change.old.is_none();
    let why = change
        .note
        .clone()
        .unwrap_or_else(|| match (is_first, &change.new) {
            (_, None) => "no longer needed".to_owned(),
            (true, _) => "newly needed".to_owned(),
            _ => "newer".to_owned(),
        });
    [
        recipe.to_owned(),
        change.name.clone(),
        value(&change.old),
        value(&change.new),
        change.places.join(" "),
        why,
    ]
}
