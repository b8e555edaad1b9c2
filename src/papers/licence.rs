//! Licences as packages declare them → SPDX expressions. What SPDX has no name for becomes a `LicenseRef-…` that keeps
//! the package's own word; nothing is guessed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// An SPDX licence expression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    /// The expression: `MIT AND LicenseRef-public-domain`.
    pub expression: String,
    /// What its `LicenseRef-…` stand for, as the package says it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refs: BTreeMap<String, String>,
}

/// What Debian and Fedora called licences before they used SPDX's names.
const OLD_NAMES: [(&str, &str); 9] = [
    ("apache license 2.0", "Apache-2.0"),
    ("asl 2.0", "Apache-2.0"),
    ("expat", "MIT"),
    ("gplv2", "GPL-2.0-only"),
    ("gplv2+", "GPL-2.0-or-later"),
    ("gplv3+", "GPL-3.0-or-later"),
    ("lgplv2+", "LGPL-2.0-or-later"),
    ("lgplv2.1+", "LGPL-2.1-or-later"),
    ("lgplv3+", "LGPL-3.0-or-later"),
];

impl Licence {
    /// An expression of this program's own, which is known to be right.
    pub fn known(expression: &str) -> Self {
        Self {
            expression: expression.to_owned(),
            refs: BTreeMap::new(),
        }
    }

    /// What a package declares in one field: an SPDX expression, or names joined by `and` and `or`.
    pub fn declared(text: &str) -> Option<Self> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.is_empty() || text.eq_ignore_ascii_case("unknown") {
            return None;
        }
        if spdx::Expression::parse(&text).is_ok() {
            let words = text.split(' ').map(|word| match word {
                "and" | "or" | "with" => word.to_uppercase(),
                word => word.to_owned(),
            });
            return Some(Self::known(&words.collect::<Vec<_>>().join(" ")));
        }
        if text.contains(['(', ')']) {
            return Some(named(&text));
        }
        // Debian: a comma makes `and` weaker than the `or` before it.
        let parts = text.split(", and ").map(|part| {
            let choices = part.split(" or ").map(|choice| {
                let terms = choice
                    .split(" and ")
                    .map(|name| term(name.trim().trim_end_matches(',')));
                join(terms.collect(), "AND")
            });
            join(choices.collect(), "OR")
        });
        Some(join(parts.collect(), "AND"))
    }

    /// One that only its text describes.
    pub fn described(name: &str, what: &str) -> Self {
        let mut licence = named(name);
        licence
            .refs
            .values_mut()
            .for_each(|text| *text = what.to_owned());
        licence
    }

    /// All of these.
    pub fn all(licences: impl IntoIterator<Item = Self>) -> Option<Self> {
        let licences: Vec<Self> = licences.into_iter().collect();
        (!licences.is_empty()).then(|| join(licences, "AND"))
    }

    /// What Debian's machine-readable copyright file says of all of a package's files; `None` for one that only people
    /// can read.
    pub fn of_copyright(text: &str) -> Option<Self> {
        if !text.starts_with("Format:") && !text.starts_with("Format-Specification:") {
            return None;
        }
        let names: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("License:"))
            .map(str::trim)
            .filter(|name| !name.is_empty() && *name != "none")
            .collect();
        Self::all(names.into_iter().filter_map(Self::declared))
    }
}

/// One name.
fn term(name: &str) -> Licence {
    let known = spdx::identifiers::LICENSES
        .iter()
        .find(|licence| licence.name.eq_ignore_ascii_case(name) && !is_gnu(name));
    if let Some(licence) = known {
        return Licence::known(licence.name);
    }
    let lower = name.to_ascii_lowercase();
    if let Some((_, expression)) = OLD_NAMES.iter().find(|(old, _)| *old == lower) {
        return Licence::known(expression);
    }
    gnu(name).map_or_else(|| named(name), |found| Licence::known(&found))
}

fn is_gnu(name: &str) -> bool {
    ["GPL-", "LGPL-", "AGPL-", "GFDL-"]
        .iter()
        .any(|start| name.starts_with(start))
        && !name.ends_with("-only")
        && !name.ends_with("-or-later")
}

/// `GPL-2+` → `GPL-2.0-or-later`, `LGPL-2.1` → `LGPL-2.1-only`.
fn gnu(name: &str) -> Option<String> {
    let (family, version) = name.split_once('-').filter(|_| is_gnu(name))?;
    let (version, suffix) = match version.strip_suffix('+') {
        Some(version) => (version, "or-later"),
        None => (version, "only"),
    };
    let version = if version.contains('.') {
        version.to_owned()
    } else {
        format!("{version}.0")
    };
    let id = format!("{family}-{version}-{suffix}");
    spdx::license_id(&id).map(|licence| licence.name.to_owned())
}

/// A name that SPDX does not have.
fn named(name: &str) -> Licence {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c
        } else {
            '-'
        }
    };
    let words: String = name.chars().map(plain).collect();
    let id = format!("LicenseRef-{}", words.trim_matches('-'));
    Licence {
        expression: id.clone(),
        refs: [(id, name.to_owned())].into(),
    }
}

/// Each once, the order kept; a choice inside a sum gets its parentheses.
fn join(licences: Vec<Licence>, operator: &str) -> Licence {
    let mut seen = BTreeSet::new();
    let mut parts = Vec::new();
    let mut refs = BTreeMap::new();
    for licence in licences {
        refs.extend(licence.refs);
        let expression = licence.expression.as_str();
        // A sum of sums is one sum.
        let terms: Vec<&str> = match expression.contains(" OR ") {
            false if operator == "AND" => expression.split(" AND ").collect(),
            _ => vec![expression],
        };
        for term in terms {
            if seen.insert(term.to_owned()) {
                parts.push(term.to_owned());
            }
        }
    }
    if parts.len() > 1 {
        let inner = [" AND ", " OR "];
        for part in &mut parts {
            if inner.iter().any(|inner| part.contains(inner)) {
                *part = format!("({part})");
            }
        }
    }
    Licence {
        expression: parts.join(&format!(" {operator} ")),
        refs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_become_expressions() {
        for (declared, expected) in [
            ("MIT", "MIT"),
            ("Expat", "MIT"),
            ("BSD-3-clause", "BSD-3-Clause"),
            ("GPL-2+", "GPL-2.0-or-later"),
            ("GPL-2", "GPL-2.0-only"),
            ("LGPL-2.1+", "LGPL-2.1-or-later"),
            (
                "GPL-1+ or Artistic",
                "GPL-1.0-or-later OR LicenseRef-Artistic",
            ),
            (
                "LGPL-3+ or GPL-2+, and ISC",
                "(LGPL-3.0-or-later OR GPL-2.0-or-later) AND ISC",
            ),
            ("GPLv2+ and BSD", "GPL-2.0-or-later AND LicenseRef-BSD"),
            (
                "GPL-3+ with Bison exception",
                "LicenseRef-GPL-3--with-Bison-exception",
            ),
            ("(GPLv2 or BSD) and Odd", "LicenseRef-GPLv2-or-BSD--and-Odd"),
            ("Apache License 2.0", "Apache-2.0"),
            ("MIT and (ISC or Zlib)", "MIT AND (ISC OR Zlib)"),
            (
                "Apache-2.0 WITH LLVM-exception",
                "Apache-2.0 WITH LLVM-exception",
            ),
        ] {
            let licence = Licence::declared(declared).unwrap();
            assert_eq!(licence.expression, expected, "{declared}");
            spdx::Expression::parse(&licence.expression).unwrap();
        }
        assert_eq!(Licence::declared(" "), None);
    }

    #[test]
    fn a_copyright_file_is_all_of_its_paragraphs() {
        let text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
                    Files: *\nLicense: GPL-2+\n\nFiles: a\nLicense: Expat or ISC\n\nLicense: GPL-2+\n text\n";
        let licence = Licence::of_copyright(text).unwrap();
        assert_eq!(licence.expression, "(MIT OR ISC) AND GPL-2.0-or-later");
        let text = "Format: x\nLicense: ISC and MIT\nLicense: MIT\n";
        let licence = Licence::of_copyright(text).unwrap();
        assert_eq!(licence.expression, "ISC AND MIT");
        assert_eq!(
            Licence::of_copyright("It was packaged by\nLicense: GPL-2"),
            None
        );
    }
}
