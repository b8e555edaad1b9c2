//! Both clients on the same cases, and what becomes of a difference.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use crate::allowed::{ALLOWED, Allowed};
use crate::case::Case;
use crate::client::{Which, clients};
use crate::host;
use crate::recorder::{Part, Segment};

/// Something that the clients did differently.
pub struct Difference {
    /// The case and, behind a slash, the event's label, `init` or `end`.
    pub place: String,
    /// The parts that differ, each as its name, a colon and the text.
    pub official: String,
    pub ours: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 900;
        let same = self
            .official
            .bytes()
            .zip(self.ours.bytes())
            .take_while(|(a, b)| a == b)
            .count();
        let from = (0..=same.saturating_sub(200))
            .rev()
            .find(|at| self.official.is_char_boundary(*at));
        let from = from.unwrap_or_default();
        let cut = |text: &str| {
            text.get(from..)
                .unwrap_or(text)
                .chars()
                .take(SHOWN)
                .collect::<String>()
        };
        writeln!(
            out,
            "--- {}, different from byte {same}, shown from {from}",
            self.place
        )?;
        writeln!(out, "official: {:?}", cut(&self.official))?;
        writeln!(out, "ours:     {:?}", cut(&self.ours))
    }
}

/// Runs the cases of an area with both clients. Panics if they differ in a way that the list does not allow, and if the
/// list allows something of this area that has not been seen.
pub fn compare(area: &str, cases: Vec<Case>) {
    let Some(clients) = clients() else { return };
    let folder = host::fresh_folder();
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    for mut case in cases {
        case.name = format!("{area}: {}", case.name);
        assert!(
            names.insert(case.name.clone()),
            "two cases are called {}",
            case.name
        );
        host::remove(&folder);
        for (name, content) in &case.files {
            host::write(&folder.join(name), content);
        }
        let official = clients.run(Which::Official, &case, &folder);
        let ours = clients.run(Which::Ours, &case, &folder);
        found.extend(differences(&case, &official, &ours));
    }
    host::remove(&folder);
    let minor = clients.ours.minor;
    let list = || {
        ALLOWED.iter().filter(|entry| {
            entry.place.starts_with(&format!("{area}: ")) && entry.python.contains(&minor)
        })
    };
    let mut unused: Vec<&Allowed> = list().collect();
    let mut refused = Vec::new();
    for difference in found {
        let entry = list().find(|entry| entry.covers(&difference));
        match entry {
            Some(entry) => unused.retain(|other| !std::ptr::eq(*other, entry)),
            None => refused.push(difference.to_string()),
        }
    }
    let stale: Vec<String> = unused
        .iter()
        .map(|entry| format!("--- allowed but not seen: {entry:?}\n"))
        .collect();
    assert!(
        refused.is_empty() && stale.is_empty(),
        "{} differences that the list does not allow, {} of the list that were not seen, on Python 3.{minor}\n{}{}",
        refused.len(),
        stale.len(),
        refused.concat(),
        stale.concat()
    );
}

/// What a segment has of each part, and the order in which the parts took turns.
fn parts(segment: &Segment) -> BTreeMap<Part, String> {
    let mut parts = BTreeMap::<Part, String>::new();
    for (part, bytes) in segment {
        parts
            .entry(*part)
            .or_default()
            .push_str(std::str::from_utf8(bytes).expect("cleaned"));
        if parts.len() > 1 {
            parts
                .entry(Part::Order)
                .or_default()
                .push_str(&format!("{part:?} "));
        }
    }
    parts
}

fn differences(case: &Case, official: &[Segment], ours: &[Segment]) -> Vec<Difference> {
    let mut found = Vec::new();
    let labels =
        std::iter::once("init").chain(case.events.iter().map(|event| event.label.as_str()));
    // Who has ended sees no more events: that is one difference, and not one of each event.
    for ((label, theirs), ours) in labels.zip(official).zip(ours) {
        let (mut theirs, mut ours) = (parts(theirs), parts(ours));
        if !theirs.keys().eq(ours.keys()) {
            theirs.remove(&Part::Order);
            ours.remove(&Part::Order);
        }
        if !case.resumes {
            theirs.remove(&Part::Exit);
            ours.remove(&Part::Exit);
        }
        found.extend(difference(format!("{}/{label}", case.name), &theirs, &ours));
    }
    if !case.resumes {
        let [theirs, ours] = [official, ours].map(|segments| {
            let exit = segments
                .last()
                .and_then(|last| parts(last).remove(&Part::Exit))
                .unwrap_or_default();
            BTreeMap::from([(
                Part::Exit,
                format!("{exit} after {} events", segments.len() - 1),
            )])
        });
        found.extend(difference(format!("{}/end", case.name), &theirs, &ours));
    }
    found
}

fn difference(
    place: String,
    official: &BTreeMap<Part, String>,
    ours: &BTreeMap<Part, String>,
) -> Option<Difference> {
    let different = |one: &BTreeMap<Part, String>, other: &BTreeMap<Part, String>| {
        let parts = one
            .iter()
            .filter(|(part, text)| other.get(part) != Some(text));
        parts
            .map(|(part, text)| format!("{part:?}: {text}\n"))
            .collect::<String>()
    };
    let (official, ours) = (different(official, ours), different(ours, official));
    (!official.is_empty() || !ours.is_empty()).then_some(Difference {
        place,
        official,
        ours,
    })
}
