//! The rules of fetching, with files as origins and a closed port as the network that is down.

use std::net::TcpListener;

use super::super::{Progress, ProgressMode};
use super::*;

/// A store, origins that come and go, and a host that nobody answers at.
struct Scene {
    dir: tempfile::TempDir,
    store: Store,
    dead: String,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (progress, _) = Progress::kept(ProgressMode::Quiet);
        let closed = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        Self {
            store: Store::open(dir.path().join("store"), progress).unwrap(),
            dead: format!("http://{closed}"),
            dir,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    /// Wants the text `new` in version 2, else `same` in version 2, else `old` in version 1: each from a dead host, then
    /// from a file of that name.
    fn input(&self) -> Input {
        let artifact = |version: &str, text: &str| Artifact {
            version: version.to_owned(),
            sha256: Digest::of(text.as_bytes()),
            size: None,
            subdir: None,
            origins: vec![
                Origin::Url(format!("{}/{text}.tar", self.dead)),
                Origin::File(self.path(text)),
            ],
        };
        Input {
            name: "thing".to_owned(),
            artifacts: vec![
                artifact("2", "new"),
                artifact("2", "same"),
                artifact("1", "old"),
            ],
        }
    }

    fn fetch(&self, options: FetchOptions) -> Result<Fetched, FetchError> {
        Fetcher::new(&self.store, options).fetch(&self.input())
    }
}

fn offline() -> FetchOptions {
    FetchOptions {
        offline: true,
        ..FetchOptions::default()
    }
}

fn chosen(fetched: &Fetched) -> (usize, bool) {
    assert_eq!(
        Digest::of(&fs::read(&fetched.path).unwrap()),
        fetched.artifact.sha256
    );
    (fetched.index, fetched.fallback)
}

#[test]
fn the_first_origin_with_the_right_bytes_wins() {
    let scene = Scene::new();
    scene.write("new", "wrong");
    scene.write("same", "same");
    scene.write("old", "old");
    let fetched = scene.fetch(FetchOptions::default()).unwrap();
    assert_eq!(chosen(&fetched), (1, false));
    assert_eq!(
        fetched.source,
        Source::Origin(Origin::File(scene.path("same")))
    );
    // It is of the wanted version: nothing better is asked for.
    scene.write("new", "new");
    let fetched = scene.fetch(FetchOptions::default()).unwrap();
    assert_eq!(
        (chosen(&fetched), fetched.source),
        ((1, false), Source::Store)
    );
}

#[test]
fn the_store_remembers_which_place_gave_the_bytes() {
    let scene = Scene::new();
    scene.write("same", "same");
    let place = Some(Place::Origin(Origin::File(scene.path("same"))));
    assert_eq!(scene.fetch(FetchOptions::default()).unwrap().place, place);
    let again = scene.fetch(offline()).unwrap();
    assert_eq!((again.source, again.place), (Source::Store, place));

    // The same bytes from elsewhere, when they have to be fetched again.
    fs::remove_file(&again.path).unwrap();
    scene.write("mirror/same.tar", "same");
    let mirrored = FetchOptions {
        mirrors: vec![scene.path("mirror")],
        ..offline()
    };
    let place = Some(Place::Mirror("same.tar".to_owned()));
    assert_eq!(scene.fetch(mirrored).unwrap().place, place);
    assert_eq!(scene.fetch(offline()).unwrap().place, place);
}

#[test]
fn a_fallback_serves_until_it_is_old_or_refreshed() {
    let scene = Scene::new();
    scene.write("old", "old");
    assert_eq!(
        chosen(&scene.fetch(FetchOptions::default()).unwrap()),
        (2, true)
    );
    scene.write("new", "new");
    let fetched = scene.fetch(FetchOptions::default()).unwrap();
    assert_eq!(
        (chosen(&fetched), fetched.source),
        ((2, true), Source::Store)
    );
    for options in [
        FetchOptions {
            refresh: true,
            ..FetchOptions::default()
        },
        FetchOptions {
            fallback_age: Duration::ZERO,
            ..FetchOptions::default()
        },
    ] {
        let scene = Scene::new();
        scene.write("old", "old");
        scene.fetch(FetchOptions::default()).unwrap();
        // Nothing better is there: the fallback in the store serves, though its origin is gone.
        fs::remove_file(scene.path("old")).unwrap();
        let fetched = scene.fetch(options.clone()).unwrap();
        assert_eq!(
            (chosen(&fetched), fetched.source),
            ((2, true), Source::Store)
        );
        scene.write("new", "new");
        assert_eq!(chosen(&scene.fetch(options).unwrap()), (0, false));
    }
}

#[test]
fn a_fallback_in_the_store_hides_nothing_better() {
    let scene = Scene::new();
    scene.store.insert_bytes(b"old").unwrap();
    scene.write("new", "new");
    assert_eq!(
        chosen(&scene.fetch(FetchOptions::default()).unwrap()),
        (0, false)
    );
}

#[test]
fn offline_takes_the_best_that_is_there() {
    let scene = Scene::new();
    scene.write("new", "new");
    let error = scene.fetch(offline()).unwrap_err();
    assert!(error.hint().unwrap().contains("--mirror DIR"));
    scene.store.insert_bytes(b"old").unwrap();
    assert_eq!(chosen(&scene.fetch(offline()).unwrap()), (2, true));
    scene.store.insert_bytes(b"same").unwrap();
    assert_eq!(chosen(&scene.fetch(offline()).unwrap()), (1, false));
}

#[test]
fn without_fallbacks_other_versions_do_not_exist() {
    let scene = Scene::new();
    scene.write("old", "old");
    scene.fetch(FetchOptions::default()).unwrap();
    let error = scene.fetch(FetchOptions {
        fallbacks: false,
        ..FetchOptions::default()
    });
    let FetchError::Unavailable(tried) = error.unwrap_err() else {
        panic!()
    };
    assert!(
        tried.inputs[0]
            .attempts
            .iter()
            .all(|attempt| attempt.version == "2")
    );
}

#[test]
fn mirrors_are_known_by_content() {
    let hex = Digest::of(b"new").hex();
    for name in [
        hex.clone(),
        format!("sha256/{hex}"),
        format!("blobs/sha256/{hex}"),
        "new.tar".to_owned(),
        "new".to_owned(),
    ] {
        let scene = Scene::new();
        scene.write(&format!("mirror/{name}"), "new");
        let mirrors = vec![scene.path("nowhere"), scene.path("mirror")];
        let fetched = scene
            .fetch(FetchOptions {
                mirrors,
                ..offline()
            })
            .unwrap();
        assert_eq!(
            (chosen(&fetched), fetched.source),
            ((0, false), Source::Mirror(scene.path("mirror").join(name)))
        );
    }
    let scene = Scene::new();
    scene.write("mirror/new.tar", "wrong");
    let mirrors = vec![scene.path("mirror")];
    let error = scene
        .fetch(FetchOptions {
            mirrors,
            ..offline()
        })
        .unwrap_err();
    let tried = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        tried.starts_with("mirror file ") && tried.contains("new.tar: expected sha256:"),
        "{tried}"
    );
}

#[test]
fn one_error_names_every_origin() {
    let scene = Scene::new();
    scene.write("new", "wrong");
    let error = scene.fetch(FetchOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "cannot fetch thing 2");
    let tried = std::error::Error::source(&error).unwrap().to_string();
    let lines: Vec<&str> = tried.lines().collect();
    assert_eq!(lines.len(), 6, "{tried}");
    let dead = scene.dead.strip_prefix("http://").unwrap();
    assert!(
        lines[0].starts_with(&format!(
            "{}/new.tar: cannot reach {dead}: Connection refused",
            scene.dead
        )),
        "{tried}"
    );
    let (expected, got) = (Digest::of(b"new"), Digest::of(b"wrong"));
    assert_eq!(
        lines[1],
        format!(
            "file {}: expected {expected}, got {got}",
            scene.path("new").display()
        )
    );
    assert!(lines[4].starts_with("1 as a fallback, http://"), "{tried}");
    assert!(
        error
            .hint()
            .unwrap()
            .contains("of thing than the lock pins")
    );
    assert!(!scene.path("store/blobs/sha256").join(got.hex()).exists());
}

#[test]
fn many_inputs_come_in_order_and_fail_together() {
    let scene = Scene::new();
    let input = |name: &str| Input {
        name: name.to_owned(),
        artifacts: vec![Artifact {
            version: "1".to_owned(),
            sha256: Digest::of(name.as_bytes()),
            size: None,
            subdir: None,
            origins: vec![Origin::File(scene.path(name))],
        }],
    };
    let inputs: Vec<Input> = (0..20).map(|i| input(&format!("i{i}"))).collect();
    for input in &inputs[1..] {
        scene.write(&input.name, &input.name);
    }
    let fetch = || Fetcher::new(&scene.store, FetchOptions::default()).fetch_all(&inputs);
    assert_eq!(fetch().unwrap_err().to_string(), "cannot fetch i0 1");
    for input in &inputs[1..5] {
        fs::remove_file(scene.path(&input.name)).unwrap();
        fs::remove_file(
            scene
                .path("store/blobs/sha256")
                .join(Digest::of(input.name.as_bytes()).hex()),
        )
        .unwrap();
    }
    assert_eq!(
        fetch().unwrap_err().to_string(),
        "cannot fetch i0 1, i1 1, i2 1 and 2 more"
    );
    inputs
        .iter()
        .for_each(|input| scene.write(&input.name, &input.name));
    let names: Vec<String> = fetch().unwrap().into_iter().map(|one| one.name).collect();
    assert_eq!(
        names,
        inputs
            .iter()
            .map(|input| input.name.clone())
            .collect::<Vec<_>>()
    );
    assert!(
        Fetcher::new(&scene.store, FetchOptions::default())
            .fetch_all(&[])
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_dead_host_is_asked_once() {
    let scene = Scene::new();
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let artifact = |i: u32| Artifact {
        version: "1".to_owned(),
        sha256: Digest::of(&i.to_le_bytes()),
        size: None,
        subdir: None,
        origins: vec![Origin::Url(format!("http://{address}/{i}"))],
    };
    let input = Input {
        name: "thing".to_owned(),
        artifacts: (0..3).map(artifact).collect(),
    };
    let fetcher = Fetcher::new(&scene.store, FetchOptions::default());
    fetcher.fetch(&input).unwrap_err();
    // Somebody is there now, but not for this fetcher.
    let listener = TcpListener::bind(address).unwrap();
    let visits = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = visits.clone();
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    fetcher.fetch(&input).unwrap_err();
    assert_eq!(visits.load(Ordering::SeqCst), 0);
}

#[test]
fn odd_names_reach_no_tool() {
    let scene = Scene::new();
    let wheel = |name: &str, version: &str| Origin::Wheel {
        name: name.into(),
        version: version.into(),
        filename: "a-1-py3-none-any.whl".into(),
    };
    let file = |file: &str| Origin::DebianSource {
        package: "bzip2".into(),
        version: "1".into(),
        suite: "trixie".into(),
        file: file.into(),
    };
    for origin in [
        wheel("--index-url=x", "1"),
        wheel("a", "1 --pre"),
        wheel("", "1"),
        file("../x"),
        file("/etc/passwd"),
    ] {
        let mut input = scene.input();
        input.artifacts.truncate(1);
        input.artifacts[0].origins = vec![origin];
        let error = Fetcher::new(&scene.store, FetchOptions::default())
            .fetch(&input)
            .unwrap_err();
        let tried = std::error::Error::source(&error).unwrap().to_string();
        assert!(tried.ends_with("is no name or version"), "{tried}");
    }
}
