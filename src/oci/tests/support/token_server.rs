//! A token server that docker-registry trusts: it signs JSON web tokens with a key whose certificate the registry knows.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use fs_err as fs;
use oci::registry::Url;
use rcgen::{CertificateParams, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

use super::http_server::{Heard, answer, hear, listen};
use super::{PASSWORD, REFRESH_TOKEN, USER};

/// What docker-registry calls itself to this server.
pub const SERVICE: &str = "the registry";
/// What this server calls itself in its tokens.
pub const ISSUER: &str = "the token server";
/// docker-registry takes a token for so many seconds longer than it says.
pub const LEEWAY: i64 = 60;

/// A token server.
pub struct TokenServer {
    address: String,
    certificate: PathBuf,
    state: Arc<State>,
}

struct State {
    key: EcdsaKeyPair,
    certificate: Vec<u8>,
    life: AtomicI64,
    given: AtomicUsize,
}

impl TokenServer {
    /// Starts it; its certificate is a file in a folder.
    pub fn start(folder: &Path) -> Self {
        let pair = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![ISSUER.replace(' ', "-")]).unwrap();
        let certificate = certificate.self_signed(&pair).unwrap();
        let path = folder.join("token.pem");
        fs::write(&path, certificate.pem()).unwrap();
        let random = SystemRandom::new();
        let key = pair.serialize_der();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key, &random);
        let state = Arc::new(State {
            key: key.unwrap(),
            certificate: certificate.der().to_vec(),
            life: AtomicI64::new(300),
            given: AtomicUsize::new(0),
        });
        let shared = state.clone();
        let address = listen(move |stream| {
            if let Some(heard) = hear(&stream) {
                let (status, body) = shared.respond(&heard);
                answer(stream, status, body.to_string().as_bytes());
            }
        });
        Self {
            address,
            certificate: path,
            state,
        }
    }

    /// What the registry is told to name.
    pub fn realm(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// The certificate that the registry has to know.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// How many tokens it gave.
    pub fn given(&self) -> usize {
        self.state.given.load(Ordering::SeqCst)
    }

    /// From now on tokens are good for so many seconds at the registry, whatever their answer says.
    pub fn set_life(&self, seconds: i64) {
        self.state.life.store(seconds - LEEWAY, Ordering::SeqCst);
    }
}

impl State {
    fn respond(&self, heard: &Heard) -> (u16, Value) {
        let form = match heard.method() {
            "POST" => String::from_utf8_lossy(&heard.body).into_owned(),
            _ => heard
                .target()
                .split_once('?')
                .map_or("", |(_, query)| query)
                .to_owned(),
        };
        let form = Url::parse(&format!("form:?{form}")).unwrap();
        let field = |name: &str| {
            let values = form.query_pairs().filter(|(key, _)| key == name);
            let values: Vec<String> = values.map(|(_, value)| value.into_owned()).collect();
            values.join(" ")
        };
        let basic = format!(
            "Basic {}",
            BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"))
        );
        let known = match (heard.method(), heard.header("authorization")) {
            ("POST", _) if field("refresh_token") == REFRESH_TOKEN => true,
            ("GET", Some(sent)) if sent == basic => true,
            ("GET", None) => false,
            _ => return (401, json!({"details": "incorrect username or password"})),
        };
        if field("service") != SERVICE {
            return (400, json!({"details": "another service"}));
        }
        self.given.fetch_add(1, Ordering::SeqCst);
        let access: Vec<Value> = field("scope")
            .split(' ')
            .filter_map(|it| grant(it, known))
            .collect();
        (
            200,
            json!({"token": self.token(&access), "expires_in": 3600}),
        )
    }

    fn token(&self, access: &[Value]) -> String {
        let now = jiff::Timestamp::now().as_second();
        let certificate = BASE64_STANDARD.encode(&self.certificate);
        let head = json!({"typ": "JWT", "alg": "ES256", "x5c": [certificate]});
        let claims = json!({
            "iss": ISSUER, "aud": SERVICE, "sub": USER, "access": access,
            "iat": now - 3600, "nbf": now - 3600, "exp": now + self.life.load(Ordering::SeqCst),
            "jti": self.given.load(Ordering::SeqCst).to_string(),
        });
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&head), encode(&claims));
        let signature = self
            .key
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Whoever is not known may read what is in `public/`.
fn grant(scope: &str, known: bool) -> Option<Value> {
    let mut parts = scope.split(':');
    let (kind, name, actions) = (parts.next()?, parts.next()?, parts.next()?);
    let granted = |action: &&str| known || *action == "pull" && name.starts_with("public/");
    let actions: Vec<&str> = actions.split(',').filter(granted).collect();
    Some(json!({"type": kind, "name": name, "actions": actions}))
}
