//! What an extension asks of the Telemetry API or the older Logs API. JSON in, a checked subscription out.

use std::time::Duration;

use super::json::Value;
use super::refusal::Refusal;

/// Which of the two APIs, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// `/2022-07-01/telemetry`
    Telemetry,
    /// `/2020-08-15/logs`
    Logs,
}

impl Api {
    /// The service's word for a bad request.
    fn validation_error(self) -> &'static str {
        match self {
            Self::Telemetry => "ValidationError",
            Self::Logs => "Logs.ValidationError",
        }
    }

    fn schemas(self) -> &'static [&'static str] {
        match self {
            Self::Telemetry => &["2022-07-01", "2022-12-13", "2025-01-29"],
            Self::Logs => &["2020-08-15", "2021-03-18"],
        }
    }

    /// The refusal after the initialisation.
    pub fn closed(self) -> Refusal {
        match self {
            Self::Telemetry => Refusal::new(
                403,
                "Telemetry.SubscriptionClosed",
                "Telemetry API subscription is closed",
            ),
            Self::Logs => Refusal::new(
                403,
                "Logs.SubscriptionClosed",
                "Logs API subscription is closed",
            ),
        }
    }
}

/// Where records come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// The platform itself.
    Platform,
    /// What the function writes.
    Function,
    /// What extensions write.
    Extension,
}

impl Category {
    const ALL: [Self; 3] = [Self::Platform, Self::Function, Self::Extension];

    /// The word in subscriptions and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Function => "function",
            Self::Extension => "extension",
        }
    }
}

/// Where records go to, on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A JSON array for each batch.
    Http {
        /// POST, or PUT for the Logs API.
        method: &'static str,
        /// Host and port as in the URI.
        host: String,
        /// The port.
        port: u16,
        /// The path, from the slash on.
        path: String,
    },
    /// A line of JSON for each record.
    Tcp {
        /// The port.
        port: u16,
    },
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The API that it was made through.
    pub api: Api,
    /// The form of the records: one of the versions of that API.
    pub schema: &'static str,
    /// The wanted records.
    pub types: Vec<Category>,
    /// Where they go to.
    pub destination: Destination,
    /// A batch has at most so many records,
    pub most_items: usize,
    /// and so many bytes unless a single record has more,
    pub most_bytes: usize,
    /// and waits no longer than this.
    pub timeout: Duration,
}

impl Subscription {
    /// Reads a request's body.
    pub fn parse(api: Api, body: &[u8]) -> Result<Self, Refusal> {
        let refuse = |message: String| Refusal::new(400, api.validation_error(), message);
        let json = std::str::from_utf8(body)
            .ok()
            .and_then(Value::parse)
            .filter(|value| matches!(value, Value::Object(_)))
            .ok_or_else(|| refuse("the body is not a JSON object".to_owned()))?;
        // All complaints at once, as the service does it.
        let mut wrong = Vec::new();
        let schema = schema(api, &json).unwrap_or_else(|message| {
            wrong.push(message);
            ""
        });
        let types = types(&json).unwrap_or_else(|message| {
            wrong.push(message);
            Vec::new()
        });
        let destination = destination(&json).map_err(|message| wrong.push(message));
        let mut number = |name, default, least, most| {
            buffering(&json, name, default, least, most).unwrap_or_else(|message| {
                wrong.push(message);
                default
            })
        };
        let most_items = number("maxItems", 1000, 1000, 10_000) as usize;
        let most_bytes = number("maxBytes", 262_144, 262_144, 1_048_576) as usize;
        let timeout = Duration::from_millis(number("timeoutMs", 1000, 25, 30_000));
        match destination {
            Ok(destination) if wrong.is_empty() => Ok(Self {
                api,
                schema,
                types,
                destination,
                most_items,
                most_bytes,
                timeout,
            }),
            _ => Err(refuse(wrong.join("; "))),
        }
    }
}

fn schema(api: Api, json: &Value) -> Result<&'static str, String> {
    let known = api.schemas();
    match (json.get("schemaVersion"), api) {
        (None, Api::Logs) => Ok(known[0]),
        (wanted, _) => {
            let wanted = wanted.and_then(Value::as_text);
            let found = known.iter().find(|version| wanted == Some(version));
            found
                .copied()
                .ok_or_else(|| format!("schemaVersion should be one of {}", known.join(", ")))
        }
    }
}

fn types(json: &Value) -> Result<Vec<Category>, String> {
    let wanted = json
        .get("types")
        .and_then(Value::as_array)
        .unwrap_or_default();
    if wanted.is_empty() {
        return Err("types should not be empty".to_owned());
    }
    let category = |value: &Value| {
        let found = Category::ALL
            .into_iter()
            .find(|category| value.as_text() == Some(category.name()));
        found.ok_or_else(|| "types should be platform, function, extension".to_owned())
    };
    let mut types = Vec::new();
    for value in wanted {
        let category = category(value)?;
        if !types.contains(&category) {
            types.push(category);
        }
    }
    Ok(types)
}

fn destination(json: &Value) -> Result<Destination, String> {
    let destination = json
        .get("destination")
        .ok_or("destination is not provided")?;
    let text = |name| destination.get(name).and_then(Value::as_text);
    match text("protocol") {
        Some("HTTP") => http_destination(
            text("URI").ok_or("URI is not provided")?,
            text("method").unwrap_or("POST"),
        ),
        Some("TCP") => {
            let port = destination.get("port").and_then(Value::as_integer);
            let port = port.and_then(|port| u16::try_from(port).ok());
            let port = port.filter(|&port| port > 0);
            port.map(|port| Destination::Tcp { port })
                .ok_or_else(|| "port should be from 1 to 65535".to_owned())
        }
        _ => Err("protocol should be HTTP or TCP".to_owned()),
    }
}

fn http_destination(uri: &str, method: &str) -> Result<Destination, String> {
    let method = ["POST", "PUT"]
        .into_iter()
        .find(|known| *known == method)
        .ok_or("method should be POST or PUT")?;
    let rest = uri
        .strip_prefix("http://")
        .ok_or("URI should begin with http://")?;
    let (host, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    let (name, port) = host.split_once(':').ok_or("URI port is not provided")?;
    let port = port
        .parse()
        .ok()
        .filter(|&port| port > 0)
        .ok_or("URI port should be from 1 to 65535")?;
    if !["sandbox.localdomain", "sandbox", "localhost", "127.0.0.1"].contains(&name) {
        return Err("URI host should be sandbox.localdomain or localhost".to_owned());
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("URI path has characters that must be escaped".to_owned());
    }
    Ok(Destination::Http {
        method,
        host: host.to_owned(),
        port,
        path: path.to_owned(),
    })
}

fn buffering(json: &Value, name: &str, default: u64, least: u64, most: u64) -> Result<u64, String> {
    match json
        .get("buffering")
        .and_then(|buffering| buffering.get(name))
    {
        None => Ok(default),
        Some(value) => value
            .as_integer()
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| format!("{name} should be from {least} to {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"schemaVersion": "2022-12-13", "types": ["platform", "function", "platform"],
        "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080/a?b"},
        "buffering": {"maxItems": 2000, "timeoutMs": 25}}"#;

    #[test]
    fn subscriptions_are_read() {
        let subscription = Subscription::parse(Api::Telemetry, GOOD.as_bytes()).unwrap();
        let expected = Subscription {
            api: Api::Telemetry,
            schema: "2022-12-13",
            types: vec![Category::Platform, Category::Function],
            destination: Destination::Http {
                method: "POST",
                host: "sandbox.localdomain:8080".to_owned(),
                port: 8080,
                path: "/a?b".to_owned(),
            },
            most_items: 2000,
            most_bytes: 262_144,
            timeout: Duration::from_millis(25),
        };
        assert_eq!(subscription, expected);
        let logs = r#"{"types": ["extension"], "destination": {"protocol": "TCP", "port": 9}}"#;
        let subscription = Subscription::parse(Api::Logs, logs.as_bytes()).unwrap();
        assert_eq!(subscription.schema, "2020-08-15");
        assert_eq!(subscription.destination, Destination::Tcp { port: 9 });
    }

    #[test]
    fn everything_that_is_wrong_is_said() {
        for (from, to, message) in [
            (GOOD, "[]", "the body is not a JSON object"),
            (
                "2022-12-13",
                "2020-08-15",
                "schemaVersion should be one of 2022-07-01, 2022-12-13, 2025-01-29",
            ),
            ("2000", "999", "maxItems should be from 1000 to 10000"),
            ("25}", "24.5}", "timeoutMs should be from 25 to 30000"),
            (":8080", "", "URI port is not provided"),
            (":8080", ":0", "URI port should be from 1 to 65535"),
            ("http:", "https:", "URI should begin with http://"),
            (
                "sandbox.localdomain",
                "example.org",
                "URI host should be sandbox.localdomain or localhost",
            ),
            (
                "/a?b",
                "/a b",
                "URI path has characters that must be escaped",
            ),
            ("\"HTTP\"", "\"UDP\"", "protocol should be HTTP or TCP"),
            ("\"destination\"", "\"d\"", "destination is not provided"),
            (
                "\"function\"",
                "\"functions\"",
                "types should be platform, function, extension",
            ),
            (
                "[\"platform\", \"function\", \"platform\"]",
                "[]",
                "types should not be empty",
            ),
        ] {
            let body = GOOD.replace(from, to);
            assert_ne!(body, GOOD);
            let refusal = Subscription::parse(Api::Telemetry, body.as_bytes()).unwrap_err();
            let expected = Refusal::new(400, "ValidationError", message);
            assert_eq!(refusal, expected, "{body}");
        }
        let refusal = Subscription::parse(Api::Logs, b"{\"types\": []}").unwrap_err();
        assert_eq!(
            refusal.message,
            "types should not be empty; destination is not provided"
        );
        assert_eq!(refusal.kind, "Logs.ValidationError");
    }
}
