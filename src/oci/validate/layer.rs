//! One pass over a layer's bytes: blob digest, diffID, and the rules about its entries.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::path::Path;

use oci_spec::image::Descriptor;

use super::report::{Rule, chain};
use crate::digest::{DiffId, Digest, Hasher, LayerDigest};
use crate::entry::{Entry, Kind};
use crate::layer::Unpacker;
use crate::layout::{Layout, LayoutError};
use crate::path::ImagePath;
use crate::tar_reader::{Member, Stream, TarError, TarFault, TarLimits, TarReader};
use crate::tree::{Tree, Whiteout};

/// Paths that are named in a finding; the others are counted.
const EXAMPLES: usize = 3;

/// What a layer is by its bytes.
pub(super) struct Scan {
    /// Of the uncompressed bytes, when all of them could be read.
    pub diff_id: Option<DiffId>,
    /// Uncompressed bytes.
    pub unpacked: u64,
    /// Errors whoever made the layer.
    pub damage: Vec<(Rule, String)>,
    /// Warnings in a base's layer.
    pub findings: Vec<(Rule, String)>,
    /// Its entries, without content.
    pub tree: Tree,
}

/// Hashes what is read, and remembers a failure: a decoder says it only once.
struct Tee<R> {
    reader: R,
    hasher: Hasher<io::Sink>,
    failed: bool,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buf);
        self.failed |= read.is_err();
        let n = read?;
        self.hasher.write_all(&buf[..n])?;
        Ok(n)
    }
}

impl Scan {
    pub fn new(
        layout: &Layout,
        descriptor: &Descriptor,
        architecture: &str,
    ) -> Result<Self, LayoutError> {
        let mut scan = Self {
            diff_id: None,
            unpacked: 0,
            damage: Vec::new(),
            findings: Vec::new(),
            tree: Tree::new(),
        };
        let expected: Digest = match descriptor.digest().to_string().parse() {
            Ok(digest) => digest,
            Err(e) => {
                scan.damage.push((Rule::Bytes, chain(&e)));
                return Ok(scan);
            }
        };
        let path = layout.blob_path(expected);
        let unpacker = match Unpacker::open(&path) {
            Ok(unpacker) => unpacker,
            Err(e) => {
                scan.damage.push((Rule::Bytes, chain(&e)));
                return Ok(scan);
            }
        };
        let tee = Tee {
            reader: unpacker,
            hasher: Hasher::new(io::sink()),
            failed: false,
        };
        let mut reader = TarReader::new(Stream(tee), &path, TarLimits::default());
        let mut rules = Rules::new(architecture);
        let refused = scan.read(&mut reader, &mut rules);
        let mut tee = reader.into_source().0;
        let rest = io::copy(&mut tee, &mut io::sink());
        let (diff_id, unpacked, _) = tee.hasher.finish();
        let (got, got_size) = tee.reader.finish()?;
        scan.unpacked = unpacked;
        scan.findings = rules.findings();
        if (got, got_size) != (LayerDigest(expected), descriptor.size()) {
            let size = descriptor.size();
            let detail =
                format!("expected {expected} of {size} bytes, got {got} of {got_size} bytes");
            scan.damage.push((Rule::Bytes, detail));
        } else if !is_gzip(&path) {
            scan.damage
                .push((Rule::Gzip, "the bytes are not gzip".to_owned()));
        } else {
            let broken = |e| (Rule::Bytes, format!("cannot be decompressed: {e}"));
            scan.damage.extend(refused.or(rest.err().map(broken)));
            scan.diff_id = (!tee.failed).then_some(DiffId(diff_id));
        }
        Ok(scan)
    }

    /// Goes through all members; returns why the tar is refused.
    fn read(
        &mut self,
        reader: &mut TarReader<Stream<Tee<Unpacker>>>,
        rules: &mut Rules,
    ) -> Option<(Rule, String)> {
        let mut targets = BTreeSet::new();
        while let Some(member) = reader.next() {
            let (path, entry) = match member {
                Ok(Member::Root) => continue,
                Ok(Member::Whiteout(whiteout)) => {
                    match &whiteout {
                        Whiteout::Path(path) => rules.check_parent(path),
                        Whiteout::Inside(dir) => rules.check_dir(dir, dir),
                        Whiteout::Everything => {}
                    }
                    if let Err(e) = self.tree.white_out(whiteout) {
                        return Some((Rule::Bytes, chain(&e)));
                    }
                    continue;
                }
                Ok(Member::Entry(path, entry)) => (path, entry),
                Err(e) => {
                    let rule = match &e {
                        TarError::Refused {
                            fault: TarFault::Sparse | TarFault::Type(_),
                            ..
                        } => Rule::PlainEntries,
                        _ => Rule::Bytes,
                    };
                    return Some((rule, chain(&e)));
                }
            };
            rules.check(&path, &entry);
            if matches!(entry.kind, Kind::File(_)) {
                let mut start = [0; 20];
                let n = read_start(reader, &mut start);
                rules.check_program(&path, &start[..n]);
            }
            if let Err(e) = self.tree.add_member(path, entry, &mut targets) {
                return Some((Rule::Bytes, chain(&e)));
            }
        }
        None
    }
}

fn is_gzip(path: &Path) -> bool {
    let mut start = [0; 2];
    fs_err::File::open(path)
        .and_then(|mut file| file.read_exact(&mut start))
        .is_ok_and(|()| start == [0x1f, 0x8b])
}

/// The first bytes of a member. An error shows itself again when the next member is read.
fn read_start(reader: &mut TarReader<Stream<Tee<Unpacker>>>, start: &mut [u8]) -> usize {
    let mut filled = 0;
    while filled < start.len() {
        match reader.read_content(&mut start[filled..]) {
            Ok(0) | Err(_) => break,
            Ok(n) => filled += n,
        }
    }
    filled
}

/// The rules about entries. Findings of one kind are counted, not listed.
struct Rules {
    machine: Option<u16>,
    architecture: String,
    dirs: BTreeSet<ImagePath>,
    found: BTreeMap<(Rule, &'static str), (usize, Vec<String>)>,
}

impl Rules {
    fn new(architecture: &str) -> Self {
        Self {
            // The numbers of ELF.
            machine: match architecture {
                "amd64" => Some(62),
                "arm64" => Some(183),
                _ => None,
            },
            architecture: architecture.to_owned(),
            dirs: BTreeSet::new(),
            found: BTreeMap::new(),
        }
    }

    fn add(&mut self, rule: Rule, what: &'static str, path: &ImagePath) {
        let (count, examples) = self.found.entry((rule, what)).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(path.absolute());
        }
    }

    fn findings(self) -> Vec<(Rule, String)> {
        let text = |((rule, what), (count, examples)): ((Rule, &str), (usize, Vec<String>))| {
            let more = match count - examples.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let what = what.replace("ARCHITECTURE", &self.architecture);
            (rule, format!("{what}: {}{more}", examples.join(", ")))
        };
        self.found.into_iter().map(text).collect()
    }

    fn check_parent(&mut self, path: &ImagePath) {
        if let Some(parent) = path.parent() {
            self.check_dir(&parent, path);
        }
    }

    fn check_dir(&mut self, dir: &ImagePath, path: &ImagePath) {
        if !self.dirs.contains(dir) {
            let what = "no entry for the parent directory before it in the layer";
            self.add(Rule::ParentsFirst, what, path);
        }
    }

    fn check(&mut self, path: &ImagePath, entry: &Entry) {
        self.check_parent(path);
        match &entry.kind {
            Kind::Dir => {
                self.dirs.insert(path.clone());
                if entry.mode & 0o005 != 0o005 {
                    self.add(Rule::Readable, "directories that others cannot enter", path);
                }
            }
            Kind::File(_) if entry.mode & 0o004 == 0 => {
                self.add(Rule::Readable, "files that others cannot read", path);
            }
            Kind::Hardlink(_) => self.add(Rule::PlainEntries, "hard links", path),
            Kind::Special(_) => self.add(Rule::PlainEntries, "device nodes or pipes", path),
            Kind::File(_) | Kind::Symlink(_) => {}
        }
    }

    /// Executables and shared libraries only: object files and foreign data are nobody's to run.
    fn check_program(&mut self, path: &ImagePath, start: &[u8]) {
        let (Some(machine), true) = (self.machine, start.len() >= 20) else {
            return;
        };
        let number = |at: usize| u16::from_le_bytes([start[at], start[at + 1]]);
        let is_little = start[5] == 1;
        let is_program = matches!(number(16), 2 | 3) || !is_little;
        if start.starts_with(b"\x7fELF") && is_program && !(is_little && number(18) == machine) {
            self.add(
                Rule::Architecture,
                "programs that are not for ARCHITECTURE",
                path,
            );
        }
    }
}
