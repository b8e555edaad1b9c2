//! What a recipe asks for → the exact inputs: from the catalogue of sources, the base definitions, pip and apt.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oci::Digest;

use super::wheels::sdk;
use super::{COMPAT, Lock, LockedBase, deciding_keys};
use crate::arch::Arch;
use crate::inputs::{Artifact, DebianPackages, Input, Origin, Reason, Store};
use crate::process::ProcessError;
use crate::recipe::{BaseDefinition, Library, LibraryError, Packages, Recipe, SchemaError, Text};

/// Makes locks.
pub struct Resolver<'a> {
    /// Where the definitions lie.
    pub library: &'a Library,
    /// Where apt keeps its lists.
    pub store: &'a Store,
    /// The time of the image, in seconds since 1970.
    pub created: u64,
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
    /// Whether what the lock has no answer for stays without one, too.
    pub nobody: bool,
}

impl<'a> Asked<'a> {
    /// Those who have to answer for what the recipe says now and did not say when the lock was made.
    pub fn again(lock: &'a Lock, recipe: &Recipe) -> Self {
        let keys = deciding_keys(recipe);
        let is_same = |key: &str| lock.recipe.get(key) == keys.get(key);
        // pip's answer is for a Python.
        let is_same_sdk = is_same("sdk.boto3") && is_same("python.version");
        Self {
            sdk: is_same_sdk.then_some(lock),
            packages: Some(lock),
            nobody: false,
        }
    }

    /// Nobody: everything that others say comes from the lock.
    pub fn nobody(lock: &'a Lock) -> Self {
        Self {
            sdk: Some(lock),
            packages: Some(lock),
            nobody: true,
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
            created: self.created,
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
                packages.insert(arch, self.packages(definition, wanted, arch)?);
            }
        }
        Ok(LockedBase {
            name: definition.name.clone(),
            title: definition.title.clone(),
            os_release: definition.os_release.clone(),
            glibc: definition.glibc.0.clone(),
            system,
            wanted: definition.packages.clone(),
            packages,
        })
    }

    /// apt's answer, or that of the lock that is not asked anew. Without an answer there are no packages, which no lock has.
    fn packages(
        &self,
        definition: &BaseDefinition,
        wanted: &Packages,
        arch: Arch,
    ) -> Result<Vec<Input>, ResolveError> {
        let bases = self
            .asked
            .packages
            .map(|lock| std::iter::once(&lock.base).chain(&lock.stand_in));
        let known = bases.and_then(|mut bases| bases.find(|base| base.name == definition.name));
        if let Some(known) =
            known.filter(|known| self.asked.nobody || known.wanted.as_ref() == Some(wanted))
        {
            return Ok(known.packages.get(&arch).cloned().unwrap_or_default());
        }
        if self.asked.nobody {
            return Ok(Vec::new());
        }
        let resolved = DebianPackages::new(self.store).resolve(&wanted.suite, arch, &wanted.names);
        resolved.map_err(|source| ResolveError::Packages {
            base: definition.name.clone(),
            source: Box::new(source),
        })
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
