//! Debian sources and packages, through apt: without root, without touching the system, from any suite.
//!
//! The machine's own apt configuration says where its mirrors are. Files come out of their pools, where they stay for months
//! after their suite has newer ones. What a suite has is asked for locks and updates only, once per run: its lists go to
//! `apt/<name>/` in the store.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use fs_err as fs;

use super::lock::Lock;
use super::origins::Reason;
use super::{Origin, Store, StoreError, mirror};
use crate::process::Process;

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

/// A file in the pool of an archive.
pub(super) struct PoolFile<'a> {
    suite: &'a str,
    /// The source package that it belongs to.
    source: &'a str,
    name: String,
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

    /// Leaves a file of the pool in `dir`: its archive's mirror is asked first, then the others, as a point release moves what
    /// mended security faults to the main one.
    pub(super) fn file(&self, file: &PoolFile, dir: &Path) -> Result<PathBuf, Reason> {
        let mut answers = Vec::new();
        for address in self.addresses(file)? {
            match apt_helper(dir).arg(address).arg(&file.name).run() {
                Ok(_) => return Ok(dir.join(&file.name)),
                Err(error) => answers.push(error),
            }
        }
        Err(answers.swap_remove(0).into())
    }

    /// Leaves those of the files in `dir` that their archives' mirrors have.
    pub(super) fn files(&self, files: &[PoolFile], dir: &Path) -> Result<(), Reason> {
        let mut helper = apt_helper(dir);
        for file in files {
            let address = self.addresses(file)?.swap_remove(0);
            helper = helper.arg(address).arg(&file.name);
        }
        helper.run()?;
        Ok(())
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
        let mut arguments = vec![
            "install",
            "--print-uris",
            "--yes",
            "--no-install-recommends",
        ];
        arguments.extend(names.iter().map(String::as_str));
        self.ask(&lists, &arguments)
    }

    /// The files of the newest source package of a suite: lines of `'ADDRESS' FILE SIZE SHA256:…`.
    pub(super) fn newest_source(&self, suite: &str, package: &str) -> Result<String, Reason> {
        let lists = Lists { suite, arch: None };
        let arguments = ["source", "--print-uris", "--only-source", package];
        self.ask(&lists, &arguments)
    }

    /// What apt prints, with the lists of this run.
    fn ask(&self, lists: &Lists, arguments: &[&str]) -> Result<String, Reason> {
        self.update(lists)?;
        let _lock = self.store.lock_shared(&lists.name())?;
        let dir = self.store.temporary()?;
        let apt = apt_get(&self.folder(lists).join("apt.conf")).arg("--quiet=2");
        let printed = apt.args(arguments).current_dir(dir.path()).run()?;
        Ok(String::from_utf8_lossy(&printed.stdout).into_owned())
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
        apt_get(&self.folder(lists).join("apt.conf"))
            .args(["--quiet=2", "update"])
            .run()?;
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

    fn folder(&self, lists: &Lists) -> PathBuf {
        self.store.root().join("apt").join(lists.name())
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
        let mirror = self.mirrors(lists.suite)?[0];
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

    /// Where a file may lie, the likely places first; never empty.
    fn addresses(&self, file: &PoolFile) -> Result<Vec<String>, Reason> {
        let mirrors = self.mirrors(file.suite)?;
        let mut known = BTreeSet::new();
        Ok(mirrors
            .into_iter()
            .filter(|mirror| known.insert(&mirror.address))
            .map(|mirror| file.address(mirror))
            .collect())
    }

    /// Those of this machine, the likely ones for a suite first; never empty.
    fn mirrors(&self, suite: &str) -> Result<Vec<&Mirror>, Reason> {
        let found = self
            .mirrors
            .get_or_init(|| self.find_mirrors().map_err(|reason| reason.to_string()));
        let found = found
            .as_ref()
            .map_err(|said| Reason::Unusable(said.clone()))?;
        match found.is_empty() {
            true => Err(Reason::Unusable(
                "apt on this machine has no mirror configured".to_owned(),
            )),
            false => Ok(ordered(found, suite)),
        }
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

impl<'a> PoolFile<'a> {
    /// The file of a Debian origin.
    pub(super) fn of(origin: &'a Origin) -> Option<Self> {
        let (Origin::DebianSource {
            package: source,
            suite,
            ..
        }
        | Origin::DebianPackage { source, suite, .. }) = origin
        else {
            return None;
        };
        let name = mirror::usual_name(origin)?;
        Some(Self {
            suite,
            source,
            name,
        })
    }

    /// Its name in the pool.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Folders of sources lie in one for each first letter, those of libraries in `liba` to `libz`.
    fn address(&self, mirror: &Mirror) -> String {
        let part = match is_security(&mirror.suite) {
            true => "updates/main",
            false => "main",
        };
        let letters = if self.source.starts_with("lib") { 4 } else { 1 };
        let first = self.source.get(..letters).unwrap_or(self.source);
        let Self { source, name, .. } = self;
        format!("{}/pool/{part}/{first}/{source}/{name}", mirror.address)
    }
}

/// apt's own way to download, in a folder: wants addresses, each with the name of the file.
fn apt_helper(dir: &Path) -> Process {
    Process::inheriting("/usr/lib/apt/apt-helper")
        .package("apt")
        .args(["--quiet=2", "--option", "APT::Sandbox::User=root"])
        .arg("download-file")
        .env("LC_ALL", "C.UTF-8")
        .current_dir(dir)
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
fn ordered<'m>(mirrors: &'m [Mirror], suite: &str) -> Vec<&'m Mirror> {
    let mut mirrors: Vec<&Mirror> = mirrors.iter().collect();
    mirrors.sort_by_key(|mirror| {
        let is_other = mirror.suite != suite;
        (is_other, is_security(&mirror.suite) != is_security(suite))
    });
    mirrors
}

fn is_security(suite: &str) -> bool {
    suite.ends_with("-security")
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
        let address = |suite| &*ordered(&mirrors, suite)[0].address;
        assert_eq!(address("trixie"), "http://a.example/debian");
        assert_eq!(address("bookworm-security"), "http://b.example/sec");
        assert_eq!(address("trixie-security"), "http://b.example/sec");
    }

    #[test]
    fn files_of_libraries_and_of_security_updates_have_folders_of_their_own() {
        let mirror = |suite: &str| Mirror {
            suite: suite.to_owned(),
            address: "http://a.example".to_owned(),
        };
        for (source, suite, expected) in [
            ("glibc", "bookworm", "/pool/main/g/glibc/f.deb"),
            ("libffi", "bookworm", "/pool/main/libf/libffi/f.deb"),
            (
                "openssl",
                "bookworm-security",
                "/pool/updates/main/o/openssl/f.deb",
            ),
        ] {
            let name = "f.deb".to_owned();
            let file = PoolFile {
                suite,
                source,
                name,
            };
            let address = file.address(&mirror(suite));
            assert_eq!(address.strip_prefix("http://a.example"), Some(expected));
        }
    }
}
