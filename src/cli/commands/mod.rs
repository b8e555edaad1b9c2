//! One file per command.

pub mod attach;
pub mod build;
pub mod cache;
pub mod copy;
pub mod diff;
pub mod inspect;
pub mod invoke;
pub mod list;
pub mod lock;
pub mod push;
pub mod train;
pub mod update;
pub mod verify;

use std::path::{Path, PathBuf};

/// The layout of a built recipe, or the folder itself when a path is given.
fn layout_dir(image: &str, output: &Path) -> PathBuf {
    if image.contains('/') || image == "." {
        PathBuf::from(image)
    } else {
        output.join(image)
    }
}

/// A failure of a command itself, with advice.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CommandError {
    message: String,
    hint: &'static str,
    #[source]
    source: Option<std::io::Error>,
}

impl CommandError {
    fn new(message: impl Into<String>, hint: &'static str) -> Self {
        Self {
            message: message.into(),
            hint,
            source: None,
        }
    }

    fn because(mut self, source: std::io::Error) -> Self {
        self.source = Some(source);
        self
    }

    /// What the user can do.
    pub fn hint(&self) -> &'static str {
        self.hint
    }
}
