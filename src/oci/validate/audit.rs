//! Programs in the image that they are to run in: may they, can they, and do they give away what they should not?

use std::collections::{BTreeMap, BTreeSet};

use oci_spec::image::ImageConfiguration;

use super::elf::{Elf, Glibc};
use super::report::Report;
use super::rule::Rule;
use crate::entry::Entry;
use crate::path::ImagePath;
use crate::tree::Tree;

/// Where loaders of Amazon Linux and Debian look, beside LD_LIBRARY_PATH.
const FOLDERS: [&str; 8] = [
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
];
/// What programs may load from a base image: glibc's parts, and the unwinder that glibc itself loads.
const GLIBC: [&str; 10] = [
    "ld-linux-aarch64.so.1",
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "libresolv.so.2",
    "librt.so.1",
    "libutil.so.1",
];
/// How the names of C libraries begin that are linked into programs.
#[rustfmt::skip]
const LINKED_IN: [&str; 28] = [
    "ASN1_", "BIO_", "BZ2_", "CRYPTO_", "ERR_", "EVP_", "OPENSSL_", "OSSL_", "SSL_", "X509_", "XML_", "ZSTD_", "_nc_", "adler32",
    "crc32", "deflate", "el_", "ffi_", "gzopen", "inflate", "initscr", "lzma_", "mpd_", "rl_", "sqlite3_", "tgetent", "uuid_generate",
    "zlibVersion",
];

/// What an image promises about its programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The oldest glibc that they have to run on.
    pub glibc: Option<Glibc>,
    /// What one program consists of.
    pub inventory: Option<Inventory>,
}

/// The modules of an interpreter: functions in its program, or files beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// The program, as an absolute path.
    pub program: String,
    /// How a module's function is called: this, then the module's name.
    pub prefix: &'static str,
    /// The folder of modules that are files: the name up to the first dot is the module's.
    pub folder: String,
    /// All modules, no less and no more.
    pub modules: BTreeSet<String>,
}

/// A program of a layer.
pub(super) struct Program {
    /// Where it is.
    pub path: ImagePath,
    /// Whether it is judged; otherwise it is only what others need.
    pub is_audited: bool,
    /// What it is.
    pub elf: Elf,
}

/// Adds what is wrong to the report. `programs` are those of all layers with the number of theirs; without a root file
/// system nobody knows what is missing in it.
pub(super) fn judge(
    programs: &[(usize, Program)],
    root: Option<&Tree>,
    config: &ImageConfiguration,
    expected: &Expected,
    report: &mut Report,
) {
    let all = || programs.iter().map(|(_, program)| program);
    let there = all().filter_map(|program| program.elf.provides).max();
    let limit = [expected.glibc, there].into_iter().flatten().min();
    let brought: BTreeSet<&str> = all()
        .filter(|program| program.is_audited)
        .filter_map(|program| program.elf.soname.as_deref())
        .collect();
    let search = search_path(config);
    // What many programs share is one finding: the same text in the same layer.
    let mut findings: BTreeMap<(usize, Rule, String), Vec<String>> = BTreeMap::new();
    for (layer, Program { path, elf, .. }) in programs.iter().filter(|(_, p)| p.is_audited) {
        let mut add = |rule, what: String| {
            let paths = findings.entry((*layer, rule, what)).or_default();
            paths.push(path.absolute());
        };
        if let (Some(needs), Some(limit)) = (elf.glibc, limit)
            && needs > limit
        {
            let what = format!("programs that need glibc {needs}, which the base's {limit} lacks");
            add(Rule::Glibc, what);
        }
        let near: Vec<String> = elf
            .rpaths
            .iter()
            .filter_map(|r| at_origin(r, path))
            .collect();
        for name in &elf.needed {
            if !GLIBC.contains(&name.as_str()) && !brought.contains(name.as_str()) {
                let what = format!("programs that load {name}, which is neither glibc's nor ours");
                add(Rule::Needed, what);
            } else if let Some(root) = root
                && !near
                    .iter()
                    .chain(&search)
                    .any(|dir| is_file(root, dir, name))
            {
                add(
                    Rule::Needed,
                    format!("programs that load {name}, which is not found"),
                );
            }
        }
        let leaks = |name: &&String| LINKED_IN.iter().any(|prefix| name.starts_with(prefix));
        let leaked: Vec<&str> = elf
            .exports
            .iter()
            .filter(leaks)
            .map(String::as_str)
            .collect();
        if let Some(example) = leaked.first() {
            let what = format!(
                "programs that export {example} and {} more",
                leaked.len() - 1
            );
            add(Rule::Exports, what);
        }
        for weakness in &elf.weaknesses {
            add(Rule::Hardening, format!("programs with {weakness}"));
        }
        for rpath in elf.rpaths.iter().filter(|r| at_origin(r, path).is_none()) {
            add(
                Rule::Rpath,
                format!("programs with the search path {rpath:?}"),
            );
        }
        if let Some(folder) = &elf.build_path {
            add(
                Rule::BuildPath,
                format!("programs in which {folder} stands"),
            );
        }
    }
    for ((layer, rule, what), paths) in findings {
        let more = match paths.len().saturating_sub(3) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let shown = paths.iter().take(3).map(String::as_str).collect::<Vec<_>>();
        report.own_or_base(rule, layer, format!("{what}: {}{more}", shown.join(", ")));
    }
    if let Some(inventory) = &expected.inventory {
        take_stock(inventory, programs, root, report);
    }
}

fn take_stock(
    inventory: &Inventory,
    programs: &[(usize, Program)],
    root: Option<&Tree>,
    report: &mut Report,
) {
    let Inventory {
        program, folder, ..
    } = inventory;
    let is_it = |(_, p): &&(usize, Program)| p.path.absolute() == *program;
    let Some((layer, found)) = programs.iter().rev().find(is_it) else {
        let detail = format!("{program} is not there");
        report.error(Rule::Modules, None, detail);
        return;
    };
    let exports = found.elf.exports.iter();
    let mut modules: BTreeSet<&str> = exports
        .filter_map(|name| name.strip_prefix(inventory.prefix))
        .collect();
    let folder = ImagePath::rooted(folder).ok().flatten();
    let files: Vec<String> = match (root, &folder) {
        (Some(root), Some(folder)) => root
            .subtree(folder)
            .skip(1)
            .map(|(path, _)| String::from_utf8_lossy(path.file_name()).into_owned())
            .collect(),
        _ => Vec::new(),
    };
    modules.extend(files.iter().filter_map(|name| name.split('.').next()));
    let wanted: BTreeSet<&str> = inventory.modules.iter().map(String::as_str).collect();
    for (what, names) in [
        ("lacks the modules", &wanted - &modules),
        ("has modules that nobody expects:", &modules - &wanted),
    ] {
        if !names.is_empty() {
            let names: Vec<&str> = names.into_iter().collect();
            let detail = format!("{program} {what} {}", names.join(", "));
            report.error(Rule::Modules, Some(*layer), detail);
        }
    }
}

/// A RUNPATH's folder, if it is said relative to the program.
fn at_origin(rpath: &str, program: &ImagePath) -> Option<String> {
    let below = ["$ORIGIN", "${ORIGIN}"]
        .iter()
        .find_map(|origin| rpath.strip_prefix(origin))?;
    if !below.is_empty() && !below.starts_with('/') {
        return None;
    }
    let dir = program.parent().map(|dir| dir.absolute());
    Some(format!("{}{below}", dir.unwrap_or_default()))
}

fn search_path(config: &ImageConfiguration) -> Vec<String> {
    let run = config.config().as_ref();
    let env = run.and_then(|run| run.env().as_ref());
    let said = env
        .into_iter()
        .flatten()
        .find_map(|v| v.strip_prefix("LD_LIBRARY_PATH="));
    let said = said
        .unwrap_or_default()
        .split(':')
        .filter(|dir| dir.starts_with('/'));
    said.chain(FOLDERS).map(str::to_owned).collect()
}

/// `dir` may have `..` behind a program's folder; links are followed.
fn is_file(root: &Tree, dir: &str, name: &str) -> bool {
    let mut parts: Vec<&str> = Vec::new();
    for part in dir.split('/').chain([name]) {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let path = ImagePath::rooted(parts.join("/")).ok().flatten();
    let file = path.and_then(|path| root.resolve(&path).ok());
    file.and_then(|path| root.get(&path))
        .is_some_and(|entry: &Entry| !entry.is_dir())
}
