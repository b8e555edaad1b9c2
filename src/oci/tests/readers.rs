//! Random archives, as odd as archives get, listed by this crate's reader and by GNU tar, bsdtar and Python's tarfile: all
//! of them see the same members, or the archive is refused.

use std::path::{Path, PathBuf};
use std::process::Command;

use oci::entry::Special;
use oci::tar_reader::{Member, TarReader};
use oci::{Kind, Limits};

const ARCHIVES: u64 = 400;

/// Prints each archive's members as lines, then a line `=`; `!` for one that it refuses.
const PYTHON: &str = r#"
import sys, tarfile
kinds = {b"0": "-", b"\0": "-", b"7": "-", b"1": "h", b"2": "l", b"3": "c", b"4": "b", b"5": "d", b"6": "p"}
for path in sys.argv[1:]:
    lines = []
    try:
        with tarfile.open(path, "r:", errorlevel=2, encoding="latin-1") as tar:
            for m in tar:
                kind = kinds.get(m.type, "?")
                link = m.linkname if kind in "lh" else ""
                size = m.size if kind == "-" else 0
                names = [text.encode("latin-1").hex() for text in (m.name, link)]
                lines.append("\t".join(map(str, [kind, m.mode & 0o7777, m.uid, m.gid, size, int(m.mtime // 1), *names])))
    except Exception as error:
        lines = ["! " + str(error).replace("\n", " ")]
    print("\n".join(lines + ["="]))
"#;

/// xorshift, seeded: a failure is the same one again.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below
    }

    fn choose<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.next(from.len())]
    }
}

fn octal(block: &mut [u8; 512], at: usize, digits: usize, number: u64) {
    block[at..=at + digits].copy_from_slice(format!("{number:0digits$o}\0").as_bytes());
}

fn member(block: &mut [u8; 512], data: &[u8]) -> Vec<u8> {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut bytes = [&block[..], data].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn header(kind: u8, name: &str, link: &str, size: usize) -> [u8; 512] {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    octal(&mut block, 100, 7, 0o644);
    octal(&mut block, 108, 7, 0);
    octal(&mut block, 116, 7, 0);
    octal(&mut block, 124, 11, size as u64);
    octal(&mut block, 136, 11, 1);
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link.as_bytes());
    block[257..265].copy_from_slice(b"ustar\x0000");
    block
}

fn extension(kind: u8, data: &[u8]) -> Vec<u8> {
    member(&mut header(kind, "././@Extension", "", data.len()), data)
}

fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let length = (1..6).map(|digits| rest.len() + digits);
    let length = length
        .into_iter()
        .find(|n| n.to_string().len() + rest.len() == *n);
    format!("{}{rest}", length.unwrap())
}

/// What stands before a member, and the member, a bit odd or very.
fn random_member(random: &mut Random) -> Vec<u8> {
    let name = random.choose(&[
        "a", "b/c", "./d", "d/", "/e", "f f", "b/", "a", "dir/./x", "g\\h", "\u{fc}",
    ]);
    let target = random.choose(&["a", "b/c", "../x", "/e", "./a"]);
    let kind = b"000000011223456750"[random.next(18)];
    let kind = if name.ends_with('/') && random.next(4) > 0 {
        b'5'
    } else {
        kind
    };
    let link = if matches!(kind, b'1' | b'2') {
        target
    } else {
        ""
    };
    let data = if matches!(kind, b'0' | b'7') {
        vec![b'x'; [0, 1, 511, 512, 513, 1500][random.next(6)]]
    } else {
        vec![]
    };
    let mut block = header(kind, name, link, data.len());
    octal(
        &mut block,
        100,
        7,
        [0o644, 0o755, 0o4755, 0o1777, 0][random.next(5)],
    );
    if matches!(kind, b'3' | b'4') {
        octal(&mut block, 329, 7, 1);
        octal(&mut block, 337, 7, 3);
    }
    let mut before = Vec::new();
    match random.next(60) {
        0 => before = extension(b'x', record("path", &"long/".repeat(40)).as_bytes()),
        1 => {
            before = extension(
                b'x',
                (record("uid", "70000") + &record("gid", "5") + &record("mtime", "99.75"))
                    .as_bytes(),
            )
        }
        2 => {
            before = extension(
                b'x',
                record("size", ["0", "512", "1", "7"][random.next(4)]).as_bytes(),
            )
        }
        3 => before = extension(b'L', format!("{}\0", "gnu/".repeat(40)).as_bytes()),
        4 => {
            before = [
                extension(b'L', b"one\0"),
                extension(b'x', record("path", "two").as_bytes()),
            ]
            .concat()
        }
        5 => {
            before = [
                extension(b'x', record("path", "two").as_bytes()),
                extension(b'L', b"one\0"),
            ]
            .concat()
        }
        6 => before = extension(b'g', record("comment", "abc").as_bytes()),
        7 => {
            before = extension(
                b'g',
                record(random.choose(&["path", "uid", "mtime"]), "7").as_bytes(),
            )
        }
        8 => before = extension(b'K', b"target/of/gnu\0"),
        9 => before = extension(b'x', record("linkpath", "target/of/pax").as_bytes()),
        10 => block[345..351].copy_from_slice(b"prefix"),
        // GNU's magic: what is the prefix for others are times there.
        11 => {
            block[257..265].copy_from_slice(b"ustar  \0");
            block[345..357].copy_from_slice(b"00000000001\0");
        }
        // No magic: as in 1979.
        12 => {
            block[257..].fill(0);
            block[156] = if kind == b'0' { 0 } else { kind };
        }
        13 => block[108..116].copy_from_slice(b"\x80\0\0\0\x01\x02\x03\x04"),
        14 => block[136..148].copy_from_slice(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xf0"),
        15 => block[124..136].copy_from_slice(format!("{:>11o} ", data.len()).as_bytes()),
        16 => block[265..269].copy_from_slice(b"root"),
        17 => octal(&mut block, 124, 11, [0, 512, 7][random.next(3)]),
        18 => {
            let at = random.next(500);
            block[at] = [0, b' ', b'/', b'7', 0xff][random.next(5)];
        }
        19 => {
            before = extension(
                b'x',
                (record("path", "p") + &record("SCHILY.xattr.user.a", "=\n")).as_bytes(),
            )
        }
        20 => before = extension(b'x', record("GNU.sparse.major", "1").as_bytes()),
        _ => {}
    }
    [before, member(&mut block, &data)].concat()
}

fn random_archive(seed: u64) -> Vec<u8> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut bytes: Vec<u8> = (0..=random.next(5))
        .flat_map(|_| random_member(&mut random))
        .collect();
    match random.next(12) {
        0 => bytes.extend([0; 512]),
        1 => bytes.extend([&[0; 512][..], &random_member(&mut random)].concat()),
        2 => bytes.extend([&[0; 1024][..], &random_member(&mut random)].concat()),
        3 => bytes.truncate(random.next(bytes.len())),
        4 => {}
        _ => bytes.extend([0; 1024]),
    }
    bytes
}

/// Kind, mode, owner, group, size, time, name, target.
type Line = (char, u32, u64, u64, u64, i64, Vec<u8>, Vec<u8>);

/// A name as the root sees it, whatever stands in front of it or behind.
fn plain(name: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = name
        .split(|b| *b == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
        .collect();
    parts.join(&b'/')
}

fn ours(path: &Path) -> Result<Vec<Line>, String> {
    let reader = TarReader::open(path, Limits::default()).map_err(|error| error.to_string())?;
    let mut lines = Vec::new();
    for member in reader {
        let Member::Entry(path, entry) = member.map_err(|error| error.to_string())? else {
            return Err("a root or a whiteout".to_owned());
        };
        let (kind, size, link) = match &entry.kind {
            Kind::File(content) => ('-', content.len(), vec![]),
            Kind::Dir => ('d', 0, vec![]),
            Kind::Symlink(target) => ('l', 0, target.to_vec()),
            Kind::Hardlink(target) => ('h', 0, target.as_bytes().to_vec()),
            Kind::Special(Special::CharDevice(..)) => ('c', 0, vec![]),
            Kind::Special(Special::BlockDevice(..)) => ('b', 0, vec![]),
            Kind::Special(Special::Fifo) => ('p', 0, vec![]),
        };
        let time = entry.mtime.unwrap_or_default();
        lines.push((
            kind,
            entry.mode,
            entry.uid.into(),
            entry.gid.into(),
            size,
            time,
            path.as_bytes().to_vec(),
            link,
        ));
    }
    Ok(lines)
}

type Listing = Result<Vec<Line>, String>;

/// Standard output of a program, if it ended well and had nothing to say.
fn said(program: &str, args: &[&str]) -> Result<String, String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the oracles of these tests are programs"
    )]
    let output = Command::new(program)
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .output()
        .unwrap_or_else(|e| panic!("these tests need the program {program}: {e}"));
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(complaint),
    }
}

/// `\n`, `\\` and `\377` as bytes.
fn unescaped(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, rest) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = &rest[3..];
            }
            (b'\\', [letter, ..]) => {
                let at = b"abtnvfr".iter().position(|known| known == letter);
                bytes.push(at.map_or(*letter, |at| at as u8 + 7));
                rest = &rest[1..];
            }
            _ => bytes.push(*first),
        }
    }
    bytes
}

fn mode(letters: &str) -> u32 {
    let letters = letters.as_bytes();
    let bit = |at: usize| u32::from(!matches!(letters[at], b'-' | b'S' | b'T')) << (9 - at);
    let special = |at: usize, value: u32| {
        if b"sStT".contains(&letters[at]) {
            value
        } else {
            0
        }
    };
    (1..10).map(bit).sum::<u32>() + special(3, 0o4000) + special(6, 0o2000) + special(9, 0o1000)
}

/// A line of a listing whose columns are `letters`, owner, group, size; then the time as `seconds` reads it, then names.
fn line(letters: &str, ids: [&str; 2], size: &str, time: i64, names: &str) -> Line {
    let kind = letters.chars().next().unwrap();
    let (separator, kind) = match kind {
        'l' => (" -> ", 'l'),
        'h' => (" link to ", 'h'),
        'C' => ("\0", '-'),
        // bsdtar tells a hard link by its target alone.
        '-' if names.contains(" link to ") => (" link to ", 'h'),
        kind => ("\0", kind),
    };
    let (name, link) = names.split_once(separator).unwrap_or((names, ""));
    let size = if kind == '-' {
        size.parse().unwrap()
    } else {
        0
    };
    let [uid, gid] = ids.map(|id| id.parse().unwrap());
    (
        kind,
        mode(letters),
        uid,
        gid,
        size,
        time,
        unescaped(name),
        unescaped(link),
    )
}

/// The next column and what follows.
fn column(text: &str) -> (&str, &str) {
    text.trim_start().split_once(' ').expect("a column")
}

fn gnu(path: &str) -> Listing {
    let args = [
        "--list",
        "--verbose",
        "--numeric-owner",
        "--full-time",
        "--quoting-style=escape",
        "--absolute-names",
        "--file",
        path,
    ];
    let read = |text: &str| {
        let (letters, rest) = column(text);
        let (ids, rest) = column(rest);
        let (size, rest) = column(rest);
        let (day, rest) = column(rest);
        let (time, names) = column(rest);
        // A longer time before makes the column wider.
        let names = names.trim_start();
        let time: jiff::civil::DateTime = format!("{day}T{time}").parse().unwrap();
        let time = time.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
        let (uid, gid) = ids.split_once('/').unwrap();
        let floor = (time.as_nanosecond()).div_euclid(1_000_000_000) as i64;
        line(letters, [uid, gid], size, floor, names)
    };
    Ok(said("tar", &args)?.lines().map(read).collect())
}

/// Without times: bsdtar shows days.
fn bsd(path: &str) -> Listing {
    let args = ["--list", "--verbose", "--numeric-owner", "--file", path];
    let read = |text: &str| {
        let (letters, rest) = column(text);
        let (_, rest) = column(rest);
        let (uid, rest) = column(rest);
        let (gid, rest) = column(rest);
        let (size, rest) = column(rest);
        let (_, rest) = column(rest);
        let (_, rest) = column(rest);
        let (_, names) = column(rest);
        line(letters, [uid, gid], size, 0, names)
    };
    Ok(said("bsdtar", &args)?.lines().map(read).collect())
}

fn python(paths: &[PathBuf]) -> Vec<Listing> {
    let mut args = vec!["-c", PYTHON];
    args.extend(paths.iter().map(|path| path.to_str().unwrap()));
    let output = said("python3", &args).unwrap();
    let hex = |text: &str| -> Vec<u8> {
        let pairs = text
            .as_bytes()
            .chunks(2)
            .map(|pair| str::from_utf8(pair).unwrap());
        pairs
            .map(|pair| u8::from_str_radix(pair, 16).unwrap())
            .collect()
    };
    let read = |text: &str| {
        let columns: Vec<&str> = text.split('\t').collect();
        let [kind, mode, uid, gid, size, time, name, link] = columns[..] else {
            panic!("{text}");
        };
        let number = |text: &str| text.parse::<i64>().unwrap();
        (
            kind.chars().next().unwrap(),
            number(mode) as u32,
            number(uid) as u64,
            number(gid) as u64,
            number(size) as u64,
            number(time),
            hex(name),
            hex(link),
        )
    };
    let listings = output
        .split("=\n")
        .map(|listing| match listing.strip_prefix("! ") {
            Some(refused) => Err(refused.to_owned()),
            None => Ok(listing
                .lines()
                .filter(|line| !line.is_empty())
                .map(read)
                .collect()),
        });
    listings.take(paths.len()).collect()
}

/// What all four can be compared by: names as the root sees them, no times where one has none.
fn comparable(listing: &[Line], times: bool) -> Vec<Line> {
    let mut lines = listing.to_vec();
    for line in &mut lines {
        line.6 = plain(&line.6);
        // A symbolic link's target is a text, a hard link's a name.
        if line.0 == 'h' {
            line.7 = plain(&line.7);
        }
        if !times {
            line.5 = 0;
        }
    }
    lines
}

#[test]
fn what_is_read_is_what_gnu_tar_bsdtar_and_python_read() {
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = (0..ARCHIVES)
        .map(|seed| dir.path().join(format!("{seed}.tar")))
        .collect();
    for (seed, path) in (0..).zip(&paths) {
        fs_err::write(path, random_archive(seed)).unwrap();
    }
    let (mut wrong, mut read) = (Vec::new(), 0);
    for (path, python) in paths.iter().zip(python(&paths)) {
        let Ok(ours) = ours(path) else {
            continue;
        };
        read += 1;
        let text = path.to_str().unwrap();
        for (reader, theirs, times) in [
            ("GNU tar", gnu(text), true),
            ("bsdtar", bsd(text), false),
            ("Python", python, true),
        ] {
            let ours = comparable(&ours, times);
            let theirs = theirs.map(|theirs| comparable(&theirs, times));
            if theirs.as_ref() != Ok(&ours) {
                let name = path.file_name().unwrap().display();
                wrong.push(format!("{name}: we read {ours:?}\n  {reader} {theirs:?}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {read}:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(12)].join("\n")
    );
    // The odd ones are refused, and still most are read.
    assert!(
        (100..ARCHIVES).contains(&read),
        "{read} of {ARCHIVES} were read"
    );
}
