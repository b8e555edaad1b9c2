//! Logging in to a registry: comes in its challenge, goes out a value for `Authorization`. Credentials come from the
//! caller; this file reads no configuration.

use std::io::Read as _;
use std::net::IpAddr;

use reqwest::Url;
use serde::Deserialize;

use super::Secret;
use super::http::{Get, Http, HttpError, host};
use super::retry::retrying;

/// More than any token, less than what hurts.
const MAX_ANSWER: u64 = 1 << 20;

/// A user's account at one registry.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user's name.
    pub username: String,
    /// The password or token.
    pub password: Secret,
}

/// One challenge of a `WWW-Authenticate` header.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// The value of `Authorization` that answers `challenges`, which the registry at `api` sent.
pub(super) fn answer(
    http: &Http,
    api: &Url,
    scope: &str,
    challenges: &[String],
    credentials: Option<&Credentials>,
) -> Result<Secret, HttpError> {
    let refuse = |reason: String| HttpError::Login {
        host: host(api),
        reason,
    };
    let challenges: Vec<Challenge> = challenges.iter().flat_map(|text| parse(text)).collect();
    if let Some(bearer) = challenges
        .iter()
        .find(|challenge| challenge.scheme == "bearer")
    {
        let realm = bearer.get("realm").unwrap_or_default();
        let mut url = check_realm(api, realm)
            .map_err(|reason| refuse(format!("its token server {reason}")))?;
        if let Some(service) = bearer.get("service") {
            url.query_pairs_mut().append_pair("service", service);
        }
        url.query_pairs_mut().append_pair("scope", scope);
        return token(http, url, credentials);
    }
    if challenges
        .iter()
        .any(|challenge| challenge.scheme == "basic")
    {
        return credentials
            .map(basic)
            .ok_or_else(|| refuse("no user and password are known for it".to_owned()));
    }
    Err(refuse(
        "it names no way to log in that is spoken here".to_owned(),
    ))
}

fn token(http: &Http, url: Url, credentials: Option<&Credentials>) -> Result<Secret, HttpError> {
    let host = host(&url);
    let get = Get {
        authorization: credentials.map(basic),
        // A token server that sends elsewhere would send the credentials elsewhere.
        redirects: false,
        ..Get::new(url)
    };
    let response = retrying(http.options(), || http.get(&get))?;
    let refuse = |reason: &str| HttpError::Login {
        host: host.clone(),
        reason: reason.to_owned(),
    };
    let mut body = Vec::new();
    let read = response.take(MAX_ANSWER).read_to_end(&mut body);
    read.map_err(|_| refuse("its answer broke off"))?;
    let answer: Token =
        serde_json::from_slice(&body).map_err(|_| refuse("its answer is not a token"))?;
    let token = answer
        .token
        .or(answer.access_token)
        .filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| refuse("its answer holds no token"))?;
    if token.chars().any(|c| !c.is_ascii_graphic()) {
        return Err(refuse("its token has bytes that no header may have"));
    }
    Ok(Secret::new(format!("Bearer {token}")))
}

fn basic(credentials: &Credentials) -> Secret {
    let plain = format!("{}:{}", credentials.username, credentials.password.expose());
    Secret::new(format!("Basic {}", base64(plain.as_bytes())))
}

/// The token server is named by the registry; it may not turn this machine into a tool against its own network.
fn check_realm(api: &Url, realm: &str) -> Result<Url, String> {
    let url = Url::parse(realm).map_err(|_| format!("{realm:?} is not an address"))?;
    let same_host = url.host() == api.host();
    if url.scheme() != "https" && (url.scheme() != "http" || api.scheme() != "http") {
        return Err(format!("is not asked over {}", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user in its address".to_owned());
    }
    if !same_host && is_internal(&url) {
        return Err(format!("is an internal address, {}", host(&url)));
    }
    Ok(url)
}

fn is_internal(url: &Url) -> bool {
    let name = url.host_str().unwrap_or_default();
    let Ok(ip) = name.trim_matches(['[', ']']).parse::<IpAddr>() else {
        return name == "localhost" || name.ends_with(".localhost");
    };
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_broadcast()
        }
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
        }
    }
}

impl Challenge {
    fn get(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// `Scheme key="value", key=value, Scheme …`; what does not fit the grammar ends the list.
fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = header.trim_start_matches([' ', ',']);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            break;
        }
        if let Some(value) = after.trim_start().strip_prefix('=') {
            let Some((value, after)) = parse_value(value.trim_start()) else {
                break;
            };
            let Some(challenge) = challenges.last_mut() else {
                break;
            };
            challenge
                .parameters
                .push((word.to_ascii_lowercase(), value));
            rest = after;
        } else {
            challenges.push(Challenge {
                scheme: word.to_ascii_lowercase(),
                parameters: Vec::new(),
            });
            rest = after;
        }
        rest = rest.trim_start_matches([' ', '\t', ',']);
    }
    challenges
}

fn parse_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !is_token(c)).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * i) & 63) as usize] as char;
            text.push(if i <= chunk.len() { letter } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_parsed() {
        let one =
            parse(r#"Bearer realm="https://a/t?x=1,2",service="s \"q\"", scope=repository:a:pull"#);
        assert_eq!(one.len(), 1);
        assert_eq!(one[0].scheme, "bearer");
        assert_eq!(one[0].get("realm"), Some("https://a/t?x=1,2"));
        assert_eq!(one[0].get("service"), Some("s \"q\""));
        let two = parse(r#"Basic realm="x", Bearer realm="y""#);
        let schemes: Vec<_> = two
            .iter()
            .map(|c| (c.scheme.as_str(), c.get("realm").unwrap()))
            .collect();
        assert_eq!(schemes, [("basic", "x"), ("bearer", "y")]);
        for broken in [
            "",
            ",,",
            "=x",
            "Bearer realm=\"x",
            "\"\"",
            "é",
            "Bearer realm=\"x\\",
        ] {
            assert!(
                parse(broken).iter().all(|c| c.parameters.is_empty()),
                "{broken}"
            );
        }
    }

    #[test]
    fn token_servers_are_checked() {
        let api = |text: &str| Url::parse(text).unwrap();
        let https = api("https://registry.example/v2/");
        let http = api("http://127.0.0.1:5000/v2/");
        for good in [
            "https://auth.example/token",
            "https://registry.example:8443/t",
            "https://8.8.8.8/t",
        ] {
            assert!(check_realm(&https, good).is_ok(), "{good}");
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
            assert!(check_realm(&https, bad).is_err(), "{bad}");
        }
        assert!(check_realm(&http, "http://127.0.0.1:5001/t").is_ok());
        assert!(check_realm(&http, "http://127.0.0.2:5001/t").is_err());
    }

    #[test]
    fn base64_of_all_lengths() {
        let table = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("a:\u{ff}?>", "YTrDvz8+"),
        ];
        for (plain, encoded) in table {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn secrets_do_not_show() {
        let credentials = Credentials {
            username: "u".into(),
            password: Secret::new("canary"),
        };
        assert!(!format!("{credentials:?} {:?}", basic(&credentials)).contains("canary"));
    }
}
