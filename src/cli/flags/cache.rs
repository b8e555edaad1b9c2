//! `imgbuild cache`, as it is typed.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::quantity;

/// `imgbuild cache`.
#[derive(Debug, Subcommand)]
pub enum Cache {
    /// Show what takes how much space, and how long it was not used
    Du,
    /// Remove what is not needed; without a rule, what --unreferenced says
    Prune(Prune),
    /// Read everything and remove what is damaged; exit code 1 if something was
    Verify,
}

/// `imgbuild cache prune`.
#[derive(Debug, Args)]
pub struct Prune {
    /// What was not used for that long, as in 30d or 12h
    #[arg(long, value_name = "AGE", value_parser = quantity::time)]
    pub older_than: Option<Duration>,
    /// What was not used for longest, until no more than that is left, as in 10GB
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes)]
    pub max_size: Option<u64>,
    /// What no lock of a recipe and no finished step leads to, and what broke off
    #[arg(long)]
    pub unreferenced: bool,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
}
