//! What people read on stderr: errors with their causes and a hint.

use std::error::Error;
use std::fmt::Write;

use oci::copy::CopyError;
use oci::diff::DiffError;
use oci::registry::{HttpError, PullError, PushError, ReferrersError, without_login};
use oci::source::{InvalidLocation, SourceError};

use crate::build::{BuildError, NoQemu};
use crate::cli::commands::CommandError;
use crate::cli::settings::SettingsError;
use crate::cli::signing::SignError;
use crate::inputs::FetchError;
use crate::lock::{LockError, ResolveError};
use crate::papers::PapersError;
use crate::recipe::{LibraryError, SchemaError};
use crate::update::UpdateError;

/// `error:`, `Caused by:` lines, `hint:`.
pub fn render(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}");
    let mut said = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // A transparent wrapper says what its cause says.
        if !said.contains(&cause) {
            let indented = cause.replace('\n', "\n    ");
            write!(text, "\n  Caused by: {indented}").expect("a string takes everything");
        }
        said = cause;
    }
    if let Some(hint) = error.chain().find_map(hint) {
        write!(text, "\nhint: {hint}").expect("a string takes everything");
    }
    text
}

/// What is wrong with a command line that has `user:password@` in it. It quotes arguments, and these only in part.
pub fn usage_without_logins(error: &clap::Error) -> Option<String> {
    let arguments: Vec<String> = std::env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .filter(|argument| without_login(argument) != *argument)
        .collect();
    if arguments.is_empty() || !error.use_stderr() {
        return None;
    }
    let mut text = error.render().to_string();
    for argument in arguments {
        // An argument like --flag=value is quoted without the flag.
        for part in [
            argument.as_str(),
            argument.split_once('=').map_or("", |(_, value)| value),
        ] {
            if !part.is_empty() {
                text = text.replace(part, &without_login(part));
            }
        }
    }
    Some(text)
}

/// The advice of the first error in the chain that has any.
fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    fn of<E: Error + 'static>(
        error: &(dyn Error + 'static),
        hint: impl Fn(&E) -> Option<String>,
    ) -> Option<String> {
        error.downcast_ref::<E>().and_then(hint)
    }
    of(error, |e: &LibraryError| e.hint())
        .or_else(|| of(error, |e: &SchemaError| e.hint().map(str::to_owned)))
        .or_else(|| of(error, |e: &LockError| Some(e.hint())))
        .or_else(|| of(error, |e: &SettingsError| Some(e.hint().to_owned())))
        .or_else(|| of(error, |e: &BuildError| e.hint()))
        .or_else(|| of(error, |e: &NoQemu| Some(e.hint())))
        .or_else(|| of(error, |e: &FetchError| e.hint()))
        .or_else(|| of(error, |e: &UpdateError| e.hint()))
        .or_else(|| of(error, |e: &ResolveError| e.hint()))
        .or_else(|| of(error, |e: &PushError| e.hint()))
        .or_else(|| of(error, |e: &ReferrersError| e.hint()))
        .or_else(|| of(error, |e: &CopyError| e.hint()))
        .or_else(|| of(error, |e: &DiffError| e.hint()))
        .or_else(|| of(error, |e: &PullError| e.hint()))
        .or_else(|| of(error, |e: &InvalidLocation| Some(e.hint().to_owned())))
        .or_else(|| of(error, |e: &SourceError| e.hint()))
        .or_else(|| of(error, |e: &HttpError| e.hint()))
        .or_else(|| of(error, |e: &PapersError| Some(e.hint().to_owned())))
        .or_else(|| of(error, |e: &SignError| Some(e.hint().to_owned())))
        .or_else(|| of(error, |e: &CommandError| Some(e.hint().to_owned())))
}
