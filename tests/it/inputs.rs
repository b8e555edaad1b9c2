//! Inputs from the real registries, a few small ones, through the ordinary clients; then again without any network.

use std::path::Path;

use imgbuild::inputs::{
    Artifact, FetchOptions, Fetched, Fetcher, Input, Origin, Progress, ProgressMode, Source, Store,
};

fn input(name: &str, version: &str, sha256: &str, origin: Origin) -> Input {
    Input {
        name: name.to_owned(),
        artifacts: vec![Artifact {
            version: version.to_owned(),
            sha256: format!("sha256:{sha256}").parse().unwrap(),
            size: None,
            subdir: None,
            origins: vec![origin],
        }],
    }
}

fn inputs() -> Vec<Input> {
    let debian_package =
        |package: &str, version: &str, suite: &str, arch: &str| Origin::DebianPackage {
            package: package.into(),
            version: version.into(),
            suite: suite.into(),
            arch: arch.into(),
        };
    vec![
        input(
            "six",
            "1.17.0",
            "4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274",
            Origin::Wheel {
                name: "six".into(),
                version: "1.17.0".into(),
                filename: "six-1.17.0-py2.py3-none-any.whl".into(),
            },
        ),
        input(
            "zlib",
            "1.3.2",
            "ff20308ecabd635a2dc1dd5834a86c462cca20efba1d5d3ddab1f8aea3455cb2",
            Origin::Crate {
                name: "libz-sys".into(),
                version: "1.1.31".into(),
            },
        ),
        input(
            "bzip2",
            "1.0.8",
            "ab5a03176ee106d3f0fa90e381da478ddae405918153cca248e682cd0c4a2269",
            Origin::DebianSource {
                package: "bzip2".into(),
                version: "1.0.8-6".into(),
                suite: "trixie".into(),
                file: "bzip2_1.0.8.orig.tar.gz".into(),
            },
        ),
        input(
            "mmdebstrap",
            "1.3.5",
            "0ecb8da772c8e5b7f73b59cb6d1f02d789f8bcd9a6b5f19ed548fe12c26a76ca",
            debian_package("mmdebstrap", "1.3.5-7", "bookworm", "all"),
        ),
    ]
}

fn open(root: &Path) -> Store {
    Store::open(root, Progress::new(ProgressMode::Lines)).unwrap()
}

fn fetch(root: &Path, options: FetchOptions) -> Vec<Fetched> {
    let store = open(root);
    Fetcher::new(&store, options)
        .fetch_all(&inputs())
        .unwrap_or_else(|error| {
            panic!(
                "{error}\n{:?}\n{:?}",
                std::error::Error::source(&error).map(ToString::to_string),
                error.hint()
            )
        })
}

#[test]
fn registries_give_what_is_pinned_and_the_store_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let first = fetch(dir.path(), FetchOptions::default());
    assert_eq!(
        first
            .iter()
            .map(|one| one.name.as_str())
            .collect::<Vec<_>>(),
        ["six", "zlib", "bzip2", "mmdebstrap"]
    );
    assert!(
        first
            .iter()
            .all(|one| matches!(one.source, Source::Origin(_)) && !one.fallback)
    );
    assert_eq!(
        std::fs::read_dir(dir.path().join("tmp")).unwrap().count(),
        0
    );
    assert_eq!(
        std::fs::read_dir(dir.path().join("partial"))
            .unwrap()
            .count(),
        0
    );

    let offline = FetchOptions {
        offline: true,
        ..FetchOptions::default()
    };
    let second = fetch(dir.path(), offline.clone());
    assert!(second.iter().all(|one| one.source == Source::Store));

    // The store's own blobs are a mirror for another machine.
    let elsewhere = tempfile::tempdir().unwrap();
    let third = fetch(
        elsewhere.path(),
        FetchOptions {
            mirrors: vec![dir.path().to_owned()],
            ..offline
        },
    );
    assert!(
        third
            .iter()
            .all(|one| matches!(one.source, Source::Mirror(_)))
    );
}
