//! Several files written as one: after a crash at any moment, either all are the old ones or all become the new ones.
//!
//! The new texts are first written whole into one file, the plan, which appears by a rename; that is the moment of
//! decision. Then each file is replaced by a rename, and the plan goes away. Whoever finds a plan does the rest of it.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

/// In the folder of the recipes.
const PLAN: &str = ".imgbuild-update";

#[derive(Serialize, Deserialize)]
struct Planned {
    /// A name in the plan's folder.
    path: PathBuf,
    text: String,
}

/// An interrupted update that cannot be brought to its end.
#[derive(Debug, thiserror::Error)]
#[error("an update of {} was interrupted and cannot be finished", folder.display())]
pub struct Unfinished {
    folder: PathBuf,
    #[source]
    source: io::Error,
}

impl Unfinished {
    /// What the user can do.
    pub fn hint(&self) -> String {
        let plan = self.folder.join(PLAN);
        format!(
            "make the folder writable; or remove {} to keep the old files",
            plan.display()
        )
    }
}

/// Writes the files, given by their names in `folder`. One process at a time.
pub fn write_together(folder: &Path, files: &[(PathBuf, String)]) -> io::Result<()> {
    let folder = or_here(folder);
    let _alone = alone(folder)?;
    let plan: Vec<Planned> = files
        .iter()
        .map(|(path, text)| Planned {
            path: path.clone(),
            text: text.clone(),
        })
        .collect();
    let text = serde_json::to_vec(&plan)?;
    write(&folder.join(PLAN), &text)?;
    sync(folder)?;
    follow(folder)
}

/// Does what is left of an interrupted [`write_together`]; returns whether there was anything.
pub fn finish(folder: &Path) -> Result<bool, Unfinished> {
    let folder = or_here(folder);
    let finish = || {
        if !folder.join(PLAN).exists() {
            return Ok(false);
        }
        let _alone = alone(folder)?;
        // Its owner may have finished while we waited.
        if folder.join(PLAN).exists() {
            follow(folder)?;
        }
        Ok(true)
    };
    finish().map_err(|source| Unfinished {
        folder: folder.to_owned(),
        source,
    })
}

fn follow(folder: &Path) -> io::Result<()> {
    let plan = folder.join(PLAN);
    let files: Vec<Planned> = serde_json::from_slice(&fs::read(&plan)?)?;
    // A plan that came with somebody's recipes must not write elsewhere.
    let is_name = |path: &Path| path.file_name() == Some(path.as_os_str());
    if let Some(file) = files.iter().find(|file| !is_name(&file.path)) {
        let reason = format!("{} is not a name of a file in it", file.path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    for file in files {
        write(&folder.join(&file.path), file.text.as_bytes())?;
    }
    sync(folder)?;
    fs::remove_file(&plan)
}

/// Writes one file; the old one stays until the new one is whole.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = or_here(path.parent().unwrap_or(Path::new("")));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    // Temporary files are private; recipes and locks are read by everybody.
    let mode = fs::metadata(path).map_or(0o644, |old| old.permissions().mode() & 0o7777);
    file.as_file()
        .set_permissions(PermissionsExt::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn alone(folder: &Path) -> io::Result<fs::File> {
    let file = fs::File::open(folder)?;
    file.lock()?;
    Ok(file)
}

fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

fn or_here(folder: &Path) -> &Path {
    match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_write_is_finished_by_the_next_reader() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let text = |name: &str| fs::read_to_string(path(name)).unwrap();
        let files = [("a.yaml", "new a"), ("a.lock", "new lock")];
        let files = files.map(|(name, text)| (PathBuf::from(name), text.to_owned()));
        for (name, _) in &files {
            fs::write(path(&name.display().to_string()), "old").unwrap();
        }
        write_together(folder.path(), &files).unwrap();
        assert_eq!(
            (text("a.yaml"), text("a.lock")),
            ("new a".to_owned(), "new lock".to_owned())
        );
        assert!(!finish(folder.path()).unwrap(), "nothing is left");
        // Killed after the decision, with the first file replaced and the second not.
        let plan: Vec<Planned> = files
            .iter()
            .map(|(path, text)| Planned {
                path: path.clone(),
                text: text.replace("new", "newer"),
            })
            .collect();
        fs::write(path(PLAN), serde_json::to_vec(&plan).unwrap()).unwrap();
        fs::write(path("a.yaml"), "newer a").unwrap();
        assert!(finish(folder.path()).unwrap());
        assert_eq!(
            (text("a.yaml"), text("a.lock")),
            ("newer a".to_owned(), "newer lock".to_owned())
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_plan_writes_in_its_own_folder_only() {
        let folder = tempfile::tempdir().unwrap();
        let recipes = folder.path().join("recipes");
        fs::create_dir(&recipes).unwrap();
        let absolute = folder.path().join("outside");
        for path in [
            Path::new("../outside"),
            &absolute,
            Path::new("a/b"),
            Path::new(".."),
            Path::new(""),
        ] {
            let plan = [Planned {
                path: path.to_owned(),
                text: "x".to_owned(),
            }];
            fs::write(recipes.join(PLAN), serde_json::to_vec(&plan).unwrap()).unwrap();
            let error = finish(&recipes).unwrap_err();
            assert!(error.hint().contains(PLAN), "{error}");
            assert!(!absolute.exists(), "{}", path.display());
        }
    }

    #[test]
    fn a_folder_that_is_not_there_has_nothing_to_finish() {
        assert!(!finish(Path::new("/nonexistent/recipes")).unwrap());
    }
}
