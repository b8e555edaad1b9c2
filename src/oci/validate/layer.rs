//! One pass over a layer's bytes: blob digest, diffID, and the rules about its entries.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::path::Path;

use oci_spec::image as spec;

use super::audit::Program;
use super::elf::Elf;
use super::report::chain;
use super::rule::Rule;
use crate::digest::{DiffId, Hasher};
use crate::entry::{Entry, Kind};
use crate::layer::Unpacker;
use crate::limits::Limits;
use crate::media_type;
use crate::path::ImagePath;
use crate::source::{Blob, ImageSource, SourceError, described_by};
use crate::tar_reader::{Member, Stream, TarError, TarFault, TarReader};
use crate::tree::{Tree, Whiteout};

/// Paths that are named in a finding; the others are counted.
const EXAMPLES: usize = 3;
/// Programs above this are not audited: each is read into memory.
const MAX_PROGRAM: u64 = 128 << 20;

/// What a layer is by its bytes.
#[derive(Default)]
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
    /// What is to be audited, and glibc itself.
    pub programs: Vec<Program>,
}

/// A blob's content: its bytes as they are, or unpacked.
enum Content {
    Gzip(Box<Unpacker<io::Chain<io::Cursor<Vec<u8>>, Blob>>>),
    Plain(Box<io::Chain<io::Cursor<Vec<u8>>, Blob>>),
}

impl Read for Content {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(content) => content.read(buf),
            Self::Plain(content) => content.read(buf),
        }
    }
}

/// Hashes what is read, and remembers a failure: a decoder says it only once.
struct Tee {
    content: Content,
    hasher: Hasher<io::Sink>,
    failed: bool,
}

impl Read for Tee {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buf);
        self.failed |= read.is_err();
        let n = read?;
        self.hasher.write_all(&buf[..n])?;
        Ok(n)
    }
}

type Reader = TarReader<Stream<Tee>>;

impl Scan {
    pub fn new(
        source: &ImageSource,
        descriptor: &spec::Descriptor,
        architecture: &str,
        is_audited: bool,
    ) -> Result<Self, SourceError> {
        let mut scan = Self::default();
        let opened = match described_by(descriptor) {
            Ok(descriptor) => source.blob(&descriptor),
            Err(e) => {
                scan.damage.push((Rule::Bytes, chain(&e)));
                return Ok(scan);
            }
        };
        let mut blob = match opened {
            Err(e) if e.is_damage() => {
                scan.damage.push((Rule::Bytes, chain(&e)));
                return Ok(scan);
            }
            blob => blob?,
        };
        let mut start = Vec::new();
        let peeked = (&mut blob).take(4).read_to_end(&mut start);
        let is_zstd = start == [0x28, 0xb5, 0x2f, 0xfd];
        let is_gzip = start.starts_with(&[0x1f, 0x8b]);
        let bytes = io::Cursor::new(start).chain(blob);
        let content = if is_gzip {
            Content::Gzip(Box::new(Unpacker::new(bytes, descriptor.size())))
        } else {
            Content::Plain(Box::new(bytes))
        };
        let tee = Tee {
            content,
            hasher: Hasher::new(io::sink()),
            failed: false,
        };
        let name = descriptor.digest().to_string();
        let mut reader = TarReader::new(Stream(tee), Path::new(&name), Limits::current());
        let mut rules = Rules::new(architecture, is_audited);
        let refused = match is_zstd {
            true => None,
            false => scan.read(&mut reader, &mut rules),
        };
        let mut tee = reader.into_source().0;
        let rest = io::copy(&mut tee, &mut io::sink());
        let (diff_id, unpacked, _) = tee.hasher.finish();
        scan.unpacked = unpacked;
        scan.findings = rules.findings();
        // Other bytes than the digest's are the better explanation for whatever else failed.
        let bytes = match tee.content {
            Content::Gzip(unpacker) => unpacker.into_inner(),
            Content::Plain(bytes) => *bytes,
        };
        let mut blob = bytes.into_inner().1;
        let rest_of_blob = io::copy(&mut blob, &mut io::sink());
        let is_said_to_be_gzip = media_type::is_gzip_layer(descriptor.media_type().as_ref());
        if let Err(e) = peeked.map(drop).and(rest_of_blob.map(drop)) {
            scan.damage.push((Rule::Bytes, e.to_string()));
        } else if is_zstd || (!is_gzip && is_said_to_be_gzip) {
            let what = if is_zstd { "zstd" } else { "not gzip" };
            let detail = format!("the bytes of {name} are {what}");
            scan.damage.push((Rule::Gzip, detail));
        } else {
            let broken = |e| (Rule::Bytes, format!("cannot be decompressed: {e}"));
            scan.damage.extend(refused.or(rest.err().map(broken)));
            scan.diff_id = (!tee.failed).then_some(DiffId(diff_id));
        }
        Ok(scan)
    }

    /// Goes through all members; returns why the tar is refused.
    fn read(&mut self, reader: &mut Reader, rules: &mut Rules) -> Option<(Rule, String)> {
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
                let mut start = Vec::new();
                read_up_to(reader, 20, &mut start);
                rules.check_program(&path, &start);
                if start.starts_with(b"\x7fELF") && rules.audits(&path) {
                    self.audit(reader, rules, &path, &entry, start);
                }
            }
            if let Err(e) = self.tree.add_member(path, entry, &mut targets) {
                return Some((Rule::Bytes, chain(&e)));
            }
        }
        None
    }

    /// Reads the rest of a program and keeps what matters of it.
    fn audit(
        &mut self,
        reader: &mut Reader,
        rules: &mut Rules,
        path: &ImagePath,
        entry: &Entry,
        mut bytes: Vec<u8>,
    ) {
        if entry.size() > MAX_PROGRAM {
            rules.add(Rule::Hardening, "too large for an audit", path);
            return;
        }
        bytes.reserve_exact(entry.size() as usize - bytes.len());
        read_up_to(reader, entry.size() as usize, &mut bytes);
        match Elf::read(&bytes) {
            Ok(Some(elf)) => self.programs.push(Program {
                path: path.clone(),
                is_audited: rules.is_audited,
                elf,
            }),
            Ok(None) => {}
            // A broken layer is said elsewhere.
            Err(_) if !rules.is_audited || (bytes.len() as u64) < entry.size() => {}
            Err(_) => rules.add(Rule::Hardening, "programs that cannot be read", path),
        }
    }
}

/// More of a member's content, until there are `len` bytes of it. An error shows itself again when the next member is
/// read.
fn read_up_to(reader: &mut Reader, len: usize, bytes: &mut Vec<u8>) {
    let mut buffer = [0; 16 << 10];
    while bytes.len() < len {
        let most = buffer.len().min(len - bytes.len());
        match reader.read_content(&mut buffer[..most]) {
            Ok(0) | Err(_) => break,
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
        }
    }
}

/// The rules about entries. Findings of one kind are counted, not listed.
struct Rules {
    is_audited: bool,
    machine: Option<u16>,
    architecture: String,
    dirs: BTreeSet<ImagePath>,
    found: BTreeMap<(Rule, &'static str), (usize, Vec<String>)>,
}

impl Rules {
    fn new(architecture: &str, is_audited: bool) -> Self {
        Self {
            is_audited,
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

    /// Whether to read a program: it is audited, or it is the library that the others are measured by.
    fn audits(&self, path: &ImagePath) -> bool {
        let name = path.file_name();
        self.is_audited || name == b"libc.so.6" || name.starts_with(b"libc-2.")
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
