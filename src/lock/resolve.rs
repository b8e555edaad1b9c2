//! What a recipe asks for → the exact inputs: from the catalogue of sources, the base definitions, pip and apt.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oci::Digest;
use serde::Deserialize;

use super::{COMPAT, Lock, LockedBase, deciding_keys};
use crate::arch::Arch;
use crate::inputs::{Artifact, DebianPackages, Input, Origin, Reason, Store, pip};
use crate::process::ProcessError;
use crate::recipe::{BaseDefinition, Library, LibraryError, Recipe, SchemaError, Text};

/// Makes locks.
pub struct Resolver<'a> {
    /// Where the definitions lie.
    pub library: &'a Library,
    /// Where apt keeps its lists.
    pub store: &'a Store,
    /// The time that files of the image get, in seconds since 1970.
    pub epoch: u64,
    /// Who is asked again, and whose answers are taken from an earlier lock.
    pub asked: Asked<'a>,
    /// Takes the place of the catalogue on disk.
    pub catalogue: Option<Text>,
}

/// What is asked of others, or else taken from a lock.
#[derive(Clone, Copy, Default)]
pub struct Asked<'a> {
    /// Instead of pip's answer.
    pub sdk: Option<&'a Lock>,
    /// Instead of apt's answers.
    pub packages: Option<&'a Lock>,
}

impl<'a> Asked<'a> {
    /// Nobody: everything that others say comes from the lock.
    pub fn nobody(lock: &'a Lock) -> Self {
        Self {
            sdk: Some(lock),
            packages: Some(lock),
        }
    }
}

/// A recipe whose inputs cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The catalogue lacks a source.
    #[error("{} has no {name}{}", catalogue.display(), version.as_ref().map(|v| format!(" {v}")).unwrap_or_default())]
    NotListed {
        /// The catalogue.
        catalogue: PathBuf,
        /// What is missing.
        name: String,
        /// The version that was asked for.
        version: Option<String>,
    },
    /// The catalogue cannot be read.
    #[error("{} is not a catalogue of sources: {reason}", path.display())]
    Catalogue {
        /// The catalogue.
        path: PathBuf,
        /// What the parser says.
        reason: String,
    },
    /// A registry image that is not named by digest.
    #[error("{}: image.reference {reference:?} has no @sha256:… digest", path.display())]
    NoDigest {
        /// The base definition.
        path: PathBuf,
        /// What it says.
        reference: String,
    },
    /// A definition cannot be found.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// A definition cannot be used.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// pip found no set of wheels.
    #[error("cannot resolve {requirement}")]
    Wheels {
        /// Name and version, as pip reads them.
        requirement: String,
        /// What pip said.
        #[source]
        source: ProcessError,
    },
    /// pip's report cannot be understood.
    #[error("cannot read pip's report: {0}")]
    Report(String),
    /// apt found no set of packages.
    #[error("cannot resolve the packages of {base}")]
    Packages {
        /// The base definition.
        base: String,
        /// What apt said.
        #[source]
        source: Box<Reason>,
    },
}

impl ResolveError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotListed { catalogue, .. } => Some(format!("add its version, sha256 and origins to {}", catalogue.display())),
            Self::NoDigest { .. } => Some("pin the image: `skopeo inspect --format '{{.Digest}}' docker://REFERENCE` prints it".to_owned()),
            Self::Wheels { source, .. } => source.hint().or_else(|| Some("is there such a version, and does pip reach its index? Nothing was written".to_owned())),
            Self::Packages { source, .. } => source.hint().or_else(|| Some("does apt reach its mirror? Nothing was written".to_owned())),
            Self::Library(error) => error.hint(),
            _ => None,
        }
    }
}

/// By name: the versions of a source, best first.
pub(crate) type Catalogue = BTreeMap<String, Vec<Artifact>>;

impl Resolver<'_> {
    /// The lock of a recipe that lies at `path`.
    pub fn resolve(&self, recipe: &Recipe, path: &Path) -> Result<Lock, ResolveError> {
        let text = match &self.catalogue {
            Some(text) => text.clone(),
            None => self.library.sources(path)?,
        };
        let catalogue = parse_catalogue(&text.path, &text.text)?;
        let listed = |name: &str| {
            let artifacts = catalogue.get(name).cloned();
            let missing = || ResolveError::NotListed {
                catalogue: text.path.clone(),
                name: name.to_owned(),
                version: None,
            };
            artifacts
                .filter(|artifacts| !artifacts.is_empty())
                .ok_or_else(missing)
        };
        let input = |name: &str| {
            Ok::<_, ResolveError>(Input {
                name: name.to_owned(),
                artifacts: listed(name)?,
            })
        };
        let wanted = &recipe.python.version.0;
        let source = format!("cpython-{}", recipe.python.minor());
        let mut artifacts = listed(&source)?;
        artifacts.sort_by_key(|artifact| artifact.version != *wanted);
        if artifacts[0].version != *wanted {
            return Err(ResolveError::NotListed {
                catalogue: text.path,
                name: source,
                version: Some(wanted.clone()),
            });
        }
        let base = self.library.base(path, &recipe.base)?;
        let definition = BaseDefinition::parse(&base.path, &base.text)?;
        let stand_in = match &definition.stand_in {
            Some(name) => {
                let text = self.library.base(path, name)?;
                Some(self.base(&BaseDefinition::parse(&text.path, &text.text)?, &text.path)?)
            }
            None => None,
        };
        let both = [Arch::Amd64, Arch::Arm64];
        let per_arch = |source: &str, name: &str| {
            let one = |arch: Arch| {
                let artifacts = listed(&format!("{source}{arch}"))?;
                let name = name.to_owned();
                Ok::<_, ResolveError>((arch, Input { name, artifacts }))
            };
            both.into_iter().map(one).collect::<Result<_, _>>()
        };
        let series = recipe.python.series();
        let installers: &[&str] = if series.setuptools {
            &["pip", "setuptools"]
        } else {
            &["pip"]
        };
        // Packages of a program that uses libLLVM.
        let packages = |program: &str| -> BTreeMap<Arch, Vec<Input>> {
            let of = |arch: Arch| {
                let prefixes = [format!("{program}/{arch}/"), format!("libllvm/{arch}/")];
                let listed = catalogue.iter().filter_map(|(name, artifacts)| {
                    let package = prefixes
                        .iter()
                        .find_map(|prefix| name.strip_prefix(prefix))?;
                    Some(Input {
                        name: package.to_owned(),
                        artifacts: artifacts.clone(),
                    })
                });
                (arch, listed.collect())
            };
            both.map(of).into()
        };
        Ok(Lock {
            compat: COMPAT,
            epoch: self.epoch,
            recipe: deciding_keys(recipe),
            toolchain: per_arch("ziglang-", "zig")?,
            rust: packages("rust"),
            rust_std: per_arch("rust-std/", "rust-std")?,
            llvm: packages("llvm"),
            cpython: Input {
                name: "cpython".to_owned(),
                artifacts,
            },
            libraries: series
                .all_libraries()
                .into_iter()
                .map(input)
                .collect::<Result<_, _>>()?,
            installers: installers
                .iter()
                .map(|name| input(name))
                .collect::<Result<_, _>>()?,
            sdk: match self.asked.sdk {
                Some(lock) => lock.sdk.clone(),
                None => sdk(recipe)?,
            },
            base: self.base(&definition, &base.path)?,
            stand_in,
        })
    }

    fn base(&self, definition: &BaseDefinition, path: &Path) -> Result<LockedBase, ResolveError> {
        let mut system = BTreeMap::new();
        let mut packages = BTreeMap::new();
        for arch in [Arch::Amd64, Arch::Arm64] {
            let mut artifacts = Vec::new();
            if let Some(image) = &definition.image {
                let digest: Option<Digest> = image
                    .reference
                    .split_once('@')
                    .and_then(|(_, digest)| digest.parse().ok());
                let missing = || ResolveError::NoDigest {
                    path: path.into(),
                    reference: image.reference.clone(),
                };
                artifacts.push(Artifact {
                    version: image.version.0.clone(),
                    sha256: digest.ok_or_else(missing)?,
                    size: None,
                    subdir: None,
                    origins: vec![Origin::Oci {
                        reference: image.reference.clone(),
                        arch,
                    }],
                });
            }
            if let Some(rootfs) = &definition.rootfs {
                let file = match arch {
                    Arch::Amd64 => &rootfs.amd64,
                    Arch::Arm64 => &rootfs.arm64,
                };
                artifacts.push(Artifact {
                    version: rootfs.version.0.clone(),
                    sha256: file.sha256,
                    size: None,
                    subdir: None,
                    origins: vec![Origin::Url(file.url.clone())],
                });
            }
            if !artifacts.is_empty() {
                system.insert(
                    arch,
                    Input {
                        name: definition.name.clone(),
                        artifacts,
                    },
                );
            }
            if let Some(wanted) = &definition.packages {
                if let Some(known) = self.known_packages(definition, arch) {
                    packages.insert(arch, known);
                    continue;
                }
                let resolved =
                    DebianPackages::new(self.store).resolve(&wanted.suite, arch, &wanted.names);
                let resolved = resolved.map_err(|source| ResolveError::Packages {
                    base: definition.name.clone(),
                    source: Box::new(source),
                })?;
                packages.insert(arch, resolved);
            }
        }
        Ok(LockedBase {
            name: definition.name.clone(),
            title: definition.title.clone(),
            os_release: definition.os_release.clone(),
            glibc: definition.glibc.0.clone(),
            system,
            packages,
        })
    }
}

impl Resolver<'_> {
    /// The packages of a base in the lock that is not asked anew, if they are those of the same definition.
    fn known_packages(&self, definition: &BaseDefinition, arch: Arch) -> Option<Vec<Input>> {
        let lock = self.asked.packages?;
        let mut bases = std::iter::once(&lock.base).chain(&lock.stand_in);
        let base = bases.find(|base| base.name == definition.name)?;
        let packages = base.packages.get(&arch)?;
        let wanted = &definition.packages.as_ref()?.names;
        let has = |name: &String| packages.iter().any(|package| package.name == *name);
        wanted.iter().all(has).then(|| packages.clone())
    }
}

pub(crate) fn parse_catalogue(path: &Path, text: &str) -> Result<Catalogue, ResolveError> {
    let fault = |reason: String| ResolveError::Catalogue {
        path: path.into(),
        reason,
    };
    let value: serde_yaml::Value = serde_yaml::from_str(text).map_err(|e| fault(e.to_string()))?;
    serde_yaml::with::singleton_map_recursive::deserialize(value).map_err(|e| fault(e.to_string()))
}

/// pip's installation report, as far as it is needed.
#[derive(Deserialize)]
struct Report {
    install: Vec<Installed>,
}

#[derive(Deserialize)]
struct Installed {
    download_info: DownloadInfo,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct DownloadInfo {
    url: String,
    archive_info: ArchiveInfo,
}

#[derive(Deserialize)]
struct ArchiveInfo {
    hashes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

/// boto3 and everything it needs, as pip resolves it for the recipe's Python.
fn sdk(recipe: &Recipe) -> Result<Vec<Input>, ResolveError> {
    let requirement = format!("boto3=={}", recipe.sdk.boto3);
    newest_wheels(&recipe.python.minor(), &[], &requirement)
}

/// The newest wheels that meet a requirement, as pip resolves it for a series of Python, sorted by name.
pub fn newest_wheels(
    python: &str,
    more: &[&str],
    requirement: &str,
) -> Result<Vec<Input>, ResolveError> {
    let python = format!("--python-version={python}");
    let mut arguments = vec![
        "install",
        "--quiet",
        "--dry-run",
        "--ignore-installed",
        "--only-binary=:all:",
        "--report=-",
        "--target=.",
        "--implementation=cp",
        "--platform=any",
        &python,
        requirement,
    ];
    arguments.extend(more);
    let printed = pip(&arguments, Path::new(".")).map_err(|source| ResolveError::Wheels {
        requirement: requirement.to_owned(),
        source,
    })?;
    let report: Report =
        serde_json::from_slice(&printed.stdout).map_err(|e| ResolveError::Report(e.to_string()))?;
    let mut inputs: Vec<Input> = report
        .install
        .into_iter()
        .map(wheel)
        .collect::<Result<_, _>>()?;
    inputs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(inputs)
}

fn wheel(installed: Installed) -> Result<Input, ResolveError> {
    let Metadata { name, version } = installed.metadata;
    let hash = installed.download_info.archive_info.hashes.get("sha256");
    let sha256 = hash.and_then(|hex| format!("sha256:{hex}").parse().ok());
    let sha256 =
        sha256.ok_or_else(|| ResolveError::Report(format!("{name} {version} has no sha256")))?;
    // The address is a detail of the user's index; the file's name is what identifies the wheel there.
    let filename = installed
        .download_info
        .url
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let origin = Origin::Wheel {
        name: name.clone(),
        version: version.clone(),
        filename,
    };
    let artifact = Artifact {
        version,
        sha256,
        size: None,
        subdir: None,
        origins: vec![origin],
    };
    Ok(Input {
        name,
        artifacts: vec![artifact],
    })
}
