//! Text to checked values: YAML with one clear error that names the file, the line and what to do.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde_yaml::Value;

/// A recipe or definition that cannot be used as it is written.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {message}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct SchemaError {
    /// The file, or what was given instead of one.
    pub path: PathBuf,
    /// Counted from 1, where it is known.
    pub line: Option<usize>,
    message: String,
    hint: Option<String>,
}

impl SchemaError {
    /// What the author of the file can do.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// A rule that the key at `key` (dotted) breaks; the line is looked up in `text`.
    pub fn at(
        path: &Path,
        text: &str,
        key: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            line: line_of(text, key),
            message: message.into(),
            hint: Some(hint.into()),
        }
    }
}

/// Files that people write are small; a larger one is not what was meant.
const MAX_SIZE: usize = 1 << 20;

/// Parses `text`, after replacing the keys in `overrides` (dotted key, value).
///
/// Errors name the line of the text, or the override.
pub fn parse<T: DeserializeOwned>(
    path: &Path,
    text: &str,
    overrides: &[(String, String)],
) -> Result<T, SchemaError> {
    let error = |line, message, hint| SchemaError {
        path: path.into(),
        line,
        message,
        hint,
    };
    if text.len() > MAX_SIZE {
        return Err(error(
            None,
            format!("{} bytes is too large for a definition", text.len()),
            None,
        ));
    }
    let convert = |e: serde_yaml::Error| {
        let line = e.location().map(|location| location.line());
        let message = e.to_string();
        let message = message
            .split(" at line ")
            .next()
            .unwrap_or(&message)
            .to_owned();
        let hint = hint_for(&message);
        error(line, message, hint)
    };
    // The text is read on its own first, so that a fault in it is reported with its line.
    let read: T = serde_yaml::from_str(text).map_err(convert)?;
    if overrides.is_empty() {
        return Ok(read);
    }
    let mut value: Value = serde_yaml::from_str(text).map_err(convert)?;
    for (key, new) in overrides {
        let mut place = &mut value;
        for part in key.split('.') {
            place = match place.as_mapping_mut().and_then(|map| map.get_mut(part)) {
                Some(found) => found,
                None => {
                    let hint = format!(
                        "keys that can be set: {}",
                        keys(&serde_yaml::from_str(text).map_err(convert)?).join(", ")
                    );
                    return Err(error(
                        None,
                        format!("--set {key}={new}: there is no key {key}"),
                        Some(hint),
                    ));
                }
            };
        }
        *place = Value::String(new.clone());
    }
    serde_yaml::from_value(value).map_err(|e| {
        let given: Vec<String> = overrides
            .iter()
            .map(|(key, new)| format!("--set {key}={new}"))
            .collect();
        let message = format!("{}: {e}", given.join(" "));
        let hint = hint_for(&message);
        error(None, message, hint)
    })
}

/// The text with another value at a dotted key; comments and everything else stay. `None` where the key does not stand on
/// a line of its own with the value `old`.
pub fn replaced(text: &str, key: &str, old: &str, new: &str) -> Option<String> {
    let number = line_of(text, key)?;
    let name = format!("{}:", key.rsplit('.').next()?);
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let line = lines.get_mut(number - 1)?;
    let (head, value) = line.split_at(line.find(&name)? + name.len());
    let quoted = [format!("\"{old}\""), format!("'{old}'")];
    let found = quoted
        .iter()
        .find(|quoted| value.trim_start().starts_with(*quoted))?;
    *line = format!("{head}{}", value.replacen(found, &format!("\"{new}\""), 1));
    Some(lines.concat())
}

/// Every leaf of a document as a dotted key, in the document's order.
pub fn keys(value: &Value) -> Vec<String> {
    let Some(map) = value.as_mapping() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (key, value) in map {
        let Some(key) = key.as_str() else { continue };
        let inner = keys(value);
        if inner.is_empty() {
            found.push(key.to_owned());
        }
        found.extend(inner.into_iter().map(|rest| format!("{key}.{rest}")));
    }
    found
}

fn hint_for(message: &str) -> Option<String> {
    if message.contains("unknown field") {
        return Some("remove or correct the key; recipes/README.md lists all of them".to_owned());
    }
    if message.contains("unknown variant") {
        return Some("recipes/README.md lists the values of each key".to_owned());
    }
    if message.contains("is a number in YAML") {
        return Some("write versions in quotes: version: \"3.13.16\"".to_owned());
    }
    None
}

/// The line on which the dotted key stands, counted from 1.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let mut wanted = key.split('.').peekable();
    let mut depth = 0;
    for (number, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        if let Some(part) = wanted.peek()
            && indent >= depth
            && line
                .trim_start()
                .strip_prefix(*part)
                .is_some_and(|rest| rest.starts_with(':'))
        {
            wanted.next();
            depth = indent + 1;
            if wanted.peek().is_none() {
                return Some(number + 1);
            }
        }
    }
    None
}

/// A version, which YAML would read as a number where it is not quoted: `3.10` is the float 3.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(pub String);

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Version;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a version in quotes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Version, E> {
                let plain = |c: char| c.is_ascii_alphanumeric() || ".+-_".contains(c);
                if text.is_empty()
                    || !text.starts_with(|c: char| c.is_ascii_digit())
                    || !text.chars().all(plain)
                {
                    return Err(E::custom(format!("{text:?} is not a version")));
                }
                Ok(Version(text.to_owned()))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Version, E> {
                Err(E::custom(format!(
                    "an unquoted version is a number in YAML, here {number}"
                )))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Version, E> {
                self.visit_f64(number as f64)
            }
        }

        deserializer.deserialize_any(Text)
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_nested_key() {
        let text = "name: x\npython:\n  version: \"3\"\n  jit: enabled\nsdk:\n  version: \"1\"\n";
        assert_eq!(line_of(text, "python.jit"), Some(4));
        assert_eq!(line_of(text, "sdk.version"), Some(6));
        assert_eq!(line_of(text, "sdk.jit"), None);
    }

    #[test]
    fn a_value_is_replaced_and_nothing_else() {
        let text = "# \"1.0\"\nsdk:\n  boto3:   '1.0'  # not \"1.0\" any more\nlast: \"1.0\"";
        let expected = "# \"1.0\"\nsdk:\n  boto3:   \"1.1\"  # not \"1.0\" any more\nlast: \"1.0\"";
        assert_eq!(
            replaced(text, "sdk.boto3", "1.0", "1.1").as_deref(),
            Some(expected)
        );
        assert_eq!(replaced(text, "sdk.boto3", "1.2", "1.3"), None);
        assert_eq!(
            replaced("sdk: {boto3: \"1.0\"}", "sdk.boto3", "1.0", "1.1"),
            None
        );
    }
}
