"""The papers of an image, read by the tools of the standards they follow.

check.py boms SPDX CYCLONEDX ADVISORIES   validates both, and prints as JSON what is in them and which advisories apply
check.py provenance FILE                  validates the statement, and prints it as JSON

ADVISORIES is a file of advisories as OSV writes them: {"id", "affected": [{"package": {"purl"}, "versions": […]}]}, or
with {"cpe"} in the place of the purl. What does not validate ends with the tool's own words.
"""

import json
import sys

from packageurl import PackageURL


def spdx(path):
    from ntia_conformance_checker import SbomChecker
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    document = parse_file(path)
    faults = [fault.validation_message for fault in validate_full_spdx_document(document)]
    assert not faults, "\n".join(faults)
    ntia = SbomChecker(path)
    assert ntia.compliant, ntia.output_json()
    found = []
    for package in document.packages:
        names = {reference.reference_type: reference.locator for reference in package.external_references}
        found.append({
            "name": package.name,
            "version": package.version,
            "licence": str(package.license_declared),
            "purl": names.get("purl"),
            "cpe": names.get("cpe23Type"),
            "supplier": package.supplier.name,
            "sha256": next((sum.value for sum in package.checksums), None),
            "comment": package.comment,
        })
    return found


def cyclonedx(path):
    from cyclonedx.model.bom import Bom
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    with open(path) as file:
        text = file.read()
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert fault is None, fault
    bom = Bom.from_json(json.loads(text))
    bom.validate()
    return [
        {"name": one.name, "version": one.version, "purl": one.purl and str(one.purl), "cpe": one.cpe}
        for one in [bom.metadata.component, *bom.components]
    ]


def applies(package, component):
    """Whether a component is the package of an advisory, as scanners match them."""
    if "cpe" in package:
        return component["cpe"] is not None and component["cpe"].split(":")[:5] == package["cpe"].split(":")[:5]
    if component["purl"] is None:
        return False
    wanted, is_ = (PackageURL.from_string(purl) for purl in (package["purl"], component["purl"]))
    return (wanted.type, wanted.namespace, wanted.name) == (is_.type, is_.namespace, is_.name)


def scan(components, advisories):
    return sorted({
        advisory["id"]
        for advisory in advisories
        for affected in advisory["affected"]
        for component in components
        if applies(affected["package"], component) and component["version"] in affected["versions"]
    })


def provenance(path):
    from google.protobuf import json_format
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
    from in_toto_attestation.v1.statement import Statement

    with open(path) as file:
        document = json.load(file)
    statement = json_format.ParseDict(document, statement_pb2.Statement())
    Statement.copy_from_pb(statement).validate()
    assert statement.predicate_type == "https://slsa.dev/provenance/v1", statement.predicate_type
    # A field that SLSA does not know is an error of the parser.
    predicate = json_format.ParseDict(document["predicate"], provenance_pb2.Provenance())
    definition, details = predicate.build_definition, predicate.run_details
    for dependency in [*definition.resolved_dependencies, *details.byproducts]:
        ResourceDescriptor.copy_from_pb(dependency).validate()
    assert definition.build_type and details.builder.id, "SLSA requires a build type and a builder"
    assert definition.external_parameters.fields, "SLSA requires the external parameters"
    return document


if sys.argv[1] == "provenance":
    print(json.dumps(provenance(sys.argv[2])))
else:
    with open(sys.argv[4]) as file:
        advisories = json.load(file)
    boms = {"spdx": spdx(sys.argv[2]), "cyclonedx": cyclonedx(sys.argv[3])}
    for components in boms.values():
        for component in components:
            if component["purl"]:
                PackageURL.from_string(component["purl"])
    found = {name: scan(components, advisories) for name, components in boms.items()}
    print(json.dumps({**boms, "advisories": found}))
