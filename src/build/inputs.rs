//! Lock → Inputs: every file of a build in the store, and what had to be taken instead of what the recipe asks for.

use std::fmt;

use oci::Digest;

use super::BuildError;
use crate::arch::Arch;
use crate::inputs::{FetchError, Fetched, Fetcher, Input};
use crate::lock::{Lock, LockedBase};
use crate::recipe::{Jit, Profile, Python};

/// What a build reads.
#[derive(Debug)]
pub struct Inputs {
    /// The compiler.
    pub toolchain: Fetched,
    /// The Rust compiler's packages.
    pub rust: Vec<Fetched>,
    /// Rust's standard library for the image's machine.
    pub rust_std: Fetched,
    /// The C library that another machine's interpreter is asked with, when the image is for another machine.
    pub foreign_libc: Option<Fetched>,
    /// LLVM's packages, for an interpreter with a JIT.
    pub llvm: Vec<Fetched>,
    /// The interpreter's source.
    pub cpython: Fetched,
    /// What programs do in it; nothing is fetched for it.
    pub profile: Option<Profile>,
    /// The C libraries' sources, in the lock's order.
    pub libraries: Vec<Fetched>,
    /// The wheels of pip and, where a Python has it from the start, setuptools.
    pub installers: Vec<Fetched>,
    /// The SDK's wheels.
    pub sdk: Vec<Fetched>,
    /// The operating system.
    pub base: BaseInputs,
    /// What is not as the recipe says.
    pub fallbacks: Vec<Fallback>,
}

/// A base's files.
#[derive(Debug)]
pub enum BaseInputs {
    /// An image's manifest or a root file system.
    System {
        /// What it must be.
        locked: LockedBase,
        /// The file.
        fetched: Box<Fetched>,
    },
    /// Debian packages.
    Packages {
        /// What they must amount to.
        locked: LockedBase,
        /// The files, in the lock's order.
        packages: Vec<Fetched>,
    },
}

/// Something taken instead of what the recipe asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// `cpython`, `base`.
    pub input: String,
    /// What the recipe asks for.
    pub wanted: String,
    /// What was taken.
    pub taken: String,
}

impl Inputs {
    /// Fetches everything that a lock names; the network is asked only for what the store does not have.
    pub fn fetch(
        python: &Python,
        lock: &Lock,
        arch: Arch,
        host: Arch,
        fetcher: &Fetcher,
        fallbacks: bool,
    ) -> Result<Self, BuildError> {
        let not_locked = |what: &str, arch| BuildError::NotLocked {
            what: what.to_owned(),
            arch,
        };
        let compiler = lock.toolchain.get(&host);
        let compiler = compiler.ok_or_else(|| not_locked("compiler", host))?;
        let rust_std = lock.rust_std.get(&arch);
        let rust_std = rust_std.ok_or_else(|| not_locked("Rust library", arch))?;
        let rust = lock.rust.get(&host);
        let rust = rust.ok_or_else(|| not_locked("Rust compiler", host))?;
        // Debian's, which serves programs of every earlier one; the compiler that runs there comes with it.
        let foreign_libc = lock.rust.get(&arch).filter(|_| arch != host);
        let mut foreign_libc = foreign_libc.into_iter().flatten();
        let foreign_libc = foreign_libc.find(|input| input.name == "libc6");
        let mut wanted = vec![compiler.clone(), lock.cpython.clone(), rust_std.clone()];
        let llvm = match python.jit {
            Jit::Disabled => &[],
            _ => lock.llvm.get(&host).map_or(&[][..], Vec::as_slice),
        };
        if python.jit != Jit::Disabled && llvm.is_empty() {
            return Err(not_locked("LLVM for the JIT", host));
        }
        wanted.extend(foreign_libc.cloned());
        wanted.extend(rust.iter().chain(llvm).chain(&lock.libraries).cloned());
        wanted.extend(lock.installers.iter().chain(&lock.sdk).cloned());
        let (files, base) = std::thread::scope(|scope| {
            let base = scope.spawn(|| BaseInputs::fetch(lock, arch, fetcher, fallbacks));
            (fetcher.fetch_all(&wanted), base.join())
        });
        let mut files = files?.into_iter();
        let (base, base_fallback) =
            base.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let mut next = || files.next().expect("one file per input");
        let (toolchain, cpython, rust_std) = (next(), next(), next());
        let foreign_libc = foreign_libc.map(|_| next());
        let mut many =
            |inputs: &[Input]| -> Vec<Fetched> { inputs.iter().map(|_| next()).collect() };
        let rust = many(rust);
        let llvm = many(llvm);
        let libraries = many(&lock.libraries);
        let installers = many(&lock.installers);
        let sdk = many(&lock.sdk);
        let all = [&toolchain, &cpython, &rust_std]
            .into_iter()
            .chain(&foreign_libc)
            .chain(rust.iter().chain(&llvm).chain(&libraries))
            .chain(installers.iter().chain(&sdk));
        let mut fallbacks: Vec<Fallback> = wanted
            .iter()
            .zip(all)
            .filter(|(_, fetched)| fetched.fallback)
            .map(|(input, fetched)| Fallback {
                input: input.name.clone(),
                wanted: input.artifacts[0].version.clone(),
                taken: fetched.artifact.version.clone(),
            })
            .collect();
        fallbacks.extend(base_fallback);
        Ok(Self {
            toolchain,
            rust,
            rust_std,
            foreign_libc,
            llvm,
            cpython,
            profile: None,
            libraries,
            installers,
            sdk,
            base,
            fallbacks,
        })
    }
}

impl BaseInputs {
    /// The base, or its stand-in when the base cannot be had.
    fn fetch(
        lock: &Lock,
        arch: Arch,
        fetcher: &Fetcher,
        fallbacks: bool,
    ) -> Result<(Self, Option<Fallback>), BuildError> {
        let asked = Self::of(&lock.base, arch, fetcher);
        let (error, stand_in) = match (asked, &lock.stand_in) {
            (Ok(base), _) => {
                let fallback = base.fallback();
                return Ok((base, fallback));
            }
            (Err(BuildError::Fetch(error @ FetchError::Unavailable(_))), Some(stand_in))
                if fallbacks =>
            {
                (error, stand_in)
            }
            (Err(error), _) => return Err(error),
        };
        match Self::of(stand_in, arch, fetcher) {
            Ok(base) => {
                let fallback = Fallback {
                    input: "base".to_owned(),
                    wanted: lock.base.title.clone(),
                    taken: stand_in.title.clone(),
                };
                Ok((base, Some(fallback)))
            }
            Err(BuildError::Fetch(second)) => Err(BuildError::NoBase {
                first: Box::new(error),
                second: Box::new(second),
            }),
            Err(other) => Err(other),
        }
    }

    fn of(locked: &LockedBase, arch: Arch, fetcher: &Fetcher) -> Result<Self, BuildError> {
        let locked = locked.clone();
        if let Some(input) = locked.system.get(&arch) {
            let fetched = Box::new(fetcher.fetch(input)?);
            return Ok(Self::System { locked, fetched });
        }
        let Some(inputs) = locked.packages.get(&arch) else {
            return Err(BuildError::NotLocked {
                what: format!("base {}", locked.name),
                arch,
            });
        };
        let packages = fetcher.fetch_all(inputs)?;
        Ok(Self::Packages { locked, packages })
    }

    fn fallback(&self) -> Option<Fallback> {
        let Self::System { locked, fetched } = self else {
            return None;
        };
        let wanted = &locked
            .system
            .values()
            .find(|input| input.name == fetched.name)?
            .artifacts[0]
            .version;
        fetched.fallback.then(|| Fallback {
            input: "base".to_owned(),
            wanted: format!("{} {wanted}", locked.title),
            taken: fetched.artifact.version.clone(),
        })
    }

    /// What the base must be.
    pub fn locked(&self) -> &LockedBase {
        match self {
            Self::System { locked, .. } | Self::Packages { locked, .. } => locked,
        }
    }

    /// What its files are.
    pub fn digests(&self) -> Vec<Digest> {
        match self {
            Self::System { fetched, .. } => vec![fetched.artifact.sha256],
            Self::Packages { packages, .. } => packages
                .iter()
                .map(|package| package.artifact.sha256)
                .collect(),
        }
    }
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "{}: {} instead of {}",
            self.input, self.taken, self.wanted
        )
    }
}
