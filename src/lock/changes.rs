//! Two locks, input by input. Inputs are found by their shape, wherever in a lock they stand.

use std::collections::BTreeMap;
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
        let [was_shown, is_shown] = shown(was, is);
        let note = is.and_then(|input| note(&input.artifacts));
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

/// The wanted version where it differs, else the first thing that does.
fn shown(old: Option<&Input>, new: Option<&Input>) -> [Option<String>; 2] {
    let first = |input: &Input| {
        input
            .artifacts
            .first()
            .map(|artifact| artifact.version.clone())
    };
    let (Some(was), Some(is)) = (old, new) else {
        return [old.and_then(first), new.and_then(first)];
    };
    if first(was) != first(is) {
        return [first(was), first(is)];
    }
    let describe = |artifact: &Artifact, other: Option<&Artifact>| {
        let version = &artifact.version;
        match other {
            Some(other) if other.version != *version => version.clone(),
            Some(other) if other.sha256 != artifact.sha256 => {
                format!("{version} {}", artifact.sha256)
            }
            Some(_) => {
                let origins: Vec<String> = artifact.origins.iter().map(Origin::to_string).collect();
                format!("{version} from {}", origins.join(", "))
            }
            None => version.clone(),
        }
    };
    let count = was.artifacts.len().max(is.artifacts.len());
    let differs = (0..count)
        .find(|i| was.artifacts.get(*i) != is.artifacts.get(*i))
        .unwrap_or_default();
    let [a, b] = [was, is].map(|input| input.artifacts.get(differs));
    [
        a.map(|artifact| describe(artifact, b)),
        b.map(|artifact| describe(artifact, a)),
    ]
}

/// Debian says by the suite that a version mends a security fault.
fn note(artifacts: &[Artifact]) -> Option<String> {
    let origins = artifacts.first()?.origins.iter();
    let suites = origins.filter_map(|origin| match origin {
        Origin::DebianSource { suite, .. } | Origin::DebianPackage { suite, .. } => Some(suite),
        _ => None,
    });
    let mut security = suites.filter(|suite| suite.ends_with("-security"));
    security
        .next()
        .map(|suite| format!("security update ({suite})"))
}

fn inputs(lock: &Lock) -> BTreeMap<(String, String), Input> {
    let value =
        serde_yaml::with::singleton_map_recursive::serialize(lock, serde_yaml::value::Serializer)
            .expect("a lock is plain maps, lists and texts");
    let mut found = BTreeMap::new();
    collect("", &value, &mut found);
    found
}

fn collect(place: &str, value: &Value, found: &mut BTreeMap<(String, String), Input>) {
    let input: Result<Input, _> =
        serde_yaml::with::singleton_map_recursive::deserialize(value.clone());
    if let Ok(input) = input {
        found.insert((place.to_owned(), input.name.clone()), input);
    } else if let Some(map) = value.as_mapping() {
        for (key, value) in map {
            let key = key.as_str().unwrap_or_default();
            let dot = if place.is_empty() { "" } else { "." };
            collect(&format!("{place}{dot}{key}"), value, found);
        }
    } else if let Some(list) = value.as_sequence() {
        list.iter().for_each(|value| collect(place, value, found));
    }
}
