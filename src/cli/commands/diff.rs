//! `imgbuild diff`: what is another thing in the second image, from packages down to the first byte.

mod table;

use std::collections::BTreeSet;

use anyhow::Result;
use oci::diff::{Difference, Unpacked};
use oci::registry::Registry;
use oci::source::{Access, ImageSource, Location};
use serde_json::json;

use crate::cli::flags::{self, Format};
use crate::cli::settings::Settings;
use crate::inputs::Progress;
use crate::packages::{self, PackageChange, Packages};

/// The exit code for images that differ: 1 and 2 say that they could not be compared.
const DIFFERENT: u8 = 3;

/// Prints the difference.
pub fn run(settings: &Settings, flags: &flags::Diff) -> Result<u8> {
    let http = settings.http()?;
    let store = settings.store(Progress::new(settings.progress))?;
    let scratch = store.temporary()?;
    let access = Access {
        scratch: scratch.path(),
        connect: &|reference| Registry::new(&http, reference.clone()),
    };
    let locations = [&flags.old, &flags.new].map(|text| Location::parse(text, Some(&flags.output)));
    let [old, new] = locations;
    let (old, new) = (old?, new?);
    let platform = flags.platform.as_ref();
    let open = |location: &Location| ImageSource::open(location, &access);
    let sources = [open(&old)?, open(&new)?];
    // Equal digests need no look at the layers; whether the bytes are right is for `verify`.
    let [a, b] = [&sources[0], &sources[1]].map(|source| source.choose(platform));
    let mut changes = Vec::new();
    let difference = if a?.digest == b?.digest {
        let image = sources[0].image(platform)?;
        Difference::none(image.digest())
    } else {
        let unpack = |source| Unpacked::new(source, platform, scratch.path());
        let [a, b] = [unpack(&sources[0])?, unpack(&sources[1])?];
        changes = packages::changes(&Packages::of(&a.root), &Packages::of(&b.root));
        if let (Location::Local { path: old, .. }, Location::Local { path: new, .. }) = (&old, &new)
        {
            changes.extend(packages::linked([
                (old, a.image.digest()),
                (new, b.image.digest()),
            ]));
        }
        Difference::between(&a, &b)?
    };
    let names = [old.to_string(), new.to_string()];
    match settings.format {
        Format::Json => println!("{}", json(&names, &changes, &difference)),
        Format::Text => print!("{}", table::text(&names, &changes, &difference, flags.all)),
    }
    Ok(match difference.is_empty() {
        true => 0,
        false => DIFFERENT,
    })
}

fn json(
    names: &[String; 2],
    packages: &[PackageChange],
    difference: &Difference,
) -> serde_json::Value {
    let mut shown = json!(difference);
    shown["images"] = json!(names);
    shown["equal"] = json!(difference.is_empty());
    shown["packages"] = json!(packages);
    shown
}

/// Versions in a cell of a table.
fn versions(versions: &BTreeSet<String>) -> String {
    match versions.is_empty() {
        true => "-".to_owned(),
        false => versions
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", "),
    }
}
