//! The command line: flags as typed → settings as resolved → a command, which calls stages and prints.

mod attachment;
pub mod commands;
pub mod flags;
pub mod report;
mod sending;
pub mod settings;
pub mod signing;

use clap::Parser;

use flags::{Command, Flags};
use settings::Settings;

use crate::inputs::remove_temporaries;
use crate::process::interrupt;

/// Runs the command line of this process and returns its exit code: 0 done, 1 the user can fix it, 2 our fault; of `diff`
/// also 3, the images differ.
pub fn main() -> u8 {
    let flags = match Flags::try_parse() {
        Ok(flags) => flags,
        Err(error) => {
            // Help and version are no errors; a closed stdout is nobody's fault.
            match report::usage_without_logins(&error) {
                Some(text) => eprint!("{text}"),
                None => drop(error.print()),
            }
            return u8::from(error.use_stderr());
        }
    };
    // Without it a signal ends the program like any other.
    let _ = interrupt::end_in_order(remove_temporaries);
    let ended = std::panic::catch_unwind(|| run(flags));
    // What fails while everything is being ended is no news.
    if let Some(code) = interrupt::exit_code() {
        return code;
    }
    match ended {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            eprintln!("{}", report::render(&error));
            1
        }
        Err(_) => {
            eprintln!(
                "error: imgbuild failed in a way that is its own fault; the message above says where"
            );
            2
        }
    }
}

fn run(flags: Flags) -> anyhow::Result<u8> {
    let settings = Settings::resolve(&flags.common)?;
    oci::Limits::from(&flags.common.limits).choose();
    match (flags.command, flags.build) {
        (Some(Command::Build(build)), _) | (None, Some(build)) => {
            commands::build::run(&settings, &build)?
        }
        (Some(Command::Attach(attach)), _) => commands::attach::run(&settings, &attach)?,
        (Some(Command::Cache(cache)), _) => return commands::cache::run(&settings, &cache),
        (Some(Command::Copy(copy)), _) => commands::copy::run(&settings, &copy)?,
        (Some(Command::Diff(diff)), _) => return commands::diff::run(&settings, &diff),
        (Some(Command::Inspect(inspect)), _) => commands::inspect::run(&settings, &inspect)?,
        (Some(Command::Invoke(invoke)), _) => return commands::invoke::run(&settings, &invoke),
        (Some(Command::List), _) => commands::list::run(&settings)?,
        (Some(Command::Lock(lock)), _) => commands::lock::run(&settings, &lock)?,
        (Some(Command::Push(push)), _) => commands::push::run(&settings, &push)?,
        (Some(Command::Train(train)), _) => commands::train::run(&settings, &train)?,
        (Some(Command::Update(update)), _) => commands::update::run(&settings, &update)?,
        (Some(Command::Verify(verify)), _) => return commands::verify::run(&settings, &verify),
        (None, None) => unreachable!("clap shows the help when there are no arguments"),
    }
    Ok(0)
}
