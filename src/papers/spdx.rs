//! SPDX 2.3 as JSON. Source: <https://spdx.github.io/spdx-spec/v2.3/>.

use std::collections::BTreeMap;

use oci::Digest;
use serde_json::{Value, json};

use super::{Component, Kind, Subject, TOOL, ids};

const UNKNOWN: &str = "NOASSERTION";

/// The bill of materials.
pub fn document(subject: &Subject, components: &[Component]) -> Value {
    let ids = ids(components);
    let mut packages = vec![image(subject)];
    packages.extend(
        components
            .iter()
            .zip(&ids)
            .map(|(component, id)| package(component, id)),
    );
    let relation = |from: &str, kind: &str, to: &str| json!({"spdxElementId": reference(from), "relationshipType": kind, "relatedSpdxElement": reference(to)});
    let mut relationships = vec![relation("DOCUMENT", "DESCRIBES", "image")];
    let interpreter = components
        .iter()
        .position(|component| component.kind == Kind::Interpreter);
    for (component, id) in components.iter().zip(&ids) {
        relationships.push(relation("image", "CONTAINS", id));
        if let (Kind::Linked, Some(interpreter)) = (component.kind, interpreter) {
            relationships.push(relation(&ids[interpreter], "STATIC_LINK", id));
        }
    }
    let (tool, version) = TOOL;
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "SPDXID": reference("DOCUMENT"),
        "dataLicense": "CC0-1.0",
        "name": subject.name,
        "creationInfo": {
            "created": subject.created.rfc3339(),
            "creators": [format!("Tool: {tool}-{version}")],
        },
        "packages": packages,
        "relationships": relationships,
        "hasExtractedLicensingInfos": extracted(components),
    });
    let digest = Digest::of(document.to_string().as_bytes());
    document["documentNamespace"] = json!(format!(
        "https://imgbuild.io/spdx/{}-{}",
        subject.name,
        digest.hex()
    ));
    document
}

fn image(subject: &Subject) -> Value {
    json!({
        "SPDXID": reference("image"),
        "name": subject.name,
        "versionInfo": subject.version,
        "supplier": "Organization: imgbuild",
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": false,
        "primaryPackagePurpose": "CONTAINER",
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": UNKNOWN,
        "copyrightText": UNKNOWN,
        "checksums": [checksum(&subject.digest.0)],
        "externalRefs": purl(subject.purl().as_deref()),
        "comment": subject.note(),
    })
}

fn package(component: &Component, id: &str) -> Value {
    let licence = component.licence.as_ref();
    let mut references = purl(component.purl.as_deref());
    references.extend(component.cpe.as_deref().map(|cpe| {
        json!({"referenceCategory": "SECURITY", "referenceType": "cpe23Type", "referenceLocator": cpe})
    }));
    let mut package = json!({
        "SPDXID": reference(id),
        "name": component.name,
        "versionInfo": component.version,
        "supplier": component.supplier.as_ref().map_or(UNKNOWN.to_owned(), |who| format!("Organization: {who}")),
        "downloadLocation": component.download.as_deref().unwrap_or(UNKNOWN),
        "filesAnalyzed": false,
        "primaryPackagePurpose": match component.kind {
            Kind::OperatingSystem => "OPERATING-SYSTEM",
            Kind::Interpreter => "APPLICATION",
            Kind::Package | Kind::Linked | Kind::Distribution => "LIBRARY",
        },
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": licence.map_or(UNKNOWN, |licence| licence.expression.as_str()),
        "copyrightText": UNKNOWN,
    });
    if !references.is_empty() {
        package["externalRefs"] = json!(references);
    }
    if let Some(digest) = &component.sha256 {
        package["checksums"] = json!([checksum(digest)]);
    }
    if !component.note.is_empty() {
        package["comment"] = json!(component.note);
    }
    package
}

/// The licences that SPDX has no name for: what the packages call them.
fn extracted(components: &[Component]) -> Vec<Value> {
    let licences = components
        .iter()
        .filter_map(|component| component.licence.as_ref());
    let refs: BTreeMap<&String, &String> = licences.flat_map(|licence| &licence.refs).collect();
    refs.into_iter()
        .map(|(id, name)| {
            json!({"licenseId": id, "name": name, "extractedText": format!("As the package declares it: {name}")})
        })
        .collect()
}

fn purl(purl: Option<&str>) -> Vec<Value> {
    let reference = |purl| json!({"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl});
    purl.map(reference).into_iter().collect()
}

fn checksum(digest: &Digest) -> Value {
    json!({"algorithm": "SHA256", "checksumValue": digest.hex()})
}

fn reference(id: &str) -> String {
    format!("SPDXRef-{id}")
}
