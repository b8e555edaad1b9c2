//! Debian sources and packages, through apt: without root, without touching the system, from any suite.
//!
//! The machine's own apt configuration says where its mirrors are; the suite's lists go to `apt/<name>/` in the store
//! and are refreshed only when a file cannot be had with those that are there, once per run. Only the tarballs of a
//! source are asked for: mirrors drop the rest early.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use fs_err as fs;

use super::lock::Lock;
use super::origins::Reason;
use super::{Store, StoreError};
use crate::process::{Captured, Process};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// apt, set up for this run.
pub(super) struct Apt<'s> {
    store: &'s Store,
    mirrors: OnceLock<Result<Vec<Mirror>, String>>,
    updated: Mutex<BTreeSet<String>>,
}

/// One line of the machine's configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mirror {
    suite: String,
    address: String,
}

/// What to have lists of.
struct Lists<'a> {
    suite: &'a str,
    /// Sources, or the binaries of this architecture.
    arch: Option<&'a str>,
}

impl<'s> Apt<'s> {
    pub(super) fn new(store: &'s Store) -> Self {
        Self {
            store,
            mirrors: OnceLock::new(),
            updated: Mutex::default(),
        }
    }

    /// Leaves the source package's tarballs in `dir`; returns the one called `file`.
    pub(super) fn source(
        &self,
        package: &str,
        version: &str,
        suite: &str,
        file: &str,
        dir: &Path,
    ) -> Result<PathBuf, Reason> {
        let wanted = format!("{package}={version}");
        let arguments = [
            "source",
            "--download-only",
            "--only-source",
            "--tar-only",
            &wanted,
        ];
        self.download(&Lists { suite, arch: None }, &arguments, dir)?;
        let path = dir.join(file);
        if path.is_file() {
            Ok(path)
        } else {
            Err(Reason::NoFile("apt-get", file.to_owned()))
        }
    }

    /// Leaves the binary package in `dir`.
    pub(super) fn package(
        &self,
        package: &str,
        version: &str,
        suite: &str,
        arch: &str,
        dir: &Path,
    ) -> Result<PathBuf, Reason> {
        let listed = listed_arch(arch);
        let wanted = format!("{package}:{listed}={version}");
        let lists = Lists {
            suite,
            arch: Some(listed),
        };
        self.download(&lists, &["download", &wanted], dir)?;
        fs::read_dir(dir)
            .map_err(StoreError::from)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .ok_or(Reason::NoFile("apt-get", wanted))
    }

    /// Leaves many binary packages in `dir`, given as `PACKAGE:ARCH=VERSION`; of those that the mirror lost, none.
    pub(super) fn packages(
        &self,
        suite: &str,
        arch: &str,
        words: &[String],
        dir: &Path,
    ) -> Result<(), Reason> {
        let lists = Lists {
            suite,
            arch: Some(arch),
        };
        let mut arguments = vec!["download"];
        arguments.extend(words.iter().map(String::as_str));
        self.download(&lists, &arguments, dir).map(drop)
    }

    /// Whether no lists could be had.
    pub(super) fn is_down(&self, suite: &str, arch: &str) -> bool {
        !self.is_updated(&Lists {
            suite,
            arch: Some(arch),
        })
    }

    /// What installing the packages on an empty system would download: lines of `'ADDRESS' FILE SIZE SHA256:…`.
    pub(super) fn closure(
        &self,
        suite: &str,
        arch: &str,
        names: &[String],
    ) -> Result<String, Reason> {
        let lists = Lists {
            suite,
            arch: Some(arch),
        };
        self.update(&lists)?;
        let mut arguments = vec![
            "install",
            "--print-uris",
            "--yes",
            "--no-install-recommends",
        ];
        arguments.extend(names.iter().map(String::as_str));
        let dir = self.store.temporary()?;
        let printed = self.download(&lists, &arguments, dir.path())?;
        Ok(String::from_utf8_lossy(&printed.stdout).into_owned())
    }

    /// The files of the newest source package of a suite: lines of `'ADDRESS' FILE SIZE SHA256:…`.
    pub(super) fn newest_source(&self, suite: &str, package: &str) -> Result<String, Reason> {
        let lists = Lists { suite, arch: None };
        self.update(&lists)?;
        let arguments = ["source", "--print-uris", "--only-source", package];
        let dir = self.store.temporary()?;
        let printed = self.download(&lists, &arguments, dir.path())?;
        Ok(String::from_utf8_lossy(&printed.stdout).into_owned())
    }

    /// With the lists of an earlier run if they do, with new ones otherwise.
    fn download(&self, lists: &Lists, arguments: &[&str], dir: &Path) -> Result<Captured, Reason> {
        if self.has_lists(lists) {
            let _lock = self.store.lock_shared(&lists.name())?;
            let result = self.apt(lists).args(arguments).current_dir(dir).run();
            if result.is_ok() || self.is_updated(lists) {
                return Ok(result?);
            }
        }
        self.update(lists)?;
        let _lock = self.store.lock_shared(&lists.name())?;
        Ok(self.apt(lists).args(arguments).current_dir(dir).run()?)
    }

    fn update(&self, lists: &Lists) -> Result<(), Reason> {
        let _lock: Lock = self.store.lock(&lists.name())?;
        if self.is_updated(lists) {
            return Ok(());
        }
        let source = self.source_line(lists)?;
        self.write_configuration(lists, &source)
            .map_err(StoreError::from)?;
        self.store.progress().note(&format!(
            "reading the package lists of Debian {}",
            lists.suite
        ));
        self.apt(lists).arg("update").run()?;
        let marker = self.folder(lists).join("updated");
        fs::write(marker, "").map_err(StoreError::from)?;
        self.updated
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(lists.name());
        Ok(())
    }

    fn is_updated(&self, lists: &Lists) -> bool {
        self.updated
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&lists.name())
    }

    fn has_lists(&self, lists: &Lists) -> bool {
        self.folder(lists).join("updated").is_file()
    }

    fn folder(&self, lists: &Lists) -> PathBuf {
        self.store.root().join("apt").join(lists.name())
    }

    fn apt(&self, lists: &Lists) -> Process {
        apt_get(&self.folder(lists).join("apt.conf")).arg("--quiet=2")
    }

    fn write_configuration(&self, lists: &Lists, source: &str) -> std::io::Result<()> {
        let folder = self.folder(lists);
        fs::create_dir_all(folder.join("state/lists/partial"))?;
        fs::create_dir_all(folder.join("cache/archives/partial"))?;
        fs::write(folder.join("status"), "")?;
        fs::write(folder.join("sources.list"), source)?;
        let mut configuration = configuration(&folder);
        let list = folder.join("sources.list");
        configuration.push_str(&format!(
            "Dir::Etc::SourceList \"{}\";\nDir::Etc::SourceParts \"/dev/null\";\n",
            list.display()
        ));
        if let Some(arch) = lists.arch {
            configuration.push_str(&format!(
                "#clear APT::Architectures;\nAPT::Architecture \"{arch}\";\nAPT::Architectures \"{arch}\";\n"
            ));
        }
        fs::write(folder.join("apt.conf"), configuration)
    }

    fn source_line(&self, lists: &Lists) -> Result<String, Reason> {
        if !Path::new(KEYRING).is_file() {
            return Err(Reason::Unusable(format!(
                "{KEYRING} is missing (apt-get install debian-archive-keyring)"
            )));
        }
        let mirrors = self
            .mirrors
            .get_or_init(|| self.find_mirrors().map_err(|reason| reason.to_string()));
        let mirrors = mirrors
            .as_ref()
            .map_err(|said| Reason::Unusable(said.clone()))?;
        let mirror = choose(mirrors, lists.suite).ok_or_else(|| {
            Reason::Unusable("apt on this machine has no mirror configured".to_owned())
        })?;
        let kind = if lists.arch.is_some() {
            "deb"
        } else {
            "deb-src"
        };
        Ok(format!(
            "{kind} [signed-by={KEYRING}] {} {} main\n",
            mirror.address, lists.suite
        ))
    }

    /// Asks apt what it would download for an update: that also works while no lists are there.
    fn find_mirrors(&self) -> Result<Vec<Mirror>, Reason> {
        let dir = self.store.temporary()?;
        let conf = dir.path().join("apt.conf");
        let write = || {
            fs::create_dir_all(dir.path().join("state/lists/partial"))?;
            fs::write(dir.path().join("status"), "")?;
            fs::write(&conf, configuration(dir.path()))
        };
        write().map_err(StoreError::from)?;
        let captured = apt_get(&conf).args(["update", "--print-uris"]).run()?;
        Ok(parse_mirrors(&String::from_utf8_lossy(&captured.stdout)))
    }
}

impl Lists<'_> {
    fn name(&self) -> String {
        format!("apt-{}-{}", self.suite, self.arch.unwrap_or("source"))
    }
}

/// Packages for all architectures are in the lists of each.
pub(super) fn listed_arch(arch: &str) -> &str {
    if arch == "all" { "amd64" } else { arch }
}

fn apt_get(configuration: &Path) -> Process {
    Process::inheriting("apt-get")
        .package("apt")
        .arg("-c")
        .arg(configuration)
        .env("LC_ALL", "C.UTF-8")
}

/// Options in a file, because only there can hooks of the machine be cleared: some delete the system's own caches. The
/// error mode is named because apt otherwise goes on with old lists when it has no network, and says nothing. The
/// cache of the lists is named because container images switch it off, and without it each call reads them all anew.
fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "Dir::State \"{folder}/state\";\n\
         Dir::State::status \"{folder}/status\";\n\
         Dir::Cache \"{folder}/cache\";\n\
         Dir::Cache::pkgcache \"pkgcache.bin\";\n\
         Dir::Cache::srcpkgcache \"\";\n\
         Dir::Etc::Preferences \"/dev/null\";\n\
         Dir::Etc::PreferencesParts \"/dev/null\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::ForceHash \"SHA256\";\n\
         Acquire::Check-Valid-Until \"false\";\n\
         APT::Update::Error-Mode \"any\";\n\
         APT::Sandbox::User \"root\";\n\
         #clear APT::Update::Pre-Invoke;\n\
         #clear APT::Update::Post-Invoke;\n\
         #clear APT::Update::Post-Invoke-Success;\n\
         #clear DPkg::Post-Invoke;\n"
    )
}

/// Lines like `'ADDRESS/dists/SUITE/InRelease' file 0`.
pub(super) fn parse_mirrors(text: &str) -> Vec<Mirror> {
    text.lines()
        .filter_map(|line| {
            let address = line
                .strip_prefix('\'')?
                .split('\'')
                .next()?
                .strip_suffix("/InRelease")?;
            let (address, suite) = address.rsplit_once("/dists/")?;
            Some(Mirror {
                suite: suite.to_owned(),
                address: address.to_owned(),
            })
        })
        .collect()
}

/// Security updates lie on a mirror of their own, backports and the like on the main one.
fn choose<'m>(mirrors: &'m [Mirror], suite: &str) -> Option<&'m Mirror> {
    let security = |suite: &str| suite.ends_with("-security");
    mirrors
        .iter()
        .find(|mirror| mirror.suite == suite)
        .or_else(|| {
            mirrors
                .iter()
                .find(|mirror| security(&mirror.suite) == security(suite))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_read_from_an_update_that_does_not_happen() {
        let text = "'http://a.example/debian/dists/bookworm/InRelease' a_InRelease 0 \n\
                    'http://a.example/debian/dists/bookworm-updates/InRelease' b_InRelease 0 \n\
                    'http://b.example/sec/dists/bookworm-security/InRelease' c_InRelease 0 \n\
                    noise\n";
        let mirrors = parse_mirrors(text);
        assert_eq!(mirrors.len(), 3);
        let address = |suite| choose(&mirrors, suite).map(|mirror| mirror.address.as_str());
        assert_eq!(address("trixie"), Some("http://a.example/debian"));
        assert_eq!(address("bookworm-security"), Some("http://b.example/sec"));
        assert_eq!(address("trixie-security"), Some("http://b.example/sec"));
        assert_eq!(choose(&[], "trixie"), None);
    }
}
