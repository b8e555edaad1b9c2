//! Which token servers are asked.

use super::*;

#[test]
fn token_servers_are_checked() {
    let network = Network::default();
    let api = |text: &str| Url::parse(text).unwrap();
    let https = api("https://registry.example/v2/");
    let http = api("http://127.0.0.1:5000/v2/");
    for good in [
        "https://auth.example/token",
        "https://registry.example:8443/t",
        "https://8.8.8.8/t",
    ] {
        assert!(check_realm(&https, good, &network).is_ok(), "{good}");
    }
    for bad in [
        "",
        "/token",
        "http://auth.example/t",
        "ftp://auth.example/t",
        "file:///etc/passwd",
        "https://user:pw@auth.example/t",
        "https://127.0.0.1/t",
        "https://10.1.2.3/t",
        "https://169.254.169.254/t",
        "https://0.0.0.0/t",
        "https://[::1]/t",
        "https://[::ffff:127.0.0.1]/t",
        "https://[fe80::1]/t",
        "https://[fd00::1]/t",
        "https://localhost/t",
        "https://2130706433/t",
        "https://0x7f.1/t",
    ] {
        assert!(check_realm(&https, bad, &network).is_err(), "{bad}");
    }
    assert!(check_realm(&http, "http://127.0.0.1:5001/t", &network).is_ok());
    assert!(check_realm(&http, "http://127.0.0.2:5001/t", &network).is_err());
}
