//! Archives are written block by block here, so that illegal ones are possible.

use super::*;
use crate::path::PathFault;

/// One header block with its content behind it.
#[derive(Clone)]
struct Raw {
    block: [u8; 512],
    content: Vec<u8>,
}

fn raw(kind: u8, name: &str) -> Raw {
    let mut raw = Raw {
        block: [0; 512],
        content: Vec::new(),
    };
    raw.block[257..265].copy_from_slice(b"ustar\x0000");
    raw.block[156] = kind;
    raw.set(0, name.as_bytes())
        .set(100, b"0000644\0")
        .set(108, b"0000000\0")
        .set(116, b"0000000\0")
        .set(124, b"00000000000\0")
        .set(136, b"00000000001\0")
}

fn file(name: &str, content: &str) -> Raw {
    raw(b'0', name).content(content.as_bytes())
}

fn link(kind: u8, name: &str, target: &str) -> Raw {
    raw(kind, name).set(157, target.as_bytes())
}

fn pax(records: &[(&str, &str)]) -> Raw {
    let mut bytes = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let digits = if rest + 2 > 99 {
            3
        } else if rest + 1 > 9 {
            2
        } else {
            1
        };
        bytes.extend(format!("{} {key}={value}\n", rest + digits).bytes());
    }
    raw(b'x', "PaxHeader").content(&bytes)
}

impl Raw {
    fn set(mut self, at: usize, bytes: &[u8]) -> Self {
        self.block[at..at + bytes.len()].copy_from_slice(bytes);
        self.sum()
    }

    fn content(mut self, bytes: &[u8]) -> Self {
        self.content = bytes.to_vec();
        self.set(124, format!("{:011o}\0", bytes.len()).as_bytes())
    }

    fn sum(mut self) -> Self {
        self.block[148..156].fill(b' ');
        let sum: u32 = self.block.iter().map(|b| u32::from(*b)).sum();
        self.block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self
    }

    fn gnu(self) -> Self {
        self.set(257, b"ustar  \0")
    }
}

fn bytes(members: &[Raw]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for member in members {
        bytes.extend(member.block);
        bytes.extend(&member.content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend([0; 1024]);
    bytes
}

fn read_with(bytes: &[u8], limits: Limits) -> Result<Vec<Member>, TarError> {
    let stream: Result<Vec<Member>, _> =
        TarReader::new(Stream(bytes), Path::new("x.tar"), limits).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tar");
    fs_err::write(&path, bytes).unwrap();
    let file: Result<Vec<Member>, _> = TarReader::open(&path, limits).unwrap().collect();
    match (&stream, &file) {
        (Ok(stream), Ok(file)) => assert_eq!(stream.len(), file.len()),
        (Err(TarError::Refused { fault: a, .. }), Err(TarError::Refused { fault: b, .. })) => {
            assert_eq!(a, b, "a stream and a file are refused for the same reason");
        }
        other => panic!("a stream and a file differ: {other:?}"),
    }
    stream
}

fn read(members: &[Raw]) -> Result<Vec<Member>, TarError> {
    read_with(&bytes(members), Limits::default())
}

fn fault(members: &[Raw]) -> TarFault {
    match read(members) {
        Err(TarError::Refused { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

/// `path kind` of each member.
fn summary(members: &[Raw]) -> Vec<String> {
    let text = |member: Member| match member {
        Member::Root => "root".to_owned(),
        Member::Whiteout(whiteout) => format!("{whiteout:?}"),
        Member::Entry(path, entry) => match entry.kind {
            Kind::File(content) => format!("{path} file {}", content.len()),
            Kind::Dir => format!("{path} dir"),
            Kind::Symlink(target) => format!("{path} -> {}", target.escape_ascii()),
            Kind::Hardlink(target) => format!("{path} => {target}"),
            Kind::Special(special) => format!("{path} {special:?}"),
        },
    };
    read(members).unwrap().into_iter().map(text).collect()
}

#[test]
fn what_is_accepted() {
    let long = "d/".repeat(80) + "x";
    for (name, members, expected) in [
        ("nothing", vec![], vec![]),
        ("root", vec![raw(b'5', "./")], vec!["root"]),
        (
            "absolute",
            vec![file("/etc/passwd", "x")],
            vec!["etc/passwd file 1"],
        ),
        ("dotted", vec![raw(b'5', "./a/./b//")], vec!["a/b dir"]),
        ("old directory", vec![raw(0, "d/")], vec!["d dir"]),
        (
            "old file",
            vec![raw(0, "f").content(b"12")],
            vec!["f file 2"],
        ),
        (
            "contiguous file",
            vec![raw(b'7', "f").content(b"1")],
            vec!["f file 1"],
        ),
        (
            "symlink outside",
            vec![link(b'2', "l", "/../../etc")],
            vec!["l -> /../../etc"],
        ),
        (
            "hard link",
            vec![link(b'1', "h", "./a/b")],
            vec!["h => a/b"],
        ),
        (
            "absolute hard link",
            vec![link(b'1', "h", "/a")],
            vec!["h => a"],
        ),
        ("fifo", vec![raw(b'6', "p")], vec!["p Fifo"]),
        (
            "device",
            vec![
                raw(b'3', "dev/null")
                    .set(329, b"0000001\0")
                    .set(337, b"0000003\0"),
            ],
            vec!["dev/null CharDevice(1, 3)"],
        ),
        (
            "the content of the first is not a header",
            vec![file("a", &"x".repeat(600)), file("b", "")],
            vec!["a file 600", "b file 0"],
        ),
        (
            "PAX wins",
            vec![
                pax(&[("path", "p"), ("mtime", "12.5"), ("uid", "7")]),
                file("short", "1"),
            ],
            vec!["p file 1"],
        ),
        (
            "PAX link",
            vec![pax(&[("linkpath", "p/q")]), link(b'2', "l", "short")],
            vec!["l -> p/q"],
        ),
        (
            "GNU long name and link",
            vec![
                raw(b'K', "././@LongLink").gnu().content(b"target\0"),
                raw(b'L', "././@LongLink")
                    .gnu()
                    .content(format!("{long}\0").as_bytes()),
                link(b'2', "d/d", "short").gnu(),
            ],
            vec![&*format!("{long} -> target")],
        ),
        (
            "ustar prefix",
            vec![file("name", "").set(345, b"pre/fix")],
            vec!["pre/fix/name file 0"],
        ),
        (
            "git's comment",
            vec![
                raw(b'g', "pax_global_header").content(b"14 comment=ab\n"),
                file("f", ""),
            ],
            vec!["f file 0"],
        ),
        (
            "whiteouts",
            vec![
                file(".wh.x", ""),
                file("a/.wh.x", ""),
                file("a/.wh..wh..opq", ""),
                file(".wh..wh..opq", ""),
                file("a/.wh....", ""),
            ],
            vec![
                "Path(\"x\")",
                "Path(\"a/x\")",
                "Inside(\"a\")",
                "Everything",
                // `...` is an ordinary name.
                "Path(\"a/...\")",
            ],
        ),
        (
            "AUFS bookkeeping means nothing",
            vec![
                raw(b'5', ".wh..wh.plnk/"),
                file(".wh..wh.plnk/1.2", "x"),
                link(b'1', ".wh..wh.aufs", "a"),
                file("f", ""),
            ],
            vec!["root", "root", "root", "f file 0"],
        ),
    ] {
        assert_eq!(summary(&members), expected, "{name}");
    }
}

#[test]
fn what_is_refused() {
    use TarFault::*;
    let huge = raw(b'0', "f").set(124, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff");
    for (name, members, expected) in [
        ("parent", vec![file("../x", "")], Name(PathFault::Parent)),
        (
            "parent inside",
            vec![file("a/../../b", "")],
            Name(PathFault::Parent),
        ),
        (
            "parent that stays inside",
            vec![file("a/../b", "")],
            Name(PathFault::Parent),
        ),
        (
            "parent, absolute",
            vec![file("/../x", "")],
            Name(PathFault::Parent),
        ),
        (
            "PAX parent",
            vec![pax(&[("path", "../x")]), file("x", "")],
            Name(PathFault::Parent),
        ),
        (
            "long component",
            vec![pax(&[("path", &"n".repeat(256))]), file("x", "")],
            Name(PathFault::TooLong),
        ),
        (
            "GNU name with NUL",
            vec![raw(b'L', "L").gnu().content(b"a\0b\0"), file("x", "").gnu()],
            Name(PathFault::Nul),
        ),
        (
            "PAX name with NUL",
            vec![pax(&[("path", "a\0b")]), file("x", "")],
            Pax,
        ),
        ("no name", vec![file("", "")], RootNotDir),
        ("root as a file", vec![file("./", "")], RootNotDir),
        ("root as a link", vec![link(b'2', "./", "/etc")], RootNotDir),
        ("file with a slash", vec![file("f/", "")], SlashAfterFile),
        (
            "link with a slash",
            vec![link(b'2', "l/", "t")],
            SlashAfterFile,
        ),
        ("socket", vec![raw(b's', "s")], Type(b's')),
        ("unknown type", vec![raw(b'Z', "s")], Type(b'Z')),
        ("GNU volume label", vec![raw(b'V', "s")], Type(b'V')),
        ("GNU multi volume", vec![raw(b'M', "s")], Type(b'M')),
        (
            "GNU times",
            vec![file("f", "").gnu().set(345, b"00000000001\0")],
            Prefix,
        ),
        ("old sparse", vec![raw(b'S', "s").gnu()], Sparse),
        (
            "PAX sparse",
            vec![pax(&[("GNU.sparse.major", "1")]), file("s", "")],
            Sparse,
        ),
        ("overlay whiteout", vec![raw(b'3', "c")], OverlayWhiteout),
        (
            "hard link out",
            vec![link(b'1', "h", "../x")],
            HardlinkTarget,
        ),
        (
            "hard link to the root",
            vec![link(b'1', "h", "/")],
            HardlinkTarget,
        ),
        ("empty hard link", vec![raw(b'1', "h")], HardlinkTarget),
        ("empty symlink", vec![raw(b'2', "h")], SymlinkTarget),
        (
            "hard link with data",
            vec![link(b'1', "h", "a").content(b"x")],
            DataWithoutFile,
        ),
        (
            "directory with data",
            vec![raw(b'5', "d/").content(b"x")],
            DataWithoutFile,
        ),
        (
            "fifo with data",
            vec![raw(b'6', "p").content(b"x")],
            DataWithoutFile,
        ),
        (
            "checksum",
            vec![Raw {
                block: [b'7'; 512],
                ..file("f", "")
            }],
            Checksum,
        ),
        (
            "text in a number",
            vec![file("f", "").set(100, b"rw-r--r\0")],
            Number("mode"),
        ),
        (
            "negative size",
            vec![file("f", "").set(124, &[0xff; 12])],
            Number("size"),
        ),
        ("huge size", vec![huge], TooLarge(64 << 30)),
        (
            "PAX size hides members",
            vec![
                pax(&[("size", "1536")]),
                file("f", "x"),
                file("hidden", ""),
                file("g", ""),
            ],
            PaxSize {
                pax: 1536,
                header: 1,
            },
        ),
        (
            "PAX size shows members",
            vec![pax(&[("size", "0")]), file("f", "x")],
            PaxSize { pax: 0, header: 1 },
        ),
        (
            "two PAX headers",
            vec![pax(&[]), pax(&[]), file("f", "")],
            MixedExtensions,
        ),
        (
            "PAX and GNU names",
            vec![
                pax(&[("path", "a")]),
                raw(b'L', "L").content(b"b\0"),
                file("f", ""),
            ],
            MixedExtensions,
        ),
        (
            "two GNU names",
            vec![
                raw(b'L', "L").content(b"a\0"),
                raw(b'L', "L").content(b"b\0"),
                file("f", ""),
            ],
            MixedExtensions,
        ),
        (
            "PAX key twice",
            vec![pax(&[("path", "a"), ("path", "b")]), file("f", "")],
            PaxTwice("path".into()),
        ),
        (
            "PAX lies about lengths",
            vec![raw(b'x', "x").content(b"99 path=a\n"), file("f", "")],
            Pax,
        ),
        ("PAX and nothing", vec![pax(&[("path", "a")])], Truncated),
        (
            "global path",
            vec![raw(b'g', "g").content(b"9 path=a\n"), file("f", "")],
            GlobalExtension,
        ),
        (
            "an overlay's own attribute",
            vec![
                pax(&[("SCHILY.xattr.trusted.overlay.opaque", "y")]),
                raw(b'5', "d/"),
            ],
            Xattr("trusted.overlay.opaque".into()),
        ),
        ("whiteout of nothing", vec![file(".wh.", "")], OddWhiteout),
        ("whiteout of this", vec![file("a/.wh..", "")], OddWhiteout),
        (
            "whiteout of the parent",
            vec![file("a/.wh...", "")],
            OddWhiteout,
        ),
        (
            "whiteout as a directory",
            vec![raw(b'5', ".wh.x/")],
            OddWhiteout,
        ),
        ("below a whiteout", vec![file(".wh.x/y", "")], OddWhiteout),
    ] {
        assert_eq!(fault(&members), expected, "{name}");
    }
}

#[test]
fn attributes_of_both_writers() {
    let members = [
        pax(&[
            ("SCHILY.xattr.security.capability", "\u{1}\n2\n"),
            ("LIBARCHIVE.xattr.security.capability", "AQoyCg"),
            ("LIBARCHIVE.xattr.user.a%20b", "eA=="),
            ("atime", "1.5"),
        ]),
        file("ping", ""),
    ];
    let Member::Entry(_, entry) = &read(&members).unwrap()[0] else {
        panic!("no entry");
    };
    assert_eq!(entry.xattrs["security.capability"], b"\x01\n2\n");
    assert_eq!(entry.xattrs["user.a b"], b"x");
}

#[test]
fn limits_hold() {
    let members = [file("a", "12345"), file("b", "x")];
    let with = |limits| read_with(&bytes(&members), limits);
    let limits = Limits::default();
    for bad in [
        Limits {
            entries: 1,
            ..limits
        },
        Limits {
            size: 1600,
            ..limits
        },
    ] {
        assert!(with(bad).is_err(), "{bad:?}");
    }
    let long = [pax(&[("path", &"n/".repeat(300))]), raw(b'5', "d/")];
    let metadata = Limits {
        metadata: 500,
        ..limits
    };
    assert!(matches!(
        read_with(&bytes(&long), metadata),
        Err(TarError::Refused {
            fault: TarFault::TooMuchMetadata(500),
            ..
        })
    ));
    // The size alone must not make anyone reserve memory.
    let liar = raw(b'x', "x").set(124, b"77777777777\0");
    assert_eq!(fault(&[liar]), TarFault::TooMuchMetadata(1 << 20));
}

#[test]
fn cut_anywhere_is_an_error() {
    let members = [
        pax(&[("path", "long"), ("SCHILY.xattr.user.a", "b")]),
        file("a", &"x".repeat(700)),
        raw(b'5', "d/"),
        file("d/b", "y"),
    ];
    let whole = bytes(&members);
    let closing = whole.len() - 1024;
    for len in 1..closing {
        let is_border = [1024 + 512 + 1024, 1024 + 512 + 1024 + 512].contains(&len);
        let result = read_with(&whole[..len], Limits::default());
        assert_eq!(result.is_ok(), is_border, "cut at {len}: {result:?}");
    }
    // Without the closing blocks, or with one, it is complete.
    for len in [closing, closing + 512, whole.len()] {
        assert_eq!(
            read_with(&whole[..len], Limits::default()).unwrap().len(),
            3
        );
    }
}

#[test]
fn only_zeros_follow_the_end() {
    let mut padded = bytes(&[file("a", "x")]);
    padded.resize(10240, 0);
    assert_eq!(read_with(&padded, Limits::default()).unwrap().len(), 1);
    let mut smuggled = bytes(&[file("a", "x")]);
    smuggled.extend(bytes(&[file("hidden", "y")]));
    assert!(matches!(
        read_with(&smuggled, Limits::default()),
        Err(TarError::Refused {
            fault: TarFault::DataAfterEnd,
            ..
        })
    ));
}

#[test]
fn content_is_where_the_index_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tar");
    let members = [
        file("a", &"x".repeat(700)),
        pax(&[("path", "long")]),
        file("b", "second"),
    ];
    fs_err::write(&path, bytes(&members)).unwrap();
    let tree = crate::Tree::from_tar(&path).unwrap();
    assert_eq!(
        tree.read(&"a".parse().unwrap()).unwrap(),
        "x".repeat(700).as_bytes()
    );
    assert_eq!(tree.read(&"long".parse().unwrap()).unwrap(), b"second");
}

#[test]
fn errors_name_archive_member_and_advice() {
    let error = read(&[file("fine", ""), file("a\n/../b", "")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "x.tar: member 2 \"a\\\\n/../b\": its name cannot be used: it has a \"..\" component"
    );
    let error = read(&[raw(b'S', "s")]).unwrap_err();
    assert!(error.hint().unwrap().contains("--sparse"));
}

#[test]
fn repeated_and_conflicting_members() {
    let tree = |members: &[Raw]| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tar");
        fs_err::write(&path, bytes(members)).unwrap();
        crate::Tree::from_tar(&path).map(|tree| tree.listing())
    };
    let twice = tree(&[
        file("a", "1"),
        raw(b'5', "a/"),
        file("a/b", ""),
        file("a", "22"),
    ]);
    assert_eq!(twice.unwrap(), "-rw-r--r-- 0 0 2 a\n");
    assert_eq!(
        tree(&[file("a/b", "1")]).unwrap(),
        "drwxr-xr-x 0 0 0 a\n-rw-r--r-- 0 0 1 a/b\n"
    );
    for (name, members) in [
        (
            "through a link",
            vec![link(b'2', "d", "/etc"), file("d/passwd", "x")],
        ),
        ("through a file", vec![file("d", ""), file("d/x", "")]),
        (
            "a hard link's target again",
            vec![file("a", "1"), link(b'1', "b", "a"), file("a", "2")],
        ),
        ("a hard link to itself", vec![link(b'1', "b", "b")]),
        (
            "a hard link to a directory",
            vec![raw(b'5', "d/"), link(b'1', "b", "d")],
        ),
    ] {
        assert!(tree(&members).is_err(), "{name}");
    }
}
