//! Ours and the official client side by side: the same interpreter, function and Runtime API, in one run, alternating.
//!
//! Prints medians and their ratios against what is wanted, then what a start asks of the kernel. The interpreter is chosen as
//! in the tests; the image's own executable is what users run.

mod api;
mod program;
mod syscalls;

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/it/executable.rs"]
mod executable;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/it/host.rs"]
mod host;
#[path = "../../tests/differential/official.rs"]
mod official;
#[path = "../../tests/it/packages.rs"]
mod packages;

use std::time::Duration;

use api::event;
use program::{Programs, Runtime};

const STARTS: usize = 40;
const SMALL_EVENTS: usize = 3000;
const LARGE_EVENTS: usize = 15;
const LARGE: usize = 5_500_000;
const FUNCTION: &str = "def handler(event, context):\n    return event\n";

fn main() {
    let Some(ours) = executable::get() else {
        return;
    };
    let official = official::install(ours);
    let folder = host::fresh_folder();
    host::write(&folder.join("app.py"), FUNCTION);
    let programs = Programs {
        ours,
        official,
        folder,
    };
    println!(
        "{:<34}{:>10}{:>10}{:>10}{:>8}{:>8}",
        "medians", "bare", "official", "ours", "ratio", "goal"
    );
    starts(&programs);
    invocations(&programs);
    memory(&programs);
    syscalls::report(&programs);
    host::remove(&programs.folder);
}

/// One line of the table. `ratio` is against the bare interpreter or the official client.
fn row(what: &str, bare: &str, official: &str, ours: &str, ratio: f64, goal: f64) {
    let verdict = if ratio <= goal { "" } else { "  missed" };
    println!("{what:<34}{bare:>10}{official:>10}{ours:>10}{ratio:>8.2}{goal:>8.2}{verdict}");
}

fn median<T: Copy + PartialOrd>(mut values: Vec<T>) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
    values[values.len() / 2]
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

fn micros(duration: Duration) -> String {
    format!("{:.0} µs", duration.as_secs_f64() * 1e6)
}

fn ratio(of: Duration, to: Duration) -> f64 {
    of.as_secs_f64() / to.as_secs_f64()
}

fn starts(programs: &Programs) {
    let mut times: [Vec<Duration>; 4] = Default::default();
    for round in 0..=STARTS {
        let each = [
            programs.time_bare(&["-c", "pass"]),
            programs.time_bare(&["-S", "-c", "pass"]),
            programs.start(Runtime::Official).1,
            programs.start(Runtime::Ours).1,
        ];
        // The first fills the kernel's cache.
        if round > 0 {
            times
                .iter_mut()
                .zip(each)
                .for_each(|(times, time)| times.push(time));
        }
    }
    let [bare, without_site, official, ours] = times.map(median);
    let what = "exec to first next";
    row(
        what,
        &millis(bare),
        &millis(official),
        &millis(ours),
        ratio(ours, bare),
        1.10,
    );
    println!("{:<34}{:>10}", "  bare without site", millis(without_site));
}

/// Events in turn to both; the median time of each.
fn invoke(programs: &Programs, body: &str, count: usize) -> [Duration; 2] {
    const BATCH: usize = 5;
    let message = event(body);
    let mut runtimes = [Runtime::Official, Runtime::Ours].map(|runtime| programs.start(runtime).0);
    let mut times: [Vec<Duration>; 2] = Default::default();
    for runtime in &mut runtimes {
        for _ in 0..count.div_ceil(10) {
            runtime.waiting.invoke(&message);
        }
    }
    while times[0].len() < count {
        for (runtime, times) in runtimes.iter_mut().zip(&mut times) {
            for _ in 0..BATCH.min(count) {
                times.push(runtime.waiting.invoke(&message));
            }
        }
    }
    times.map(median)
}

fn invocations(programs: &Programs) {
    let small = r#"{"key1": "value1", "key2": [1, 2.5, null], "key3": {"nested": true}}"#;
    let [official, ours] = invoke(programs, small, SMALL_EVENTS);
    row(
        "small event, next to response",
        "",
        &micros(official),
        &micros(ours),
        ratio(ours, official),
        0.25,
    );
    let text = format!("\"{}\"", "x".repeat(LARGE));
    let [official, ours] = invoke(programs, &text, LARGE_EVENTS);
    row(
        "5.5 MB of text, echoed",
        "",
        &millis(official),
        &millis(ours),
        ratio(ours, official),
        0.4,
    );
    let record = r#"{"id": 12345, "name": "a name", "tags": ["x", "y"], "score": 0.25, "active": true, "none": null}"#;
    let records = format!("[{}]", vec![record; LARGE / record.len()].join(","));
    let [official, ours] = invoke(programs, &records, LARGE_EVENTS);
    row(
        "5.5 MB of records, echoed",
        "",
        &millis(official),
        &millis(ours),
        ratio(ours, official),
        0.4,
    );
}

fn memory(programs: &Programs) {
    const ROUNDS: usize = 5;
    let all = (0..ROUNDS).map(|_| programs.bare_resident()).collect();
    let bare = median(all);
    let [official, ours] = [Runtime::Official, Runtime::Ours].map(|runtime| {
        let above = (0..ROUNDS).map(|_| programs.start(runtime).0.resident().saturating_sub(bare));
        median(above.collect())
    });
    let kib = |amount: u64| format!("{amount} KiB");
    row(
        "memory after start, above bare",
        &kib(bare),
        &kib(official),
        &kib(ours),
        ours as f64 / official as f64,
        0.3,
    );
}
