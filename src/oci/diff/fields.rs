//! Two JSON documents, field by field.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Change;

/// The fields that differ, without the top ones in `skipped`; nothing for what is no JSON.
pub(super) fn between(old: &[u8], new: &[u8], skipped: &[&str]) -> Vec<Change> {
    let parsed = |bytes: &[u8]| -> Value {
        let mut value: Value = serde_json::from_slice(bytes).unwrap_or_default();
        if let Some(map) = value.as_object_mut() {
            skipped.iter().for_each(|key| drop(map.remove(*key)));
        }
        value
    };
    let mut changes = Vec::new();
    values("", &parsed(old), &parsed(new), &mut changes);
    changes
}

fn values(field: &str, old: &Value, new: &Value, changes: &mut Vec<Change>) {
    if old == new {
        return;
    }
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let inner = match field {
                    "" => key.clone(),
                    field => format!("{field}.{key}"),
                };
                let at = |map: &serde_json::Map<String, Value>| map.get(key).cloned();
                match (at(a), at(b)) {
                    (Some(old), Some(new)) => values(&inner, &old, &new, changes),
                    (old, new) => changes.push(Change {
                        field: inner,
                        old: old.as_ref().map(text),
                        new: new.as_ref().map(text),
                    }),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (old, new)) in a.iter().zip(b).enumerate() {
                values(&format!("{field}[{i}]"), old, new, changes);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            let only = |these: &[Value], those: &[Value]| -> Vec<String> {
                these
                    .iter()
                    .filter(|item| !those.contains(item))
                    .map(text)
                    .collect()
            };
            changes.extend(
                only(a, b)
                    .into_iter()
                    .map(|old| Change::removed(field, old)),
            );
            changes.extend(only(b, a).into_iter().map(|new| Change::added(field, new)));
        }
        _ => changes.push(Change::new(field, text(old), text(new))),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_by_their_way_from_the_top() {
        let old = br#"{"a": {"b": [1, 2], "c": "x"}, "env": ["A=1", "B=2"], "layers": 1}"#;
        let new = br#"{"a": {"b": [1, 3]}, "env": ["B=2", "C=3", "D=4"], "layers": 2}"#;
        let shown: Vec<String> = between(old, new, &["layers"])
            .into_iter()
            .map(|change| format!("{} {:?} {:?}", change.field, change.old, change.new))
            .collect();
        assert_eq!(
            shown,
            [
                r#"a.b[1] Some("2") Some("3")"#,
                r#"a.c Some("x") None"#,
                r#"env Some("A=1") None"#,
                r#"env None Some("C=3")"#,
                r#"env None Some("D=4")"#,
            ]
        );
        assert_eq!(between(old, old, &[]), []);
        assert_eq!(between(b"{", b"[", &[]), []);
    }
}
