//! What docker and podman write, and what else may stand in such files.

use super::*;

fn password(username: &str, password: &str) -> Option<Credentials> {
    Some(Credentials::Password {
        username: username.to_owned(),
        password: Secret::new(password),
    })
}

/// Looked up in a configuration, whose helpers answer by their name: `NAME:REGISTRY`, `none`, or a fault.
fn look_up(config: &str, reference: &str) -> Result<Option<Credentials>, KeychainError> {
    let run: RunHelper = Arc::new(|program, registry| match program {
        "docker-credential-none" => Ok(HelperOutput {
            failure: Some("exit status: 1".to_owned()),
            stdout: b"credentials not found in native keychain\n".to_vec(),
            stderr: Vec::new(),
        }),
        "docker-credential-token" => Ok(HelperOutput {
            failure: None,
            stdout: br#"{"ServerURL":"x","Username":"<token>","Secret":"refresh","More":[1]}"#
                .to_vec(),
            stderr: Vec::new(),
        }),
        "docker-credential-noise" => Ok(HelperOutput {
            failure: None,
            stdout: b"canary".to_vec(),
            stderr: Vec::new(),
        }),
        "docker-credential-angry" => Ok(HelperOutput {
            failure: Some("exit status: 1".to_owned()),
            stdout: b"canary".to_vec(),
            stderr: b"cannot reach the vault\n".to_vec(),
        }),
        "docker-credential-own" | "docker-credential-store" => Ok(HelperOutput {
            failure: None,
            stdout: format!(r#"{{"Username":"{program}","Secret":"{registry}"}}"#).into_bytes(),
            stderr: b"noise".to_vec(),
        }),
        _ => Err(HelperFault::Missing),
    });
    let source = Source::Text("DOCKER_AUTH_CONFIG", Secret::new(config));
    let found = Keychain::new(vec![source], run).credentials(&reference.parse().unwrap());
    if let Err(error) = &found {
        let text = format!("{error} {error:?} {:?}", error.hint());
        assert!(!text.contains("canary"), "{text}");
    }
    found
}

fn of_key(key: &str, reference: &str) -> Option<Credentials> {
    look_up(
        &format!(r#"{{"auths":{{"{key}":{{"auth":"dTpw"}}}}}}"#),
        reference,
    )
    .unwrap()
}

#[test]
fn keys_and_what_they_are_for() {
    let fitting = [
        ("h.example", "h.example/a"),
        ("https://h.example", "h.example/a"),
        ("https://h.example/v2/", "h.example/a"),
        ("http://h.example/v1", "h.example/a"),
        ("h.example:5000", "h.example:5000/a"),
        ("[::1]:5000", "[::1]:5000/a"),
        ("h.example/team", "h.example/team/a"),
        ("h.example/team/a", "h.example/team/a:tag"),
        ("https://index.docker.io/v1/", "debian"),
        ("docker.io", "debian"),
        ("registry-1.docker.io", "docker.io/team/a"),
        ("docker.io/library", "debian"),
    ];
    for (key, reference) in fitting {
        assert_eq!(of_key(key, reference), password("u", "p"), "{key}");
    }
    let others = [
        ("h.example", "h.example:5000/a"),
        ("h.example:5000", "h.example/a"),
        ("example", "h.example/a"),
        ("h.example/team", "h.example/team2/a"),
        ("h.example/team/a", "h.example/team"),
        ("h.example.evil", "h.example/a"),
        ("docker.io/team", "debian"),
        ("", "debian"),
    ];
    for (key, reference) in others {
        assert_eq!(of_key(key, reference), None, "{key} {reference}");
    }
}

#[test]
fn the_longest_key_counts() {
    let config = r#"{"auths": {
        "h.example": {"username": "host", "password": "1"},
        "h.example/team": {"username": "team", "password": "2"},
        "h.example/team/a": {"username": "repository", "password": "3"}}}"#;
    for (reference, user, secret) in [
        ("h.example/other", "host", "1"),
        ("h.example/team/b", "team", "2"),
        ("h.example/team/a", "repository", "3"),
    ] {
        let found = look_up(config, reference).unwrap();
        assert_eq!(found, password(user, secret), "{reference}");
    }
}

#[test]
fn logins_in_all_their_forms() {
    let of = |login: &str| {
        look_up(
            &format!(r#"{{"auths":{{"h.example":{login}}},"HttpHeaders":{{}}}}"#),
            "h.example/a",
        )
    };
    let good = [
        (r#"{"auth":"dTpw"}"#, password("u", "p")),
        (r#"{"auth":"dTpwOnA="}"#, password("u", "p:p")),
        (r#"{"auth":"dTpwOnA"}"#, password("u", "p:p")),
        (r#"{"auth":"dTpwAAA="}"#, password("u", "p")),
        (r#"{"username":"u","password":"p"}"#, password("u", "p")),
        (
            r#"{"auth":"dTpw","identitytoken":"t"}"#,
            Some(Credentials::IdentityToken(Secret::new("t"))),
        ),
        (
            r#"{"registrytoken":"t"}"#,
            Some(Credentials::RegistryToken(Secret::new("t"))),
        ),
        ("{}", None),
        (r#"{"auth":"","email":"x"}"#, None),
    ];
    for (login, found) in good {
        assert_eq!(of(login).unwrap(), found, "{login}");
    }
    // Y2FuYXJ5 is the word canary, without a colon.
    for bad in [
        r#"{"auth":"Y2FuYXJ5"}"#,
        r#"{"auth":"canary!"}"#,
        r#"{"auth":"OmNhbmFyeQ=="}"#,
        r#"{"auth":"/////w=="}"#,
        r#"{"username":"canary"}"#,
    ] {
        let error = of(bad).unwrap_err();
        assert!(matches!(error, KeychainError::Login { .. }), "{error}");
    }
}

#[test]
fn helpers_before_the_file_s_own_logins() {
    let config = r#"{"credHelpers": {"h.example": "own", "n.example": "none", "t.example": "token"},
        "credsStore": "store", "auths": {"n.example": {"auth": "dTpw"}, "docker.io": {}}}"#;
    let found = |reference| look_up(config, reference).unwrap();
    assert_eq!(
        found("h.example/a"),
        password("docker-credential-own", "h.example")
    );
    assert_eq!(found("n.example/a"), password("u", "p"));
    assert_eq!(
        found("t.example/a"),
        Some(Credentials::IdentityToken(Secret::new("refresh")))
    );
    assert_eq!(
        found("debian"),
        password("docker-credential-store", "https://index.docker.io/v1/")
    );
    let none = r#"{"credsStore":"none"}"#;
    assert_eq!(look_up(none, "debian").unwrap(), None);
}

#[test]
fn helpers_that_do_not_help() {
    let error = |name: &str| {
        let config = format!(r#"{{"credsStore":"{name}"}}"#);
        look_up(&config, "h.example/a").unwrap_err().to_string()
    };
    for (name, words) in [
        ("noise", "its answer is not a login"),
        (
            "angry",
            "it failed (exit status: 1): cannot reach the vault",
        ),
        ("absent", "it is not installed"),
        ("../../evil", "that is not the name of a helper"),
        ("a b", "that is not the name of a helper"),
    ] {
        let shown = error(name);
        assert!(shown.ends_with(words), "{shown}");
        assert!(shown.contains("DOCKER_AUTH_CONFIG"), "{shown}");
    }
}

#[test]
fn configurations_that_are_none() {
    for bad in [
        "canary",
        "[]",
        r#"{"auths":["canary"]}"#,
        r#"{"auths":{"h.example":"canary"}}"#,
        r#"{"auths":{"h.example":{"auth":{"canary":1}}}}"#,
        r#"{"credHelpers":{"canary":1}}"#,
        &"[".repeat(100_000),
    ] {
        let error = look_up(bad, "h.example/a").unwrap_err();
        assert!(matches!(error, KeychainError::Malformed { .. }), "{error}");
    }
    for empty in ["", " \n", "{}", r#"{"auths":null}"#, "\u{feff}{}"] {
        assert_eq!(look_up(empty, "h.example/a").unwrap(), None, "{empty}");
    }
}

#[test]
fn the_first_place_that_knows_counts() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, login: &str| {
        let path = dir.path().join(name);
        let text =
            format!(r#"{{"auths":{{"{login}.example":{{"username":"{name}","password":"p"}}}}}}"#);
        fs::write(&path, text).unwrap();
        Source::File(path)
    };
    let sources = vec![
        Source::File(dir.path().join("absent/config.json")),
        file("first", "a"),
        file("second", "b"),
        file("third", "b"),
    ];
    let keychain = Keychain::new(sources, Arc::new(|_, _| Err(HelperFault::Missing)));
    let found = |reference: &str| keychain.credentials(&reference.parse().unwrap()).unwrap();
    assert_eq!(found("a.example/x"), password("first", "p"));
    assert_eq!(found("b.example/x"), password("second", "p"));
    assert_eq!(found("c.example/x"), None);
    assert!(!format!("{keychain:?}").contains("username"));
    // A folder where the file should be is named.
    let folder = Source::File(dir.path().to_owned());
    let keychain = Keychain::new(vec![folder], Arc::new(|_, _| Err(HelperFault::Missing)));
    let error = keychain
        .credentials(&"a.example/x".parse().unwrap())
        .unwrap_err();
    assert!(
        error.to_string().contains(dir.path().to_str().unwrap()),
        "{error}"
    );
}
