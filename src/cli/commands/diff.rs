//! `imgbuild diff`: what is another thing in the second image, from packages down to the first byte.

mod bill;
mod table;

use std::collections::BTreeSet;

use anyhow::Result;
use oci::diff::{Difference, Unpacked};
use oci::registry::Registry;
use oci::source::{Access, ImageSource, Location, SourceImage};
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
    let progress = Progress::new(settings.progress);
    let store = settings.store(progress.clone())?;
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
        let bill = |(location, source, image): (&Location, &ImageSource, &SourceImage)| {
            let found = bill::of(location, source, image.digest(), &http);
            let why = match found.map(|bill| bill.as_deref().and_then(Packages::linked)) {
                Ok(Some(packages)) => return Some(packages),
                Ok(None) => format!("{location} has no bill of materials"),
                Err(error) => format!("{error:#}"),
            };
            progress.note(&format!(
                "{why}: what is linked into its programs is not compared"
            ));
            None
        };
        let linked = [(&old, &sources[0], &a.image), (&new, &sources[1], &b.image)].map(bill);
        if let [Some(a), Some(b)] = linked {
            changes.extend(packages::changes(&a, &b));
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
