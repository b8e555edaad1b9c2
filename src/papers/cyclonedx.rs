//! CycloneDX 1.6 as JSON. Source: <https://cyclonedx.org/docs/1.6/json/>.

use oci::Digest;
use serde_json::{Value, json};

use super::{Component, Kind, Subject, TOOL, ids};

/// The bill of materials.
pub fn document(subject: &Subject, components: &[Component]) -> Value {
    let ids = ids(components);
    let listed = components
        .iter()
        .zip(&ids)
        .map(|(component, id)| listed(component, id));
    let of = |wanted: fn(Kind) -> bool| -> Vec<&String> {
        let found = components
            .iter()
            .zip(&ids)
            .filter(|(component, _)| wanted(component.kind));
        found.map(|(_, id)| id).collect()
    };
    let mut dependencies =
        vec![json!({"ref": "image", "dependsOn": of(|kind| kind != Kind::Linked)})];
    if let [interpreter] = of(|kind| kind == Kind::Interpreter).as_slice() {
        dependencies
            .push(json!({"ref": interpreter, "dependsOn": of(|kind| kind == Kind::Linked)}));
    }
    let (tool, version) = TOOL;
    let mut document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": subject.created.rfc3339(),
            "tools": {"components": [{"type": "application", "name": tool, "version": version}]},
            "component": {
                "bom-ref": "image",
                "type": "container",
                "name": subject.name,
                "version": subject.version,
                "purl": subject.purl(),
                "hashes": hashes(&subject.digest.0),
                "properties": note(&subject.note()),
            },
        },
        "components": listed.collect::<Vec<_>>(),
        "dependencies": dependencies,
    });
    let digest = Digest::of(document.to_string().as_bytes());
    document["serialNumber"] = json!(format!("urn:uuid:{}", uuid(&digest)));
    document
}

fn listed(component: &Component, id: &str) -> Value {
    let mut listed = json!({
        "bom-ref": id,
        "type": match component.kind {
            Kind::OperatingSystem => "operating-system",
            Kind::Interpreter => "application",
            Kind::Package | Kind::Linked | Kind::Distribution => "library",
        },
        "name": component.name,
        "version": component.version,
    });
    let mut add = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            listed[key] = value;
        }
    };
    add(
        "supplier",
        component.supplier.as_ref().map(|who| json!({"name": who})),
    );
    add("purl", component.purl.as_ref().map(|purl| json!(purl)));
    add("cpe", component.cpe.as_ref().map(|cpe| json!(cpe)));
    let licences = component.licence.as_ref();
    add(
        "licenses",
        licences.map(|licence| json!([{"expression": licence.expression}])),
    );
    // The hash of a distribution's wheel and of a library's source is that of the file to fetch, not of what is inside.
    let source = |digest: &Digest| match &component.download {
        Some(url) => json!([{"type": "source-distribution", "url": url, "hashes": hashes(digest)}]),
        None => Value::Null,
    };
    let source = component
        .sha256
        .as_ref()
        .map(source)
        .filter(|source| !source.is_null());
    add("hashes", component.sha256.as_ref().map(hashes));
    add("externalReferences", source);
    add(
        "properties",
        Some(note(&component.note)).filter(|_| !component.note.is_empty()),
    );
    listed
}

fn hashes(digest: &Digest) -> Value {
    json!([{"alg": "SHA-256", "content": digest.hex()}])
}

fn note(note: &str) -> Value {
    json!([{"name": "imgbuild:note", "value": note}])
}

/// RFC 9562's version 8: bits of one's own, here those of a digest.
fn uuid(digest: &Digest) -> String {
    let hex = digest.hex();
    format!(
        "{}-{}-8{}-8{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..32]
    )
}
