//! InvokeWithResponseStream: what the function sends goes to the caller at once, in frames.

use std::sync::Arc;
use std::time::Duration;

use super::base64;
use super::event_stream;
use super::invoke::{Caller, Stop};
use super::invoke_api::{error, throttled};
use super::json::quote;
use super::machine::Event;
use super::sandbox::Sandbox;
use super::server::{Answer, Chunks, Exchange, Response};

/// The service's limit for a streamed response, in bytes.
const LIMIT: usize = 200 * 1024 * 1024;
/// How long the caller may take to accept the last frame.
const PATIENCE: Duration = Duration::from_secs(10);

/// A caller on the other side of a connection.
struct Remote<'a, 'b, 'c> {
    exchange: &'a Exchange<'b, 'c>,
    /// The answer's head, without the type of the function's response.
    head: Response,
    chunks: Option<Chunks<'a>>,
    sent: usize,
    /// A frame did not go out in full: nothing more can be said.
    is_broken: bool,
}

impl Remote<'_, '_, '_> {
    fn send(&mut self, frame: &[u8], patience: Duration) -> Result<(), Stop> {
        let chunks = self.chunks.as_mut().ok_or(Stop::Gone)?;
        let sent = chunks.send(frame, patience);
        self.is_broken |= sent.is_err();
        sent.map_err(|_| Stop::Gone)
    }
}

impl Caller for Remote<'_, '_, '_> {
    fn begin(&mut self, content_type: &str) -> Result<(), Stop> {
        let head = self
            .head
            .clone()
            .with("X-Amzn-Remapped-Content-Type", content_type);
        self.chunks = Some(self.exchange.begin(&head).map_err(|_| Stop::Gone)?);
        Ok(())
    }

    fn piece(&mut self, bytes: Vec<u8>, patience: Duration) -> Result<(), Stop> {
        self.sent += bytes.len();
        if self.sent > LIMIT {
            return Err(Stop::TooLarge);
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.send(&event_stream::payload_chunk(&bytes), patience)
    }
}

/// Handles an event, and sends the answer while it comes.
pub fn answer(
    sandbox: &Arc<Sandbox>,
    exchange: &Exchange,
    event: Event,
    wants_tail: bool,
) -> Answer {
    let id = event.request_id.clone();
    let mut remote = Remote {
        exchange,
        head: Response::new(200, event_stream::CONTENT_TYPE, "")
            .with(
                "X-Amz-Executed-Version",
                &sandbox.configuration.function_version,
            )
            .with("X-Amzn-RequestId", &id),
        chunks: None,
        sent: 0,
        is_broken: false,
    };
    let Some(handled) = sandbox.invoke(event, &mut remote) else {
        return Answer::Response(throttled());
    };
    if remote.is_broken || remote.chunks.is_none() && remote.begin("application/json").is_err() {
        return Answer::Close;
    }
    let mut members = Vec::new();
    if let Some(error) = error(sandbox, &id, &handled.outcome) {
        let details = String::from_utf8_lossy(&error.body);
        members.push(format!("\"ErrorCode\":{}", quote(&error.kind)));
        members.push(format!("\"ErrorDetails\":{}", quote(&details)));
    }
    if wants_tail {
        let tail = base64::encode(&handled.log_tail);
        members.push(format!("\"LogResult\":{}", quote(&tail)));
    }
    let end = event_stream::invoke_complete(&format!("{{{}}}", members.join(",")));
    let sent = remote.send(&end, PATIENCE);
    match (sent, remote.chunks.map(Chunks::finish)) {
        (Ok(()), Some(Ok(()))) => Answer::Sent,
        _ => Answer::Close,
    }
}
