//! The lines around an invocation's own output, as in the service's log.

use std::time::Duration;

use super::json::quote;
use super::machine::Outcome;

/// What the REPORT line says.
#[derive(Debug)]
pub struct Report<'a> {
    /// The request id.
    pub request_id: &'a str,
    /// The time of the initialisation, on the first invocation of a runtime.
    pub init: Option<Duration>,
    /// The time of the invocation.
    pub duration: Duration,
    /// The memory the function is configured for.
    pub memory_size: &'a str,
    /// The memory it used, in MB, if known.
    pub memory_used: Option<u64>,
    /// How it ended.
    pub outcome: &'a Outcome,
}

/// Before the function runs.
pub fn start(request_id: &str, version: &str) -> String {
    format!("START RequestId: {request_id} Version: {version}\n")
}

impl Report<'_> {
    fn memory_used(&self) -> String {
        self.memory_used
            .map_or_else(|| self.memory_size.to_owned(), |used| used.to_string())
    }

    /// After the function has run: END and REPORT.
    pub fn lines(&self) -> String {
        let Self {
            request_id,
            memory_size,
            ..
        } = self;
        let init = self
            .init
            .map(|init| format!("Init Duration: {:.2} ms\t", in_millis(init)))
            .unwrap_or_default();
        let duration = in_millis(self.duration);
        let used = self.memory_used();
        let status = match self.outcome {
            Outcome::TimedOut => "Status: timeout\t".to_owned(),
            Outcome::Failed(kind, _) => format!("Status: error\tError Type: {kind}\t"),
            _ => String::new(),
        };
        format!(
            "END RequestId: {request_id}\n\
             REPORT RequestId: {request_id}\t{init}Duration: {duration:.2} ms\tBilled Duration: {} ms\t\
             Memory Size: {memory_size} MB\tMax Memory Used: {used} MB\t{status}\n",
            duration.ceil() as u64
        )
    }

    /// The same for the Telemetry API: the record of `platform.report`.
    pub fn record(&self) -> String {
        let (status, error) = status(Some(self.outcome));
        let init = self
            .init
            .map(|init| format!(",\"initDurationMs\":{:.3}", in_millis(init)))
            .unwrap_or_default();
        let duration = in_millis(self.duration);
        format!(
            "{{\"requestId\":{},\"status\":\"{status}\"{error},\"metrics\":{{\"durationMs\":{duration:.3},\
             \"billedDurationMs\":{},\"memorySizeMB\":{},\"maxMemoryUsedMB\":{}{init}}}}}",
            quote(self.request_id),
            duration.ceil() as u64,
            self.memory_size,
            self.memory_used(),
        )
    }
}

/// After an initialisation that failed.
pub fn init(duration: Duration, outcome: &Outcome) -> String {
    let status = match outcome {
        Outcome::TimedOut => "timeout".to_owned(),
        Outcome::Failed(kind, _) => format!("error\tError Type: {kind}"),
        _ => "error".to_owned(),
    };
    format!(
        "INIT_REPORT Init Duration: {:.2} ms\tPhase: init\tStatus: {status}\n",
        in_millis(duration)
    )
}

/// The `status` of a telemetry record, and its `errorType` member if it has one. None: nothing went wrong.
pub fn status(outcome: Option<&Outcome>) -> (&'static str, String) {
    let (status, kind) = match outcome {
        None | Some(Outcome::Complete) => ("success", None),
        Some(Outcome::TimedOut) => ("timeout", None),
        Some(Outcome::Failed(kind, _)) => ("failure", Some(*kind)),
        Some(Outcome::TooLarge) => ("error", Some("Function.ResponseSizeTooLarge")),
        Some(Outcome::BrokenOff(kind, _)) => ("error", Some(kind.as_str())),
        Some(Outcome::Error(_) | Outcome::InitError(_)) => ("error", Some("Runtime.Unknown")),
    };
    let error = kind.map(|kind| format!(",\"errorType\":{}", quote(kind)));
    (status, error.unwrap_or_default())
}

fn in_millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_read_like_the_services() {
        let mut report = Report {
            request_id: "id",
            init: Some(Duration::from_micros(1500)),
            duration: Duration::from_micros(2001),
            memory_size: "3008",
            memory_used: Some(40),
            outcome: &Outcome::Complete,
        };
        assert_eq!(
            start("id", "$LATEST"),
            "START RequestId: id Version: $LATEST\n"
        );
        let rest = "Duration: 2.00 ms\tBilled Duration: 3 ms\tMemory Size: 3008 MB\tMax Memory Used: 40 MB\t";
        let before = "END RequestId: id\nREPORT RequestId: id\t";
        assert_eq!(
            report.lines(),
            format!("{before}Init Duration: 1.50 ms\t{rest}\n")
        );
        assert_eq!(
            report.record(),
            "{\"requestId\":\"id\",\"status\":\"success\",\"metrics\":{\"durationMs\":2.001,\"billedDurationMs\":3,\
             \"memorySizeMB\":3008,\"maxMemoryUsedMB\":40,\"initDurationMs\":1.500}}"
        );
        report.init = None;
        report.outcome = &Outcome::TimedOut;
        assert_eq!(report.lines(), format!("{before}{rest}Status: timeout\t\n"));
        assert_eq!(
            init(report.duration, report.outcome),
            "INIT_REPORT Init Duration: 2.00 ms\tPhase: init\tStatus: timeout\n"
        );
    }
}
