//! The Extensions API, and the two through which extensions subscribe to telemetry.

use super::identifier;
use super::json::{Value, quote};
use super::refusal::Refusal;
use super::sandbox::Sandbox;
use super::server::{Answer, Exchange, Response};
use super::subscription::{Api, Subscription};

/// What the paths of the Extensions API begin with.
pub const PATH: &str = "/2020-01-01/extension/";
const ACCEPTED: &str = "{\"status\":\"OK\"}\n";
const IDENTIFIER: &str = "Lambda-Extension-Identifier";
/// Far above what these requests need.
const LONGEST_BODY: usize = 1024 * 1024;

/// Answers a request to `path`, which is without [`PATH`].
pub fn answer(sandbox: &Sandbox, exchange: &mut Exchange, method: &str, path: &str) -> Answer {
    let result = match (method, path) {
        ("POST", "register") => register(sandbox, exchange),
        ("GET", "event/next") => next(sandbox, exchange),
        ("POST", "init/error") => {
            error(exchange, |id, kind| sandbox.extension_init_error(id, kind))
        }
        ("POST", "exit/error") => {
            error(exchange, |id, kind| sandbox.extension_exit_error(id, kind))
        }
        _ => return Answer::Response(Response::new(404, "text/plain", "404 page not found\n")),
    };
    Answer::Response(result.unwrap_or_else(|refusal| refusal.response()))
}

/// Answers a subscription.
pub fn subscribe(sandbox: &Sandbox, exchange: &mut Exchange, api: Api) -> Answer {
    let result = identified(exchange).and_then(|id| {
        let name = sandbox.extension_name(&id)?;
        let subscription = Subscription::parse(api, &body(exchange)?)?;
        sandbox.subscribe(&name, subscription)
    });
    Answer::Response(match result {
        Ok(()) => Response::json(200, "\"OK\""),
        Err(refusal) => refusal.response(),
    })
}

fn body(exchange: &mut Exchange) -> Result<Vec<u8>, Refusal> {
    let invalid = |_| Refusal::new(403, "InvalidRequestFormat", "The body cannot be read");
    exchange.body.whole(LONGEST_BODY).map_err(invalid)
}

fn identified(exchange: &Exchange) -> Result<String, Refusal> {
    match exchange.head.header("lambda-extension-identifier") {
        None | Some("") => Err(Refusal::new(
            403,
            "Extension.MissingExtensionIdentifier",
            "Missing Lambda-Extension-Identifier header",
        )),
        Some(id) if identifier::is_valid(id) => Ok(id.to_owned()),
        Some(_) => Err(Refusal::new(
            403,
            "Extension.InvalidExtensionIdentifier",
            "Invalid Lambda-Extension-Identifier",
        )),
    }
}

fn register(sandbox: &Sandbox, exchange: &mut Exchange) -> Result<Response, Refusal> {
    let header = |name| exchange.head.header(name).unwrap_or_default().to_owned();
    let (name, features) = (
        header("lambda-extension-name"),
        header("lambda-extension-accept-feature"),
    );
    if name.is_empty() {
        return Err(Refusal::new(
            403,
            "Extension.InvalidExtensionName",
            "Empty extension name",
        ));
    }
    let events = events(&body(exchange)?)
        .map_err(|message| Refusal::new(403, "InvalidRequestFormat", message))?;
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let id = sandbox.register(&name, &events)?;
    let configuration = &sandbox.configuration;
    let handler = configuration.handler.as_deref().unwrap_or_default();
    let mut body = format!(
        "{{\"functionName\":{},\"functionVersion\":{},\"handler\":{}",
        quote(&configuration.function_name),
        quote(&configuration.function_version),
        quote(handler)
    );
    if features
        .split(',')
        .any(|feature| feature.trim() == "accountId")
    {
        body.push_str(&format!(
            ",\"accountId\":{}",
            quote(&configuration.account_id)
        ));
    }
    body.push('}');
    Ok(Response::json(200, body).with(IDENTIFIER, &id))
}

fn events(body: &[u8]) -> Result<Vec<String>, &'static str> {
    let request = std::str::from_utf8(body).ok().and_then(Value::parse);
    let request = request
        .filter(|value| matches!(value, Value::Object(_)))
        .ok_or("the body is not a JSON object")?;
    let keys = request.get("configurationKeys").and_then(Value::as_array);
    if keys.is_some_and(|keys| !keys.is_empty()) {
        return Err("configurationKeys are deprecated; use environment variables instead");
    }
    match request.get("events") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(events)) => events
            .iter()
            .map(|event| event.as_text().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or("events is not an array of strings"),
        Some(_) => Err("events is not an array of strings"),
    }
}

fn next(sandbox: &Sandbox, exchange: &Exchange) -> Result<Response, Refusal> {
    let id = identified(exchange)?;
    let event = sandbox.next_for_extension(&id)?;
    Ok(Response::json(200, event)
        .with(IDENTIFIER, &id)
        .with("Lambda-Extension-Event-Identifier", &identifier::fresh()))
}

fn error(
    exchange: &mut Exchange,
    report: impl FnOnce(&str, &str) -> Result<(), Refusal>,
) -> Result<Response, Refusal> {
    const KIND: &str = "Lambda-Extension-Function-Error-Type";
    let id = identified(exchange)?;
    let kind = exchange
        .head
        .header(&KIND.to_ascii_lowercase())
        .unwrap_or_default();
    if kind.is_empty() {
        return Err(Refusal::new(
            403,
            "Extension.MissingHeader",
            format!("{KIND} not found"),
        ));
    }
    let kind = kind.to_owned();
    body(exchange)?;
    report(&id, &kind)?;
    Ok(Response::json(202, ACCEPTED).with(IDENTIFIER, &id))
}
