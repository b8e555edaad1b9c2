//! Two locks, input by input and then field by field. Inputs are found by their shape, wherever in a lock they stand.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use serde_yaml::Value;

use super::Lock;
use crate::inputs::{Artifact, Input, Origin};

/// An input that another lock has in another version, from elsewhere, or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InputChange {
    /// The parts of the lock that have it: `base.packages.amd64`, `sdk`.
    pub places: Vec<String>,
    /// The input's name.
    pub name: String,
    /// Its version; the origin or the hash, where that is what changed; `None`: not there.
    pub old: Option<String>,
    /// The same of the other lock.
    pub new: Option<String>,
    /// What its origin says of the new one.
    pub note: Option<String>,
}

impl fmt::Display for InputChange {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "absent".to_owned());
        write!(
            f,
            "{} was {}, is {}",
            self.name,
            shown(&self.old),
            shown(&self.new)
        )
    }
}

/// What differs, sorted by name. An input that changed alike in several places is one change.
pub fn changes(old: &Lock, new: &Lock) -> Vec<InputChange> {
    let (old, new) = (inputs(old), inputs(new));
    let mut merged: BTreeMap<_, Vec<String>> = BTreeMap::new();
    let keys = old
        .keys()
        .chain(new.keys().filter(|key| !old.contains_key(*key)));
    for key in keys {
        let (was, is) = (old.get(key), new.get(key));
        if was == is {
            continue;
        }
        let (place, name) = key;
        let ([was_shown, is_shown], note) = shown(was, is);
        merged
            .entry((name.clone(), was_shown, is_shown, note))
            .or_default()
            .push(place.clone());
    }
    merged
        .into_iter()
        .map(|((name, old, new, note), places)| InputChange {
            places,
            name,
            old,
            new,
            note,
        })
        .collect()
}

/// The wanted version where it differs, else the first thing that does; and what the new one's origins say.
fn shown(old: Option<&Input>, new: Option<&Input>) -> ([Option<String>; 2], Option<String>) {
    let (Some(was), Some(is)) = (old, new) else {
        let first = |input: &Input| Some(input.artifacts.first()?.version.clone());
        let note = new.and_then(|input| note(input.artifacts.first()?));
        return ([old.and_then(first), new.and_then(first)], note);
    };
    let count = was.artifacts.len().max(is.artifacts.len());
    let differs = (0..count).find(|i| was.artifacts.get(*i) != is.artifacts.get(*i));
    let [was, is] = [was, is].map(|input| input.artifacts.get(differs.unwrap_or_default()));
    let values = [(was, is), (is, was)].map(|(one, other)| one.map(|one| value(one, other)));
    let note = match (was, is) {
        // Debian's own patches are not used: with the same bytes nothing is mended.
        (Some(was), Some(is)) if was.sha256 == is.sha256 => Some("the same bytes".to_owned()),
        _ => is.and_then(note),
    };
    (values, note)
}

/// The version, and what else tells it from the other.
fn value(one: &Artifact, other: Option<&Artifact>) -> String {
    let version = one.version.clone();
    match other {
        Some(other) if other.version == version && other.sha256 != one.sha256 => {
            format!("{version} {}", one.sha256)
        }
        Some(other) if other.version == version => {
            let only = one
                .origins
                .iter()
                .filter(|origin| !other.origins.contains(origin));
            let only: Vec<String> = only.map(Origin::to_string).collect();
            format!("{version} from {}", only.join(", "))
        }
        _ => version,
    }
}

/// Debian says by the suite that a version mends a security fault.
fn note(artifact: &Artifact) -> Option<String> {
    let mut suites = artifact.origins.iter().filter_map(|origin| match origin {
        Origin::DebianSource { suite, .. } | Origin::DebianPackage { suite, .. } => Some(suite),
        _ => None,
    });
    let security = suites.find(|suite| suite.ends_with("-security"))?;
    Some(format!("security update ({security})"))
}

/// What differs beside the inputs: facts about the base, and what was asked for. One text for each field.
pub(super) fn fields(old: &Lock, new: &Lock) -> Vec<String> {
    let (old, new) = (Parts::of(old).fields, Parts::of(new).fields);
    let places: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let nothing = BTreeSet::new();
    let only = |these: &BTreeSet<String>, those: &BTreeSet<String>| {
        let only: Vec<&str> = these.difference(those).map(String::as_str).collect();
        match only.is_empty() {
            true => "absent".to_owned(),
            false => only.join(", "),
        }
    };
    let differing = places.into_iter().filter_map(|place| {
        let [was, is] = [&old, &new].map(|fields| fields.get(place).unwrap_or(&nothing));
        let text = || format!("{place} was {}, is {}", only(was, is), only(is, was));
        (was != is).then(text)
    });
    differing.collect()
}

fn inputs(lock: &Lock) -> BTreeMap<(String, String), Input> {
    Parts::of(lock).inputs
}

/// A lock, taken apart.
#[derive(Default)]
struct Parts {
    /// By the part of the lock and the name.
    inputs: BTreeMap<(String, String), Input>,
    /// All else, by its place: one value, or those of a list.
    fields: BTreeMap<String, BTreeSet<String>>,
}

impl Parts {
    fn of(lock: &Lock) -> Self {
        let serializer = serde_yaml::value::Serializer;
        let value = serde_yaml::with::singleton_map_recursive::serialize(lock, serializer)
            .expect("a lock is plain maps, lists and texts");
        let mut parts = Self::default();
        parts.collect("", &value);
        parts
    }

    fn collect(&mut self, place: &str, value: &Value) {
        let input: Result<Input, _> =
            serde_yaml::with::singleton_map_recursive::deserialize(value.clone());
        if let Ok(input) = input {
            let key = (place.to_owned(), input.name.clone());
            self.inputs.insert(key, input);
        } else if let Some(map) = value.as_mapping() {
            for (key, value) in map {
                let key = key.as_str().unwrap_or_default();
                let dot = if place.is_empty() { "" } else { "." };
                self.collect(&format!("{place}{dot}{key}"), value);
            }
        } else if let Some(list) = value.as_sequence() {
            list.iter().for_each(|value| self.collect(place, value));
        } else {
            let text = serde_yaml::to_string(value).unwrap_or_default();
            let values = self.fields.entry(place.to_owned()).or_default();
            values.insert(text.trim().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(versions: &[(&str, &str, u8)]) -> Input {
        let artifact = |(version, suite, byte): &(&str, &str, u8)| Artifact {
            version: (*version).to_owned(),
            sha256: oci::Digest::of(&[*byte]),
            size: None,
            subdir: None,
            origins: vec![
                Origin::Url("https://upstream.example/x".to_owned()),
                Origin::DebianSource {
                    package: "x".to_owned(),
                    version: format!("{version}-1"),
                    suite: (*suite).to_owned(),
                    file: "x.tar".to_owned(),
                },
            ],
        };
        Input {
            name: "x".to_owned(),
            artifacts: versions.iter().map(artifact).collect(),
        }
    }

    #[test]
    fn the_first_difference_is_shown_with_its_note() {
        let old = input(&[("1.2", "trixie", 1), ("1.1", "trixie", 2)]);
        for (new, was, is, note) in [
            (
                input(&[("1.3", "trixie", 3), ("1.1", "trixie", 2)]),
                "1.2",
                "1.3",
                None,
            ),
            (
                input(&[("1.2", "trixie", 1), ("1.1.9", "trixie-security", 4)]),
                "1.1",
                "1.1.9",
                Some("security update (trixie-security)"),
            ),
            (
                input(&[("1.2", "trixie-security", 1), ("1.1", "trixie", 2)]),
                "1.2 from Debian source x 1.2-1 (trixie)",
                "1.2 from Debian source x 1.2-1 (trixie-security)",
                Some("the same bytes"),
            ),
        ] {
            let (values, said) = shown(Some(&old), Some(&new));
            assert_eq!(values, [was, is].map(|text| Some(text.to_owned())));
            assert_eq!(said.as_deref(), note);
        }
        assert_eq!(
            shown(Some(&old), None),
            ([Some("1.2".to_owned()), None], None)
        );
    }
}
