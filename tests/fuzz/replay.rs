//! The seeds of `tests/fuzz/seeds` through the targets of the crate that includes this file: so the targets do not rot, and
//! what was found once stays found.
#![expect(
    clippy::disallowed_methods,
    reason = "shared by crates that have no other home of files"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn names(folder: &Path, prefix: &str) -> BTreeSet<String> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .filter(|name| name.starts_with(prefix))
        .collect()
}

#[test]
fn every_seed_of_every_target() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("tests/fuzz"))
        .find(|folder| folder.join("seeds").is_dir())
        .expect("the folder of the seeds");
    let targets: BTreeSet<String> = super::TARGETS
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    let prefix = concat!(env!("CARGO_PKG_NAME"), "_");
    assert_eq!(names(&fuzz.join("seeds"), prefix), targets);
    assert_eq!(names(&fuzz.join("fuzz_targets"), prefix), targets);
    for (name, target) in super::TARGETS {
        let seeds = fuzz.join("seeds").join(name);
        let mut count = 0;
        for seed in fs::read_dir(&seeds).unwrap() {
            let seed = seed.unwrap().path();
            // Where a target panics, this is the last line.
            println!("{}", seed.display());
            target(&fs::read(&seed).unwrap());
            count += 1;
        }
        assert!(count > 0, "{} is empty", seeds.display());
    }
}
