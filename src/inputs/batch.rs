//! Many Debian packages at once: comes in artifacts, goes out which of them are in the store now. One call of apt-get
//! for all of a suite and architecture takes seconds where one call for each takes a minute. Reports no errors: what is
//! missing afterwards is asked for one by one, and that says why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fs_err as fs;
use oci::Digest;

use super::debian::{self, Apt};
use super::mirror::without_epoch;
use super::{Artifact, Origin, Store, StoreError};

/// One package to get.
struct Wanted<'a> {
    sha256: &'a Digest,
    package: &'a str,
    version: &'a str,
    arch: &'a str,
}

/// Fetches those of the artifacts whose first origin is a Debian package.
pub(super) fn prefetch(
    store: &Store,
    apt: &Apt,
    artifacts: &[&Artifact],
) -> Result<BTreeSet<Digest>, StoreError> {
    let mut groups: BTreeMap<(&str, &str), Vec<Wanted>> = BTreeMap::new();
    let mut bytes: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for artifact in artifacts {
        let Some(origin) = artifact.origins.first() else {
            continue;
        };
        let Origin::DebianPackage {
            package,
            version,
            suite,
            arch,
        } = origin
        else {
            continue;
        };
        if origin.check().is_err() {
            continue;
        }
        let key = (suite.as_str(), debian::listed_arch(arch));
        let sha256 = &artifact.sha256;
        groups.entry(key).or_default().push(Wanted {
            sha256,
            package,
            version,
            arch,
        });
        *bytes.entry(key).or_default() += artifact.size.unwrap_or_default();
    }
    let mut got = BTreeSet::new();
    for ((suite, arch), wanted) in groups {
        if wanted.len() < 2 {
            continue;
        }
        // Another process that wants the same leaves nothing to do.
        let _lock = store.lock(&format!("batch-{suite}-{arch}"))?;
        let mut missing = Vec::new();
        for one in wanted {
            if store.blob(one.sha256)?.is_none() {
                missing.push(one);
            }
        }
        if missing.is_empty() {
            continue;
        }
        let name = format!("{} packages", missing.len());
        let place = format!("Debian {suite} ({arch})");
        let transfer = store.progress().transfer(&name, None);
        transfer.from(&place);
        let before = got.len();
        fetch(store, apt, suite, arch, &missing, &mut got)?;
        if got.len() > before {
            transfer.done(bytes[&(suite, arch)], &place);
        }
    }
    Ok(got)
}

/// apt-get gives nothing at all if it does not know one of the versions: then each half is tried alone.
fn fetch(
    store: &Store,
    apt: &Apt,
    suite: &str,
    arch: &str,
    wanted: &[Wanted],
    got: &mut BTreeSet<Digest>,
) -> Result<(), StoreError> {
    let dir = store.temporary()?;
    let words: Vec<String> = wanted
        .iter()
        .map(|one| format!("{}:{arch}={}", one.package, one.version))
        .collect();
    let failed = apt.packages(suite, arch, &words, dir.path()).is_err();
    let before = got.len();
    for one in wanted {
        if take(store, one, dir.path())? {
            got.insert(*one.sha256);
        }
    }
    if failed && got.len() == before && wanted.len() > 1 && !apt.is_down(suite, arch) {
        let (first, second) = wanted.split_at(wanted.len() / 2);
        fetch(store, apt, suite, arch, first, got)?;
        fetch(store, apt, suite, arch, second, got)?;
    }
    Ok(())
}

fn take(store: &Store, one: &Wanted, dir: &Path) -> Result<bool, StoreError> {
    let Wanted {
        package,
        version,
        arch,
        ..
    } = one;
    // apt writes the colon of an epoch as it is in addresses; some versions leave the epoch out.
    let names = [
        version.replace(':', "%3a"),
        without_epoch(version).to_owned(),
    ];
    let file = names.map(|version| dir.join(format!("{package}_{version}_{arch}.deb")));
    let Some(file) = file.iter().find(|file| file.is_file()) else {
        return Ok(false);
    };
    let adopted = store.obtain(one.sha256, |part| {
        Ok::<(), StoreError>(fs::rename(file, part)?)
    });
    match adopted {
        Ok(_) => Ok(true),
        Err(StoreError::Mismatch { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
