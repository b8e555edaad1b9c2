//! `imgbuild lock`: recipes in, locks beside them out.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use jiff::Timestamp;

use super::CommandError;
use crate::cli::flags;
use crate::cli::settings::Settings;
use crate::inputs::Progress;
use crate::lock::{Lock, LockError, Resolver};
use crate::recipe::{Recipe, Text};

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
        if flags.check {
            read(settings, &text, &recipe)?;
            progress.note(&format!("{} belongs to its recipe", path.display()));
            continue;
        }
        if !text.path.exists() {
            let message = format!(
                "{name} is built into this program: there is no file beside which a lock could be written"
            );
            return Err(CommandError::new(
                message,
                "copy the recipe into ./recipes, or name a file",
            )
            .into());
        }
        let store = settings.store(progress.clone())?;
        let epoch = settings
            .epoch
            .map_or_else(midnight, |epoch| epoch.seconds());
        let lock = Resolver {
            library: &settings.library,
            store: &store,
            epoch,
        }
        .resolve(&recipe, &text.path)?;
        write_atomically(&path, lock.to_text().as_bytes())
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

/// The last midnight in UTC: the day a lock was made is enough for a file's time.
fn midnight() -> u64 {
    const DAY: i64 = 24 * 3600;
    let now = Timestamp::now().as_second();
    u64::try_from(now - now % DAY).unwrap_or_default()
}

/// The old lock stays until the new one is whole.
fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    // Temporary files are private; a lock is read by everybody.
    file.as_file()
        .set_permissions(PermissionsExt::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}
