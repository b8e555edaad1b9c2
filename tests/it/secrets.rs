//! Canaries in every place where users keep secrets: none of them is found in anything that the program writes, whatever
//! it does and however it ends.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::credentials::{Home, answering, auths, discreet};
use crate::registries::real_registry::RealRegistry;
use crate::steps::store_without;
use crate::support::{compiling, definitions, edit_lock, files_below, image, imgbuild};

/// What `canary` looks like in base64, whatever stands before it.
const FORMS: [&[u8]; 4] = [b"canary", b"Y2FuYXJ5", b"NhbmFye", b"jYW5hcn"];

/// Variables that hold secrets on the machines of CI services.
const VARIABLES: [(&str, &str); 14] = [
    ("AWS_ACCESS_KEY_ID", "canary-aws"),
    ("AWS_SECRET_ACCESS_KEY", "canary-aws"),
    ("AWS_SESSION_TOKEN", "canary-aws"),
    ("GITHUB_TOKEN", "canary-token"),
    ("CI_JOB_TOKEN", "canary-token"),
    ("CARGO_REGISTRY_TOKEN", "canary-token"),
    ("PIP_INDEX_URL", "http://user:canary@127.0.0.1:1/simple"),
    (
        "PIP_EXTRA_INDEX_URL",
        "http://user:canary@127.0.0.1:1/extra",
    ),
    ("HTTPS_PROXY", "http://user:canary@127.0.0.1:1"),
    ("HTTP_PROXY", "http://user:canary@127.0.0.1:1"),
    ("ALL_PROXY", "http://user:canary@127.0.0.1:1"),
    ("COSIGN_PASSWORD", "canary-key"),
    ("SSH_AUTH_SOCK", "/canary/socket"),
    ("PASSWORD", "canary"),
];

/// A home folder with secrets in every file that has some.
fn home(registry: &str) -> Home {
    let home = Home::new();
    let config = json!({
        "auths": {
            registry: {"auth": "dXNlcjpjYW5hcnktd3Jvbmc="},
            "elsewhere.example": {"identitytoken": "canary-identity"},
            "third.example": {"username": "user", "password": "canary", "registrytoken": "canary"},
        },
        "credHelpers": {"fourth.example": "vault"},
        "HttpHeaders": {"X-Token": "canary"},
    });
    home.write(".docker/config.json", &config.to_string());
    home.helper(
        "vault",
        &answering("fourth.example", "user", "canary-vault"),
    );
    home.write(".netrc", "machine 127.0.0.1 login user password canary\n");
    home.write(".config/containers/auth.json", &auths("fifth.example"));
    home.write(
        ".config/pip/pip.conf",
        "[global]\nextra-index-url = http://user:canary@127.0.0.1:1/conf\n",
    );
    home.write(
        ".cargo/credentials.toml",
        "[registry]\ntoken = \"canary\"\n",
    );
    home.write(
        ".aws/credentials",
        "[default]\naws_secret_access_key = canary\n",
    );
    home.write(".ssh/id_ed25519", "canary\n");
    home
}

fn with_secrets(mut command: Command) -> Command {
    command.envs(VARIABLES);
    command
}

/// Panics if a file below the folder holds a canary.
#[track_caller]
fn is_clean(folder: &Path) {
    let mut looked = 0;
    for file in files_below(folder) {
        looked += 1;
        let bytes = fs_err::read(&file).unwrap();
        for form in FORMS {
            let found = bytes.windows(form.len()).any(|window| window == form);
            assert!(!found, "{} holds a canary", file.display());
        }
    }
    assert!(looked > 0, "there is nothing in {}", folder.display());
}

const VERBOSITIES: [&[&str]; 3] = [&[], &["--quiet"], &["--format", "json"]];

#[test]
fn what_speaks_to_registries_says_no_secret() {
    // Knows another password than the one at home: everything fails at the login.
    let registry = RealRegistry::htpasswd();
    let home = home(registry.address());
    let image = home.image.to_str().unwrap().to_owned();
    let reference = format!("{}/team/a:1", registry.address());
    let with_login = format!("user:canary@{}/team/a:1", registry.address());
    let elsewhere = [
        "elsewhere.example/a:1",
        "third.example/a:1",
        "fourth.example/a:1",
    ];
    let file = home.write("paper.json", "{}");
    let cache = home.folder.path().join("cache");
    let references = elsewhere
        .iter()
        .copied()
        .chain([reference.as_str(), with_login.as_str()]);
    for reference in references {
        let commands: [Vec<&str>; 6] = [
            vec!["push", &image, reference],
            vec!["copy", &image, reference],
            vec!["copy", reference, "./pulled"],
            vec!["inspect", reference, "--referrers"],
            vec!["verify", reference],
            vec![
                "attach",
                reference,
                file.to_str().unwrap(),
                "--artifact-type",
                "a/b",
            ],
        ];
        for command in commands {
            for verbosity in VERBOSITIES {
                let mut command = with_secrets(home.imgbuild(&command));
                command.args(verbosity).env("IMGBUILD_CACHE", &cache);
                let outcome = discreet(&mut command);
                assert_eq!(outcome.code, Some(1), "{command:?}: {}", outcome.stderr);
            }
        }
    }
    is_clean(&cache);
    assert!(!home.folder.path().join("pulled").exists());
}

#[test]
fn a_build_says_and_keeps_no_secret() {
    let _compiling = compiling();
    let home = home("127.0.0.1:1");
    let store = store_without("sdk-for-cpython");
    let (cache, dist) = (store.path().join("store"), store.path().join("dist"));
    let command = |folder: &Path, recipe: &str| -> Command {
        let mut command = with_secrets(imgbuild(["build", recipe, "--output"]));
        command
            .arg(&dist)
            .arg("--cache-dir")
            .arg(&cache)
            .current_dir(folder);
        command
            .env("HOME", home.folder.path())
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full");
        command
    };
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    for verbosity in VERBOSITIES {
        discreet(
            command(&here, "python3.13")
                .args(verbosity)
                .arg("--tarball")
                .arg(dist.join("image.tar")),
        )
        .succeeded();
    }
    // The bytes of the image are those that were built without any secret around.
    let built = |layout: &Path| {
        oci::Layout::open(layout)
            .unwrap()
            .manifest_digest()
            .unwrap()
    };
    assert_eq!(built(&dist.join("python3.13")), built(image()));
    for folder in
        ["logs", "steps", "resolved", "tmp", "sessions", "partial"].map(|name| cache.join(name))
    {
        if !files_below(&folder).is_empty() {
            is_clean(&folder);
        }
    }
    is_clean(&dist);

    // Inputs that cannot be had: every place and every tool is asked and quoted.
    let folder = definitions();
    let lock = folder.path().join("recipes/python3.13.lock");
    for digest in [
        "4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274",
        "ab5a03176ee106d3f0fa90e381da478ddae405918153cca248e682cd0c4a2269",
    ] {
        edit_lock(&lock, digest, &"0".repeat(64));
    }
    edit_lock(
        &lock,
        "https://github.com/libexpat",
        "https://user:canary@127.0.0.1:1/libexpat",
    );
    for verbosity in VERBOSITIES {
        let outcome = discreet(
            command(folder.path(), "./recipes/python3.13.yaml")
                .args(verbosity)
                .arg("--no-fallback"),
        );
        assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains("six") && outcome.stderr.contains("expat"),
            "{}",
            outcome.stderr
        );
    }
    is_clean(&cache.join("logs"));
}
