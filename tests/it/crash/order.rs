//! Power may fail at any moment: bytes are on the disk before they get their name, and the name before anything relies on
//! it. Looked at from outside, by the system calls of a real build.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Victim;
use crate::support::{compiling, program, run};

const CALLS: &str = "trace=write,pwrite64,copy_file_range,sendfile,fsync,fdatasync,syncfs,rename,renameat,renameat2,link,linkat";

/// System calls in the order in which they ended: name, and everything in `<…>` or `"…"`, which are paths.
fn calls(log: &str) -> Vec<(String, Vec<String>)> {
    let mut unfinished: BTreeMap<&str, &str> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in log.lines() {
        let Some((pid, rest)) = line.split_once(' ') else {
            continue;
        };
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            unfinished.insert(pid, begun);
            continue;
        }
        let whole = match rest.strip_prefix("<... ") {
            Some(ended) => format!(
                "{}{}",
                unfinished.remove(pid).unwrap_or_default(),
                ended.split_once(" resumed>").map_or("", |(_, end)| end)
            ),
            None => rest.to_owned(),
        };
        let Some((name, arguments)) = whole.split_once('(') else {
            continue;
        };
        if whole.contains(") = -1") {
            continue;
        }
        let paths = arguments
            .split(['<', '>', '"'])
            .filter(|part| part.starts_with('/'))
            .map(|part| part.trim_end_matches(" (deleted)").to_owned());
        calls.push((name.to_owned(), paths.collect()));
    }
    calls
}

/// What a power cut could leave, in words.
fn faults(calls: &[(String, Vec<String>)], root: &str, named: &[String]) -> (usize, Vec<String>) {
    let (mut faults, mut unsafe_bytes, mut unsafe_names) =
        (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let (mut safe, mut linked, mut checked) = (BTreeSet::new(), BTreeSet::new(), 0);
    for (call, paths) in calls {
        let Some(path) = paths.iter().find(|path| path.starts_with(root)) else {
            continue;
        };
        match call.as_str() {
            "write" | "pwrite64" | "copy_file_range" | "sendfile" => {
                let to = if call == "copy_file_range" {
                    paths.last().unwrap()
                } else {
                    path
                };
                unsafe_bytes.insert(to.clone());
                safe.remove(to);
            }
            "fsync" | "fdatasync" => {
                unsafe_bytes.remove(path);
                safe.insert(path.clone());
                unsafe_names
                    .retain(|name: &String| Path::new(name).parent() != Some(Path::new(path)));
            }
            "syncfs" => {
                safe.extend(std::mem::take(&mut unsafe_bytes));
                safe.insert(path.clone());
            }
            "link" | "linkat" => {
                linked.insert(paths.last().unwrap().clone());
            }
            _ => {
                // The working folder is named, too.
                let own: Vec<_> = paths.iter().filter(|path| path.starts_with(root)).collect();
                let [.., from, to] = own.as_slice() else {
                    continue;
                };
                let is_final = named.iter().any(|place| to.starts_with(place.as_str()));
                // A file that is moved to be hashed, or one that was safe under another name.
                if !is_final || linked.contains(*from) {
                    continue;
                }
                checked += 1;
                let inside = format!("{from}/");
                if unsafe_bytes
                    .iter()
                    .any(|path| path == *from || path.starts_with(&inside))
                {
                    faults.push(format!(
                        "{to} has its name before its bytes are on the disk"
                    ));
                }
                if !safe.contains(*from) {
                    faults.push(format!("{to} has its name and was never put on the disk"));
                }
                unsafe_names.insert((*to).clone());
            }
        }
    }
    faults.extend(
        unsafe_names
            .iter()
            .map(|name| format!("the name {name} is not on the disk")),
    );
    (checked, faults)
}

#[test]
fn bytes_then_the_name_then_the_folder() {
    let _compiling = compiling();
    let victim = Victim::new();
    victim.recovers();
    victim.forget();
    fs_err::remove_dir_all(victim.dist()).unwrap();
    let log = victim.folder.path().join("calls");
    let mut command = program(
        "strace",
        [
            "-f",
            "--seccomp-bpf",
            "-y",
            "-qq",
            "-s",
            "4096",
            "-e",
            CALLS,
            "-o",
        ],
    );
    let build = victim.build();
    command
        .arg(&log)
        .arg(build.get_program())
        .args(build.get_args());
    run(&mut command).succeeded();
    let log = String::from_utf8_lossy(&fs_err::read(&log).unwrap()).into_owned();
    let root = victim.folder.path().to_str().unwrap();
    let finals = [
        "store/blobs/sha256/",
        "store/steps/",
        "store/resolved/",
        "store/unpacked/",
        "dist/",
    ];
    let named = finals.map(|place| format!("{root}/{place}"));
    let (checked, faults) = faults(&calls(&log), root, &named);
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(checked >= 10, "{checked} names were given");
}

#[test]
fn a_wrong_order_would_be_seen() {
    let call = |name: &str, paths: &[&str]| {
        (
            name.to_owned(),
            paths.iter().map(|path| format!("/s/{path}")).collect(),
        )
    };
    let (write, sync) = (call("write", &["tmp/a"]), call("fsync", &["tmp/a"]));
    let (rename, folder) = (
        call("rename", &["tmp/a", "blobs/a"]),
        call("fsync", &["blobs"]),
    );
    let count = |calls: &[&(String, Vec<String>)]| {
        let calls: Vec<_> = calls.iter().map(|call| (*call).clone()).collect();
        faults(&calls, "/s", &["/s/blobs/".to_owned()]).1.len()
    };
    assert_eq!(count(&[&write, &sync, &rename, &folder]), 0);
    assert_eq!(count(&[&write, &sync, &rename]), 1);
    assert_eq!(count(&[&write, &rename, &sync, &folder]), 2);
    assert_eq!(count(&[&sync, &write, &rename, &folder]), 2);
    let parsed = calls(
        "7 write(3</s/tmp/a>, \"x\", 1 <unfinished ...>\n8 fsync(4</s>) = 0\n7 <... write resumed>) = 1\n",
    );
    assert_eq!(parsed[1], call("write", &["tmp/a"]));
}
