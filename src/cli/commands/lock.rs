//! `imgbuild lock`: recipes in, locks beside them out.

use std::path::Path;

use anyhow::{Context, Result};
use jiff::Timestamp;

use super::CommandError;
use crate::cli::flags;
use crate::cli::settings::Settings;
use crate::inputs::{Progress, Store};
use crate::lock::{Asked, Lock, LockError, Resolver};
use crate::recipe::{self, Recipe, Text};

/// Writes, or with `--check` compares, the locks of the recipes.
pub fn run(settings: &Settings, flags: &flags::Lock) -> Result<()> {
    let names = if flags.recipes.is_empty() {
        settings.library.recipes()
    } else {
        flags.recipes.clone()
    };
    let progress = Progress::new(settings.progress);
    for name in &names {
        let text = settings.library.recipe(name)?;
        let recipe = Recipe::parse(&text.path, &text.text, &[])?;
        let path = text.path.with_extension("lock");
        let store = settings.store(progress.clone())?;
        if flags.check {
            let lock = read(settings, &text, &recipe)?;
            check(settings, &store, &text, &recipe, &lock)?;
            progress.note(&format!("{} belongs to its recipe", path.display()));
            continue;
        }
        on_disk(name, &text)?;
        let (earlier, today) = (earlier(settings, &text)?, created(settings));
        let mut lock = Resolver {
            library: &settings.library,
            store: &store,
            created: earlier.as_ref().map_or(today, |lock| lock.created),
            asked: earlier
                .as_ref()
                .map_or_else(Asked::default, |lock| Asked::again(lock, &recipe)),
            catalogue: None,
        }
        .resolve(&recipe, &text.path)?;
        // What stays as it is keeps its day, and the image its digest.
        if settings.epoch.is_some() || earlier.as_ref() != Some(&lock) {
            lock.created = today;
        }
        recipe::write(&path, lock.to_text().as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}

/// The lock of a recipe, which must be up to date.
pub fn read(settings: &Settings, recipe_text: &Text, recipe: &Recipe) -> Result<Lock> {
    let path: &Path = &recipe_text.path;
    let text = settings
        .library
        .lock(path)?
        .ok_or_else(|| LockError::Missing(path.with_extension("lock")))?;
    Ok(Lock::parse(&text.path, &text.text, recipe)?)
}

/// The lock that is there, if it can be read, of whatever the recipe was then.
fn earlier(settings: &Settings, recipe: &Text) -> Result<Option<Lock>> {
    let text = settings.library.lock(&recipe.path)?;
    Ok(text.and_then(|text| Lock::read(&text.path, &text.text).ok()))
}

/// Refuses a lock that would be another one today, as far as that can be known without asking anybody.
pub fn check(
    settings: &Settings,
    store: &Store,
    text: &Text,
    recipe: &Recipe,
    lock: &Lock,
) -> Result<()> {
    let path = text.path.with_extension("lock");
    if let Some(epoch) = settings
        .epoch
        .filter(|epoch| epoch.seconds() != lock.created)
    {
        let change = format!(
            "the image's time was {}, SOURCE_DATE_EPOCH says {}",
            lock.created,
            epoch.seconds()
        );
        let changes = vec![change];
        return Err(LockError::Drifted { path, changes }.into());
    }
    let resolver = Resolver {
        library: &settings.library,
        store,
        created: lock.created,
        asked: Asked::nobody(lock),
        catalogue: None,
    };
    let again = Lock {
        // A lock of an older number is still a good one.
        compat: lock.compat,
        ..resolver.resolve(recipe, &text.path)?
    };
    Ok(lock.check(&path, &again)?)
}

/// Only beside a recipe's own file something can be written.
pub fn on_disk(name: &str, text: &Text) -> Result<(), CommandError> {
    if text.path.exists() {
        return Ok(());
    }
    let message = format!(
        "{name} is built into this program: there is no file beside which a lock could be written"
    );
    let hint = "copy the recipe into ./recipes, or name a file";
    Err(CommandError::new(message, hint))
}

/// The time that an image gets.
pub fn created(settings: &Settings) -> u64 {
    settings
        .epoch
        .map_or_else(midnight, |epoch| epoch.seconds())
}

/// The last midnight in UTC: the day a lock was made is enough for a file's time.
fn midnight() -> u64 {
    const DAY: i64 = 24 * 3600;
    let now = Timestamp::now().as_second();
    u64::try_from(now - now % DAY).unwrap_or_default()
}
