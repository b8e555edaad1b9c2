//! Records of what happens in the environment, and who gets them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::delivery::Delivery;
use super::json::{Value, quote};
use super::refusal::Refusal;
use super::subscription::{Api, Category, Subscription};
use super::timestamp;
use crate::system;

/// Records of the initialisation beyond this number do not reach those who subscribe later.
const LONGEST_HISTORY: usize = 10_000;

/// Something that happened.
#[derive(Clone, Debug)]
struct Record {
    category: Category,
    /// `platform.start`, or the category's name for a line of a log.
    kind: &'static str,
    time: String,
    /// The `record` member as JSON.
    content: String,
    /// The line as it is, if it is a JSON object, for the schemas that pass it through.
    object: Option<String>,
}

struct Subscriber {
    name: String,
    subscription: Subscription,
    delivery: Arc<Delivery>,
}

#[derive(Default)]
struct State {
    subscribers: Vec<Subscriber>,
    /// What happened since the start of the initialisation; None after it.
    history: Option<Vec<Record>>,
}

/// All subscribers of one environment.
pub struct Telemetry {
    logs_json: bool,
    state: Mutex<State>,
}

impl Telemetry {
    /// Nobody yet. `logs_json`: lines that are JSON objects are passed on as such.
    pub fn new(logs_json: bool) -> Self {
        Self {
            logs_json,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An initialisation begins: one can subscribe, and gets what happens from here on.
    pub fn open(&self) {
        self.state().history = Some(Vec::new());
    }

    /// The initialisation is over.
    pub fn close(&self) {
        self.state().history = None;
    }

    /// An extension subscribes; a second time through the same API replaces the first.
    pub fn subscribe(&self, name: &str, subscription: Subscription) -> Result<(), Refusal> {
        let mut state = self.state();
        let api = subscription.api;
        let Some(history) = &state.history else {
            return Err(api.closed());
        };
        let history = history.clone();
        let former = state.subscribers.iter().position(|one| one.name == name);
        if let Some(former) = former {
            if state.subscribers[former].subscription.api != api {
                return Err(Refusal::new(
                    400,
                    "ValidationError",
                    "this extension has subscribed through the other API",
                ));
            }
            state.subscribers.remove(former).delivery.end();
        }
        let delivery = Delivery::start(subscription.clone(), |records, bytes| {
            let content = format!(
                "{{\"reason\":\"Consumer seems to have fallen behind as it has not acknowledged receipt of logs.\",\
                 \"droppedRecords\":{records},\"droppedBytes\":{bytes}}}"
            );
            Record::platform("platform.logsDropped", content).to_json("")
        });
        let types: Vec<String> = subscription
            .types
            .iter()
            .map(|one| quote(one.name()))
            .collect();
        let subscriber = Subscriber {
            name: name.to_owned(),
            subscription,
            delivery,
        };
        for record in &history {
            subscriber.offer(record);
        }
        state.subscribers.push(subscriber);
        drop(state);
        self.platform(
            match api {
                Api::Telemetry => "platform.telemetrySubscription",
                Api::Logs => "platform.logsSubscription",
            },
            format!(
                "{{\"name\":{},\"state\":\"Subscribed\",\"types\":[{}]}}",
                quote(name),
                types.join(",")
            ),
        );
        Ok(())
    }

    /// Something that the platform did. `content` is JSON.
    pub fn platform(&self, kind: &'static str, content: String) {
        self.record(Record::platform(kind, content));
    }

    /// A line that a process wrote.
    pub fn line(&self, category: Category, line: &str) {
        let is_object = self.logs_json && matches!(Value::parse(line), Some(Value::Object(_)));
        self.record(Record {
            category,
            kind: category.name(),
            time: timestamp::iso(system::now()),
            content: quote(line),
            object: is_object.then(|| line.to_owned()),
        });
    }

    fn record(&self, record: Record) {
        let mut state = self.state();
        for subscriber in &state.subscribers {
            subscriber.offer(&record);
        }
        if let Some(history) = &mut state.history
            && history.len() < LONGEST_HISTORY
        {
            history.push(record);
        }
    }

    /// Delivers everything; gives up after `limit`.
    pub fn flush(&self, limit: Duration) {
        let deliveries: Vec<_> = self
            .state()
            .subscribers
            .iter()
            .map(|one| Arc::clone(&one.delivery))
            .collect();
        let deadline = Instant::now() + limit;
        for delivery in deliveries {
            delivery.flush(deadline.saturating_duration_since(Instant::now()));
        }
    }

    /// The environment is gone, and its subscribers with it.
    pub fn clear(&self) {
        let mut state = self.state();
        state.history = None;
        for subscriber in state.subscribers.drain(..) {
            subscriber.delivery.end();
        }
    }
}

impl Subscriber {
    fn offer(&self, record: &Record) {
        let Subscription { api, schema, .. } = self.subscription;
        let is_known = match record.kind {
            "platform.end" | "platform.fault" | "platform.logsSubscription" => api == Api::Logs,
            "platform.runtimeDone" => schema != "2020-08-15",
            "platform.start" | "platform.report" | "platform.extension" => true,
            _ => record.category != Category::Platform || api == Api::Telemetry,
        };
        if is_known && self.subscription.types.contains(&record.category) {
            self.delivery.push(record.to_json(schema));
        }
    }
}

impl Record {
    fn platform(kind: &'static str, content: String) -> Self {
        Self {
            category: Category::Platform,
            kind,
            time: timestamp::iso(system::now()),
            content,
            object: None,
        }
    }

    fn to_json(&self, schema: &str) -> String {
        let passes_objects = matches!(schema, "2022-12-13" | "2025-01-29");
        let object = self.object.as_ref().filter(|_| passes_objects);
        format!(
            "{{\"time\":\"{}\",\"type\":\"{}\",\"record\":{}}}",
            self.time,
            self.kind,
            object.unwrap_or(&self.content)
        )
    }
}
