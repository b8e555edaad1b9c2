//! Where recipes and base definitions lie: a named file, the working folder, or the set that the program carries.

use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::together::{Unfinished, finish};
use super::{Profile, Unusable, minor_of};

static RECIPES: Dir = include_dir!("$CARGO_MANIFEST_DIR/recipes");
static IMAGES: Dir = include_dir!("$CARGO_MANIFEST_DIR/images");

/// Finds definitions by name. A folder on disk hides the built-in set's files of the same name.
#[derive(Clone, Debug)]
pub struct Library {
    folder: PathBuf,
}

/// A name that no recipe or base definition has.
#[derive(Debug, thiserror::Error)]
#[error("there is no {kind} {name:?}")]
pub struct NotFound {
    kind: &'static str,
    name: String,
    nearest: Option<String>,
    known: Vec<String>,
}

impl NotFound {
    /// The nearest name, and all names.
    pub fn hint(&self) -> String {
        let known = self.known.join(", ");
        match &self.nearest {
            Some(nearest) => format!("did you mean {nearest}? Known: {known}"),
            None => format!("known: {known}; a path such as ./my/python3.13.yaml works too"),
        }
    }
}

/// A definition that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// No such name.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// An interrupted update.
    #[error(transparent)]
    Unfinished(#[from] Unfinished),
    /// A file; the error names it.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl LibraryError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound(error) => Some(error.hint()),
            Self::Unfinished(error) => Some(error.hint()),
            Self::Io(_) => None,
        }
    }
}

/// A definition's text and the path that its errors name.
#[derive(Clone, Debug)]
pub struct Text {
    /// On disk, or `recipes/<name>` for a built-in one.
    pub path: PathBuf,
    /// The file's text.
    pub text: String,
}

impl Library {
    /// `folder` is looked at first: it may hold `recipes/` and `images/`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The recipe called `name`, or the one at a path.
    pub fn recipe(&self, name: &str) -> Result<Text, LibraryError> {
        if name.contains('/') || name.ends_with(".yaml") {
            let path = PathBuf::from(name);
            finish(path.parent().unwrap_or(Path::new("")))?;
            return Ok(Text {
                text: fs_err::read_to_string(&path)?,
                path,
            });
        }
        finish(&self.folder.join("recipes"))?;
        self.find("recipe", "recipes", &RECIPES, name)
    }

    /// The lock beside a recipe, when there is one.
    pub fn lock(&self, recipe: &Path) -> std::io::Result<Option<Text>> {
        let path = recipe.with_extension("lock");
        match fs_err::read_to_string(&path) {
            Ok(text) => Ok(Some(Text { path, text })),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let built_in = path
                    .strip_prefix("recipes")
                    .ok()
                    .and_then(|name| RECIPES.get_file(name));
                Ok(built_in
                    .and_then(|file| file.contents_utf8())
                    .map(|text| Text {
                        path,
                        text: text.to_owned(),
                    }))
            }
            Err(e) => Err(e),
        }
    }

    /// The base definition called `name`: beside the recipe's folder, in the working folder, or built in.
    pub fn base(&self, recipe: &Path, name: &str) -> Result<Text, LibraryError> {
        let beside = recipe
            .parent()
            .and_then(Path::parent)
            .map(|parent| parent.join("images").join(format!("{name}.yaml")));
        if let Some(path) = beside.filter(|path| path.exists()) {
            return Ok(Text {
                text: fs_err::read_to_string(&path)?,
                path,
            });
        }
        self.find("base", "images", &IMAGES, name)
    }

    /// The catalogue of sources: beside the recipe, in the working folder, or built in.
    pub fn sources(&self, recipe: &Path) -> Result<Text, LibraryError> {
        let path = recipe.with_file_name(format!("{SOURCES}.yaml"));
        if path.exists() {
            return Ok(Text {
                text: fs_err::read_to_string(&path)?,
                path,
            });
        }
        self.find("catalogue", "recipes", &RECIPES, SOURCES)
    }

    /// The profile of a CPython version, compiled by zig `compiler`: beside the recipe, in the working folder, or built in.
    pub fn profile(
        &self,
        recipe: &Path,
        version: &str,
        compiler: &str,
    ) -> Result<Profile, Unusable> {
        let header = Path::new(PROFILES).join(format!("{}.yaml", Profile::stem(version)));
        let beside = recipe.parent().unwrap_or(Path::new("")).join(&header);
        for path in [beside, self.folder.join("recipes").join(&header)] {
            let damaged = |e: std::io::Error| Unusable::Damaged {
                path: path.display().to_string(),
                reason: e.to_string(),
            };
            if path.exists() {
                let text = fs_err::read_to_string(&path).map_err(damaged)?;
                let compressed = fs_err::read(Profile::beside(&path)).map_err(damaged)?;
                return Profile::parse(&Text { path, text }, &compressed, version, compiler);
            }
        }
        let built_in = |path: &Path| RECIPES.get_file(path).map(|file| file.contents());
        let header = built_in(&header).zip(built_in(&Profile::beside(&header)));
        let (header, compressed) = header.ok_or_else(|| Unusable::Missing(minor_of(version)))?;
        let text = Text {
            path: Path::new("recipes")
                .join(PROFILES)
                .join(format!("{}.yaml", Profile::stem(version))),
            text: String::from_utf8_lossy(header).into_owned(),
        };
        Profile::parse(&text, compressed, version, compiler)
    }

    /// Every recipe's name, sorted.
    pub fn recipes(&self) -> Vec<String> {
        self.names("recipes", &RECIPES)
    }

    fn find(
        &self,
        kind: &'static str,
        folder: &str,
        built_in: &Dir,
        name: &str,
    ) -> Result<Text, LibraryError> {
        let file = format!("{name}.yaml");
        let path = self.folder.join(folder).join(&file);
        if path.exists() {
            return Ok(Text {
                text: fs_err::read_to_string(&path)?,
                path,
            });
        }
        if let Some(text) = built_in
            .get_file(&file)
            .and_then(|file| file.contents_utf8())
        {
            return Ok(Text {
                path: Path::new(folder).join(&file),
                text: text.to_owned(),
            });
        }
        let known = self.names(folder, built_in);
        let nearest = known
            .iter()
            .min_by_key(|known| distance(known, name))
            .filter(|known| distance(known, name) <= 3)
            .cloned();
        Err(LibraryError::NotFound(NotFound {
            kind,
            name: name.to_owned(),
            nearest,
            known,
        }))
    }

    fn names(&self, folder: &str, built_in: &Dir) -> Vec<String> {
        let mut files: Vec<PathBuf> = built_in
            .files()
            .map(|file| file.path().to_owned())
            .collect();
        files.extend(
            fs_err::read_dir(self.folder.join(folder))
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path()),
        );
        let mut names: Vec<String> = files
            .iter()
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "yaml")
            })
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .filter(|name| name != SOURCES)
            .collect();
        names.sort_by_key(|name| natural(name));
        names.dedup();
        names
    }
}

/// Where profiles lie, beside the recipes.
pub const PROFILES: &str = "profiles";

/// The catalogue of sources lies among the recipes and is not one.
const SOURCES: &str = "sources";

/// Sorts `python3.9` before `python3.10`.
fn natural(name: &str) -> (String, u64) {
    let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (head, tail) = name.split_at(name.len() - digits);
    (head.to_owned(), tail.parse().unwrap_or(0))
}

/// The number of single-letter edits between two names.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_suggests_the_nearest() {
        let error = Library::new("/nonexistent")
            .recipe("pyhton3.13")
            .unwrap_err();
        assert_eq!(error.to_string(), "there is no recipe \"pyhton3.13\"");
        let hint = error.hint().unwrap();
        assert!(hint.starts_with("did you mean python3.13?"), "{hint}");
    }

    #[test]
    fn names_sort_as_people_count() {
        assert!(natural("python3.9") < natural("python3.10"));
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
