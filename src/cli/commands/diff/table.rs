//! A difference as people read it: packages, fields, layers, files, and the way to the first cause.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use oci::diff::{Change, Difference, FileChange, LayerSummary};

use super::super::inspect::clean;
use super::versions;
use crate::packages::PackageChange;

/// Lines about files, unless all are asked for.
const FILES: usize = 40;
/// Fields of one file.
const FIELDS: usize = 8;
/// So many files with the same fields are one line.
const ALIKE: usize = 5;

/// The whole text.
pub fn text(
    names: &[String; 2],
    packages: &[PackageChange],
    difference: &Difference,
    all: bool,
) -> String {
    let mut text = String::new();
    let mut line =
        |line: &str| writeln!(text, "{}", clean(line)).expect("a string takes everything");
    let [old, new] = difference.digests;
    line(&format!("old  {}  {old}", names[0]));
    line(&format!("new  {}  {new}", names[1]));
    if difference.is_empty() {
        line("= the same image");
        return text;
    }
    let mut section = |title: &str, rows: Vec<String>| {
        if !rows.is_empty() {
            line("");
            line(title);
            rows.iter().for_each(|row| line(&format!("  {row}")));
        }
    };
    section("packages", columns(packages.iter().map(package).collect()));
    let fields = |changes: &[Change]| changes.iter().map(field).collect();
    section("configuration", fields(&difference.config));
    section("manifest", fields(&difference.manifest));
    section(
        "layers",
        columns(
            difference
                .layers
                .iter()
                .map(|change| {
                    [
                        change.layer.to_string(),
                        layer(&change.old),
                        "→".to_owned(),
                        layer(&change.new),
                    ]
                })
                .collect(),
        ),
    );
    let (title, rows) = files(&difference.files, if all { usize::MAX } else { FILES });
    section(&title, rows);
    section("because", difference.cause.clone());
    text
}

fn package(change: &PackageChange) -> [String; 4] {
    let versions = format!("{} → {}", versions(&change.old), versions(&change.new));
    [
        change.kind.to_owned(),
        change.name.clone(),
        versions,
        String::new(),
    ]
}

fn layer(summary: &Option<LayerSummary>) -> String {
    let shown = summary.as_ref().map(|layer| {
        let (digest, megabytes) = (layer.digest.to_string(), layer.size as f64 / 1e6);
        format!("{} {} {megabytes:.2} MB", &digest[..19], layer.created_by)
    });
    shown.unwrap_or_else(|| "-".to_owned())
}

fn field(change: &Change) -> String {
    let value = |value: &Option<String>| match value {
        Some(value) => value.chars().take(200).collect(),
        None => "-".to_owned(),
    };
    format!(
        "{}: {} → {}",
        change.field,
        value(&change.old),
        value(&change.new)
    )
}

fn columns(rows: Vec<[String; 4]>) -> Vec<String> {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; 4] = std::array::from_fn(width);
    let join = |row: &[String; 4]| {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(join).collect()
}

/// A title that counts them, and a line for each file or group.
fn files(files: &[FileChange], limit: usize) -> (String, Vec<String>) {
    let following = files.iter().filter(|file| file.follows.is_some()).count();
    let count = |is: fn(&FileChange) -> bool| files.iter().filter(|file| is(file)).count();
    let (added, removed) = (count(FileChange::is_added), count(FileChange::is_removed));
    let mut title = format!(
        "files: {added} added, {removed} removed, {} changed",
        files.len() - added - removed
    );
    if following > 0 {
        write!(
            title,
            "; {following} of them are bytecode of sources that differ"
        )
        .expect("a string takes everything");
    }
    let mut alike: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    for file in files {
        *alike.entry(fields(file)).or_default() += 1;
    }
    let mut rows = Vec::new();
    let mut shown = BTreeSet::new();
    let mut whole: Option<(String, char)> = None;
    for (place, file) in files.iter().enumerate() {
        let mark = match () {
            () if file.is_added() => '+',
            () if file.is_removed() => '-',
            () => '~',
        };
        // A folder that is new or gone says it for all that is inside.
        if whole
            .as_ref()
            .is_some_and(|(folder, of)| *of == mark && file.path.starts_with(folder))
        {
            continue;
        }
        let fields = fields(file);
        if mark != '~' {
            let folder = format!("{}/", file.path);
            // What is inside comes next.
            let next = files[place + 1..].iter();
            let inside = next
                .take_while(|other| other.path.starts_with(&folder))
                .count();
            rows.push(match file.is_dir {
                true => format!("{mark} {folder} and {inside} inside"),
                false => format!("{mark} {}", file.path),
            });
            whole = file.is_dir.then_some((folder, mark));
            continue;
        }
        if fields.is_empty() {
            continue;
        }
        let many = alike.get(&fields).copied().unwrap_or_default();
        if many < ALIKE {
            rows.push(format!("~ {}  {}", file.path, fields.join("; ")));
        } else if shown.insert(fields.clone()) {
            rows.push(format!(
                "~ {many} files, the first is {}  {}",
                file.path,
                fields.join("; ")
            ));
        }
    }
    if rows.len() > limit {
        let more = rows.len() - limit;
        rows.truncate(limit);
        rows.push(format!("and {more} more lines: --all shows them"));
    }
    (title, rows)
}

fn fields(file: &FileChange) -> Vec<String> {
    let mut fields: Vec<String> = file.changes.iter().take(FIELDS).map(field).collect();
    if file.changes.len() > FIELDS {
        fields.push(format!("and {} more", file.changes.len() - FIELDS));
    }
    fields
}
