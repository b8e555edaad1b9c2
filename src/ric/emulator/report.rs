//! The lines around an invocation's own output, as in the service's log.

use std::time::Duration;

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
    /// The memory it used, if known.
    pub memory_used: Option<u64>,
}

/// Before the function runs.
pub fn start(request_id: &str, version: &str) -> String {
    format!("START RequestId: {request_id} Version: {version}\n")
}

/// After it has run: END and REPORT.
pub fn end(report: &Report) -> String {
    let Report {
        request_id,
        memory_size,
        ..
    } = report;
    let init = report
        .init
        .map(|init| format!("Init Duration: {:.2} ms\t", in_millis(init)))
        .unwrap_or_default();
    let duration = in_millis(report.duration);
    let used = report
        .memory_used
        .map_or_else(|| (*memory_size).to_owned(), |used| used.to_string());
    format!(
        "END RequestId: {request_id}\n\
         REPORT RequestId: {request_id}\t{init}Duration: {duration:.2} ms\tBilled Duration: {} ms\t\
         Memory Size: {memory_size} MB\tMax Memory Used: {used} MB\t\n",
        duration.ceil() as u64
    )
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
        };
        assert_eq!(
            start("id", "$LATEST"),
            "START RequestId: id Version: $LATEST\n"
        );
        let rest = "Duration: 2.00 ms\tBilled Duration: 3 ms\tMemory Size: 3008 MB\tMax Memory Used: 40 MB\t\n";
        let first =
            format!("END RequestId: id\nREPORT RequestId: id\tInit Duration: 1.50 ms\t{rest}");
        assert_eq!(end(&report), first);
        report.init = None;
        assert_eq!(
            end(&report),
            format!("END RequestId: id\nREPORT RequestId: id\t{rest}")
        );
    }
}
