//! `imgbuild cache`: what is in the store, what can go, and whether it is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use oci::Digest;
use serde_json::json;

use crate::cli::flags::{self, Format};
use crate::cli::settings::Settings;
use crate::inputs::{Damage, Entry, Kind, Policy, Progress, Store};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// The columns of ages.
const AGES: [(&str, Duration); 3] = [
    ("< 1 DAY", DAY),
    ("< 1 WEEK", Duration::from_secs(7 * 24 * 3600)),
    ("< 30 DAYS", Duration::from_secs(30 * 24 * 3600)),
];

/// Exit code 1 when something was damaged.
pub fn run(settings: &Settings, flags: &flags::Cache) -> Result<u8> {
    let store = settings.store(Progress::new(settings.progress))?;
    let failed = || format!("cannot look through {}", store.root().display());
    match flags {
        flags::Cache::Du => {
            let entries = store.census().with_context(failed)?;
            print(settings, &usage_json(&store, &entries), || usage(&entries));
            Ok(0)
        }
        flags::Cache::Prune(flags) => {
            prune(settings, &store, flags).with_context(failed)?;
            Ok(0)
        }
        flags::Cache::Verify => {
            let (read, damages) = store.verify().with_context(failed)?;
            let json = json!({
                "store": store.root(),
                "read": read,
                "damaged": damages.iter().map(damage_json).collect::<Vec<_>>(),
            });
            print(settings, &json, || verdict(read, &damages));
            Ok(u8::from(!damages.is_empty()))
        }
    }
}

fn print(settings: &Settings, json: &serde_json::Value, text: impl FnOnce() -> String) {
    match settings.format {
        Format::Text => print!("{}", text()),
        Format::Json => println!("{json}"),
    }
}

fn prune(settings: &Settings, store: &Store, flags: &flags::Prune) -> Result<()> {
    let no_rule = flags.older_than.is_none() && flags.max_size.is_none();
    let policy = Policy {
        older_than: flags.older_than,
        max_bytes: flags.max_size,
        not_reached_from: (flags.unreferenced || no_rule).then(|| locked(settings)),
        dry_run: flags.dry_run,
    };
    let pruned = store.prune(&policy)?;
    let bytes: u64 = pruned.removed.iter().map(|entry| entry.bytes).sum();
    let json = json!({
        "store": store.root(),
        "dry_run": flags.dry_run,
        "removed": pruned.removed.iter().map(entry_json).collect::<Vec<_>>(),
        "in_use": pruned.in_use.iter().map(entry_json).collect::<Vec<_>>(),
        "bytes_removed": bytes,
        "bytes_left": pruned.left,
    });
    print(settings, &json, || {
        let mut text = String::new();
        for entry in &pruned.removed {
            let size = megabytes(entry.bytes);
            text += &format!("{size:>12}  {}\n", entry.path.display());
        }
        let verb = if flags.dry_run {
            "would remove"
        } else {
            "removed"
        };
        let (count, size, left) = (
            pruned.removed.len(),
            megabytes(bytes),
            megabytes(pruned.left),
        );
        text += &format!("{verb} {count} things, {size}; {left} are left");
        if !pruned.in_use.is_empty() {
            text += &format!("; {} more are in use", pruned.in_use.len());
        }
        text + "\n"
    });
    Ok(())
}

/// Every digest in the locks of the recipes that are known here.
fn locked(settings: &Settings) -> BTreeSet<Digest> {
    let mut found = BTreeSet::new();
    for name in settings.library.recipes() {
        let Ok(recipe) = settings.library.recipe(&name) else {
            continue;
        };
        if let Ok(Some(lock)) = settings.library.lock(Path::new(&recipe.path)) {
            let words = lock
                .text
                .split(|c: char| !c.is_ascii_alphanumeric() && c != ':');
            found.extend(words.filter_map(|word| word.parse::<Digest>().ok()));
        }
    }
    found
}

/// Sums by kind and by the time since the last use.
fn usage(entries: &[Entry]) -> String {
    let mut rows: BTreeMap<Kind, [u64; 2 + AGES.len() + 1]> = BTreeMap::new();
    let mut all = [0; 2 + AGES.len() + 1];
    for entry in entries {
        let column = AGES.iter().position(|(_, age)| unused(entry) < *age);
        let column = 2 + column.unwrap_or(AGES.len());
        for row in [rows.entry(entry.kind).or_default(), &mut all] {
            row[0] += 1;
            row[1] += entry.bytes;
            row[column] += entry.bytes;
        }
    }
    let mut text = format!("{:<10}{:>8}{:>12}", "KIND", "THINGS", "SIZE");
    for (name, _) in AGES.iter().chain(&[("OLDER", DAY)]) {
        text += &format!("{name:>12}");
    }
    text.push('\n');
    let names = rows.iter().map(|(kind, row)| (name(*kind), row));
    for (name, row) in names.chain([("all".to_owned(), &all)]) {
        text += &format!("{name:<10}{:>8}", row[0]);
        for bytes in &row[1..] {
            text += &format!("{:>12}", megabytes(*bytes));
        }
        text.push('\n');
    }
    text
}

fn usage_json(store: &Store, entries: &[Entry]) -> serde_json::Value {
    json!({
        "store": store.root(),
        "bytes": entries.iter().map(|entry| entry.bytes).sum::<u64>(),
        "entries": entries.iter().map(entry_json).collect::<Vec<_>>(),
    })
}

fn entry_json(entry: &Entry) -> serde_json::Value {
    json!({
        "kind": entry.kind,
        "path": entry.path,
        "bytes": entry.bytes,
        "unused_seconds": unused(entry).as_secs(),
    })
}

fn damage_json(damage: &Damage) -> serde_json::Value {
    let mut json = entry_json(&damage.entry);
    json["fault"] = damage.fault.clone().into();
    json
}

fn verdict(read: usize, damages: &[Damage]) -> String {
    let mut text = String::new();
    for Damage { entry, fault } in damages {
        text += &format!("{}: {fault}; removed\n", entry.path.display());
    }
    text + &format!("read {read} things, {} damaged\n", damages.len())
}

fn unused(entry: &Entry) -> Duration {
    // One from the future was used just now.
    entry.used.elapsed().unwrap_or_default()
}

fn name(kind: Kind) -> String {
    serde_json::to_value(kind)
        .ok()
        .and_then(|name| Some(name.as_str()?.to_owned()))
        .unwrap_or_default()
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
