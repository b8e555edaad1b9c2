//! SLSA provenance 1 in an in-toto statement 1: what was asked for, from which bytes of which places, by which steps.
//! Sources: <https://slsa.dev/spec/v1.0/provenance>, <https://github.com/in-toto/attestation/tree/main/spec/v1>.

use oci::Digest;
use serde_json::{Value, json};

use super::component::purl;
use super::{Subject, TOOL};
use crate::build::{BaseInputs, Inputs, StepRecord};
use crate::build::{HOST_TOOLS, Isolation, SANDBOX_PROGRAM};
use crate::inputs::{Fetched, Origin, Place, url_without_login};
use crate::lock::Lock;
use crate::process::{Process, ProcessError};

/// The type of the statement's predicate.
pub const PREDICATE: &str = "https://slsa.dev/provenance/v1";
const BUILD_TYPE: &str = "https://imgbuild.io/build/v1";
const BUILDER: &str = "https://imgbuild.io/builder";

/// What a build was told and what it did.
pub struct Provenance<'a> {
    /// The recipe's name.
    pub recipe: &'a str,
    /// The recipe's text.
    pub recipe_text: &'a str,
    /// The keys that `--set` replaced.
    pub set: &'a [(String, String)],
    /// The lock.
    pub lock: &'a Lock,
    /// The inputs, each with the place that gave it.
    pub inputs: &'a Inputs,
    /// Every step, run or found.
    pub steps: &'a [StepRecord],
    /// The machine.
    pub host: &'a HostFacts,
}

/// What of the machine that builds may matter to what is built: programs that build scripts start from it.
#[derive(Clone, Debug)]
pub struct HostFacts(Vec<(String, String)>);

impl HostFacts {
    /// Asks the programs, with that of the sandbox; or says that there was none.
    pub fn ask(isolation: Isolation) -> Result<Self, ProcessError> {
        let sandbox = (isolation == Isolation::On).then_some(SANDBOX_PROGRAM);
        let facts = HOST_TOOLS.iter().chain(&sandbox).map(|(program, package)| {
            let printed = Process::cleared(program)
                .package(package)
                .arg("--version")
                .run()?;
            let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
            let line = printed.lines().map(str::trim).find(|line| !line.is_empty());
            Ok(((*program).to_owned(), line.unwrap_or_default().to_owned()))
        });
        let mut facts = facts.collect::<Result<Vec<_>, _>>()?;
        if sandbox.is_none() {
            facts.push(("sandbox".to_owned(), "off".to_owned()));
        }
        Ok(Self(facts))
    }
}

/// The statement. `byproducts` are the other papers: name, media type, bytes.
pub fn document(
    subject: &Subject,
    provenance: &Provenance,
    byproducts: &[(String, &str, &[u8])],
) -> Value {
    let Provenance {
        lock, inputs, host, ..
    } = provenance;
    let set: serde_json::Map<String, Value> = provenance
        .set
        .iter()
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    let steps = provenance
        .steps
        .iter()
        .map(|step| json!({"title": step.title, "key": step.key, "outputs": step.outputs}));
    let base = match &inputs.base {
        BaseInputs::System { fetched, .. } => std::slice::from_ref(&**fetched),
        BaseInputs::Packages { packages, .. } => packages.as_slice(),
    };
    let compilers = [&inputs.toolchain, &inputs.rust_std]
        .into_iter()
        .chain(&inputs.foreign_libc)
        .chain(&inputs.rust)
        .chain(&inputs.llvm);
    let sources = std::iter::once(&inputs.cpython).chain(&inputs.libraries);
    let wheels = inputs.installers.iter().chain(&inputs.sdk);
    let dependencies = compilers
        .chain(sources)
        .chain(wheels)
        .chain(base)
        .map(dependency);
    let byproducts = byproducts.iter().map(|(name, media_type, bytes)| {
        json!({"name": name, "mediaType": media_type, "digest": sha256(&Digest::of(bytes))})
    });
    let (tool, version) = TOOL;
    let text = Digest::of(provenance.recipe_text.as_bytes());
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": subject.name, "digest": sha256(&subject.digest.0)}],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "recipe": {"name": provenance.recipe, "digest": sha256(&text)},
                    "set": set,
                    "arch": subject.arch,
                    "created": subject.created.seconds(),
                },
                "internalParameters": {
                    "compat": lock.compat,
                    "lock": {"digest": sha256(&lock.digest())},
                    "glibc": lock.base.glibc,
                    "compilers": {
                        "zig": inputs.toolchain.artifact.version,
                        "rust": inputs.rust_std.artifact.version,
                    },
                    "host": host.0.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
                    "fallbacks": subject.fallbacks,
                    "steps": steps.collect::<Vec<_>>(),
                },
                "resolvedDependencies": dependencies.collect::<Vec<_>>(),
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {tool: version}},
                "byproducts": byproducts.collect::<Vec<_>>(),
            },
        },
    })
}

/// An input: what it is, and where its bytes came from when they were fetched.
fn dependency(fetched: &Fetched) -> Value {
    let artifact = &fetched.artifact;
    let (from, uri) = match &fetched.place {
        Some(Place::Origin(origin)) => (origin.to_string(), uri(origin)),
        Some(Place::Mirror(file)) => (format!("{file} of a mirror folder"), None),
        None => ("not recorded: it was in the cache already".to_owned(), None),
    };
    let mut dependency = json!({
        "name": fetched.name,
        "digest": sha256(&artifact.sha256),
        "annotations": {"version": artifact.version, "from": from},
    });
    if let Some(uri) = uri {
        dependency["uri"] = json!(uri);
    }
    dependency
}

/// As an address, or a package URL where the registry is a matter of the user's configuration.
fn uri(origin: &Origin) -> Option<String> {
    match origin {
        Origin::Url(url) => Some(url_without_login(url)),
        Origin::Oci { reference, .. } => Some(format!("oci://{reference}")),
        Origin::Wheel {
            name,
            version,
            filename,
        } => purl("pypi", None, name, version, &[("file_name", filename)]),
        Origin::Crate { name, version } => purl("cargo", None, name, version, &[]),
        Origin::DebianSource {
            package,
            version,
            suite,
            ..
        } => {
            let qualifiers = [("arch", "source"), ("distro", suite.as_str())];
            purl("deb", Some("debian"), package, version, &qualifiers)
        }
        Origin::DebianPackage {
            package,
            version,
            suite,
            arch,
            ..
        } => {
            let qualifiers = [("arch", arch.as_str()), ("distro", suite.as_str())];
            purl("deb", Some("debian"), package, version, &qualifiers)
        }
        // A path says nothing to anybody else.
        Origin::File(_) => None,
    }
}

fn sha256(digest: &Digest) -> Value {
    json!({"sha256": digest.hex()})
}
