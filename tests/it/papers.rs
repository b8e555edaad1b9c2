//! The papers of an image: read by the tools of the standards that they follow, compared with what the image itself says,
//! and fetched back from registries.

mod packages;
mod published;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use imgbuild::arch::Arch;
use imgbuild::papers::{Component, Papers, Subject};
use oci::{Digest, Epoch, ManifestDigest};
use serde_json::{Value, json};

use crate::support::{image, imgbuild, inside, program, root_of, run};

/// Where a paper of an image lies.
fn paper(layout: &Path, suffix: &str) -> PathBuf {
    let mut path = layout.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// What the standards' own tools say of two bills of materials, and which of the advisories apply.
#[track_caller]
fn read(spdx: &Path, cyclonedx: &Path, advisories: &Value) -> Value {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), advisories.to_string()).unwrap();
    check(&[Path::new("boms"), spdx, cyclonedx, file.path()])
}

/// What the tools of in-toto say of a statement.
#[track_caller]
fn read_provenance(path: &Path) -> Value {
    check(&[Path::new("provenance"), path])
}

#[track_caller]
fn check(arguments: &[&Path]) -> Value {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../papers/bin/python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/papers/check.py");
    let printed = run(program(python.to_str().unwrap(), [script]).args(arguments)).succeeded();
    serde_json::from_str(&printed.stdout).unwrap()
}

/// The bills of materials of components, as files.
fn written(components: &[Component], folder: &Path) -> [PathBuf; 2] {
    let subject = Subject {
        name: "python3.13",
        version: "3.13.5",
        digest: ManifestDigest(Digest::of(b"an image")),
        arch: Arch::host().unwrap(),
        created: Epoch::new(1_790_000_000).unwrap(),
        fallbacks: Vec::new(),
    };
    Papers::bills_of_materials(&subject, components).map(|(paper, bytes)| {
        let path = folder.join(format!("x{}", paper.suffix()));
        fs_err::write(&path, bytes).unwrap();
        path
    })
}

/// The versions of the components whose package URL begins like this.
fn versions(components: &Value, purl: &str) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = components.as_array().unwrap().iter();
    let wanted = all.filter(|one| text(&one["purl"]).starts_with(purl));
    wanted
        .map(|one| (text(&one["name"]), text(&one["version"])))
        .collect()
}

#[test]
fn the_papers_of_a_built_image_validate_and_say_what_the_image_says_of_itself() {
    let layout = image();
    let folder = tempfile::tempdir().unwrap();
    let root = root_of(layout, folder.path());
    let ask = |script: &str| {
        let python = ["/var/lang/bin/python3.13", "-c", script];
        let said = run(inside(&root).args(python)).succeeded().stdout;
        serde_json::from_str::<Value>(&said).unwrap()
    };
    let linked = ask("import json, platform, pyexpat, sqlite3, ssl, zlib\n\
         print(json.dumps({'python': platform.python_version(), 'openssl': ssl.OPENSSL_VERSION.split()[1],\n\
          'sqlite': sqlite3.sqlite_version, 'zlib': zlib.ZLIB_RUNTIME_VERSION, 'expat': pyexpat.EXPAT_VERSION[6:]}))");
    let advisory = |id: &str, package: Value, version: &Value| json!({"id": id, "affected": [{"package": package, "versions": [version]}]});
    let advisories = json!([
        advisory(
            "THERE",
            json!({"cpe": "cpe:2.3:a:openssl:openssl:*"}),
            &linked["openssl"]
        ),
        advisory(
            "NOT-THERE",
            json!({"purl": "pkg:pypi/boto3"}),
            &json!("0.1")
        ),
    ]);
    let said = read(
        &paper(layout, ".spdx.json"),
        &paper(layout, ".cdx.json"),
        &advisories,
    );
    assert_eq!(
        said["advisories"],
        json!({"spdx": ["THERE"], "cyclonedx": ["THERE"]})
    );

    for bom in ["spdx", "cyclonedx"] {
        let components = &said[bom];
        for (name, version) in linked.as_object().unwrap() {
            let found = versions(components, &format!("pkg:generic/{name}@"));
            let expected = (name.clone(), version.as_str().unwrap().to_owned());
            assert_eq!(found, [expected].into(), "{bom}");
        }
        let query = ["--showformat=${Package} ${Version}\n", "--show"];
        let installed = run(program(
            "dpkg-query",
            [format!("--admindir={}/var/lib/dpkg", root.display())],
        )
        .args(query));
        let installed = installed.succeeded().stdout;
        let pairs = installed.lines().filter_map(|line| line.split_once(' '));
        let installed: BTreeSet<_> = pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
        assert!(installed.len() > 50);
        assert_eq!(versions(components, "pkg:deb/debian/"), installed, "{bom}");

        let distributions = ask("import importlib.metadata as metadata, json\n\
             print(json.dumps([[one.metadata['Name'], one.version] for one in metadata.distributions()]))");
        let found = versions(components, "pkg:pypi/");
        for pair in distributions.as_array().unwrap() {
            let pair = [0, 1].map(|i| pair[i].as_str().unwrap().to_owned());
            assert!(found.contains(&pair.clone().into()), "{bom}: {pair:?}");
        }
        let name = |name: &str| found.iter().filter(|(there, _)| there == name).count();
        assert_eq!(name("pip"), 2, "{bom}: ensurepip has one, too");
        assert_eq!(name("truststore"), 1, "{bom}: pip has it inside");
    }
    for component in said["spdx"].as_array().unwrap().iter().skip(2) {
        assert_ne!(component["licence"], "NOASSERTION", "{component}");
        let is_linked = component["purl"]
            .as_str()
            .unwrap()
            .starts_with("pkg:generic/");
        if is_linked && component["name"] != "imgbuild-runtime-interface-client" {
            assert!(component["sha256"].is_string(), "{component}");
        }
    }
    for name in [
        "openssl",
        "zlib",
        "glibc",
        "imgbuild",
        "libunwind",
        "rust",
        "zig",
    ] {
        let text = fs_err::read(root.join("var/lang/share/licenses").join(name)).unwrap();
        assert!(text.len() > 200, "{name}");
    }
}

#[test]
fn the_provenance_of_a_built_image_names_every_input_and_is_the_same_for_the_same_build() {
    let layout = image();
    let statement = read_provenance(&paper(layout, ".provenance.json"));
    let digest = oci::Layout::open(layout)
        .unwrap()
        .manifest_digest()
        .unwrap()
        .0;
    assert_eq!(
        statement["subject"][0]["digest"]["sha256"],
        json!(digest.hex())
    );
    let definition = &statement["predicate"]["buildDefinition"];
    let dependencies = definition["resolvedDependencies"].as_array().unwrap();
    let names: BTreeSet<&str> = dependencies
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    for name in [
        "zig", "cpython", "openssl", "pip", "boto3", "urllib3", "libc6",
    ] {
        assert!(names.contains(name), "{name}: {names:?}");
    }
    let steps = definition["internalParameters"]["steps"]
        .as_array()
        .unwrap();
    let titles: Vec<&str> = steps
        .iter()
        .filter_map(|step| step["title"].as_str())
        .collect();
    for title in ["cpython 3.13.5", "runtime interface client", "python layer"] {
        assert!(titles.contains(&title), "{title}: {titles:?}");
    }
    let boms = statement["predicate"]["runDetails"]["byproducts"]
        .as_array()
        .unwrap();
    for bom in boms {
        let bytes = fs_err::read(layout.with_file_name(bom["name"].as_str().unwrap())).unwrap();
        assert_eq!(bom["digest"]["sha256"], json!(Digest::of(&bytes).hex()));
    }
    let folder = tempfile::tempdir().unwrap();
    run(imgbuild(["python3.13", "--output"])
        .arg(folder.path())
        .env("TZ", "Asia/Tokyo"))
    .succeeded();
    for suffix in [".spdx.json", ".cdx.json", ".provenance.json"] {
        let again = fs_err::read(paper(&folder.path().join("python3.13"), suffix)).unwrap();
        assert!(
            again == fs_err::read(paper(layout, suffix)).unwrap(),
            "{suffix}"
        );
    }
}
