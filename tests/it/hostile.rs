//! Archives that try to get out. One table, after containerd's `TestBreakouts` and the faults that tar readers had, through
//! every way that an archive comes in: as a layer, a root file system, a source or crate, a package. Each either is refused
//! or holds exactly what the table says, and nothing outside of the folder changes.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use imgbuild::inputs::{decompress, read_deb, unpack};
use oci::{Kind, Tree};

/// What the table expects.
#[derive(Clone, Copy)]
enum Verdict {
    Refused,
    /// What the root file system holds then, as [`listing`] writes it.
    Holds(&'static str),
}
use Verdict::{Holds, Refused};

/// One header block, then the data.
fn member(kind: u8, name: &[u8], link: &[u8], data: &[u8]) -> Vec<u8> {
    let mut block = [0u8; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..108].copy_from_slice(b"0000755\0");
    block[124..136].copy_from_slice(format!("{:011o}\0", data.len()).as_bytes());
    block[136..148].copy_from_slice(b"00000000001\0");
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    with_sum(block, data)
}

fn with_sum(mut block: [u8; 512], data: &[u8]) -> Vec<u8> {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut bytes = [&block[..], data].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// A member with some bytes of its header changed, the checksum set right again.
fn changed(member: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut block: [u8; 512] = member[..512].try_into().unwrap();
    block[at..at + bytes.len()].copy_from_slice(bytes);
    with_sum(block, &member[512..])
}

fn file(name: &str) -> Vec<u8> {
    member(b'0', name.as_bytes(), b"", b"x")
}

fn dir(name: &str) -> Vec<u8> {
    member(b'5', name.as_bytes(), b"", b"")
}

fn link(name: &str, target: &str) -> Vec<u8> {
    member(b'2', name.as_bytes(), target.as_bytes(), b"")
}

fn hard(name: &str, target: &str) -> Vec<u8> {
    member(b'1', name.as_bytes(), target.as_bytes(), b"")
}

fn pax(records: &[u8]) -> Vec<u8> {
    member(b'x', b"PaxHeader", b"", records)
}

/// A PAX record with its length in front.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
    let length = (1..7)
        .map(|digits| rest.len() + digits)
        .find(|n| n.to_string().len() + rest.len() == *n);
    [length.unwrap().to_string().as_bytes(), &rest].concat()
}

fn tar(members: &[Vec<u8>]) -> Vec<u8> {
    [members.concat(), vec![0; 1024]].concat()
}

type Case = (&'static str, Vec<Vec<u8>>, Verdict);

/// Names and links.
fn names() -> Vec<Case> {
    let long = "n".repeat(256);
    vec![
        (
            "absolute name",
            vec![file("/etc/passwd")],
            Holds("etc etc/passwd=x"),
        ),
        (
            "many slashes",
            vec![file("//etc///passwd")],
            Holds("etc etc/passwd=x"),
        ),
        ("dots", vec![file("./a/./b")], Holds("a a/b=x")),
        ("parent", vec![file("../outside/x")], Refused),
        (
            "parent inside",
            vec![dir("a"), file("a/../../outside/x")],
            Refused,
        ),
        ("parent that stays", vec![dir("a"), file("a/../b")], Refused),
        ("parent at the end", vec![dir("a/..")], Refused),
        ("absolute parent", vec![file("/../outside/x")], Refused),
        (
            "backslashes are a name",
            vec![file("..\\outside\\x")],
            Holds("..\\outside\\x=x"),
        ),
        ("a drive is a name", vec![file("C:\\x")], Holds("C:\\x=x")),
        ("no name", vec![file("")], Refused),
        ("the root as a file", vec![file("./")], Refused),
        ("the root as a link", vec![link("./", "/etc")], Refused),
        (
            "control characters",
            vec![file("a\n\x1b[31m")],
            Holds("a\n\x1b[31m=x"),
        ),
        (
            "no UTF-8",
            vec![member(b'0', b"\xff\xfe", b"", b"x")],
            Holds("\u{fffd}\u{fffd}=x"),
        ),
        (
            "NUL in a PAX name",
            vec![pax(&record("path", b"a\0/../b")), file("a")],
            Refused,
        ),
        (
            "NUL in a GNU name",
            vec![member(b'L', b"L", b"", b"a\0b\0"), file("a")],
            Refused,
        ),
        (
            "PAX parent",
            vec![pax(&record("path", b"../outside/x")), file("a")],
            Refused,
        ),
        (
            "GNU parent",
            vec![member(b'L', b"L", b"", b"../outside/x\0"), file("a")],
            Refused,
        ),
        (
            "long component",
            vec![pax(&record("path", long.as_bytes())), file("a")],
            Refused,
        ),
        ("file with a slash", vec![file("a/")], Refused),
        (
            "symlink, absolute",
            vec![link("a", "/etc")],
            Holds("a->/etc"),
        ),
        (
            "symlink, up and out",
            vec![link("a", "../../outside")],
            Holds("a->../../outside"),
        ),
        ("symlink without a target", vec![link("a", "")], Refused),
        ("symlink without a name", vec![link("", "/etc")], Refused),
        (
            "file through an absolute symlink",
            vec![link("a", "/etc"), file("a/x")],
            Refused,
        ),
        (
            "file through a symlink up",
            vec![link("a", "../outside"), file("a/x")],
            Refused,
        ),
        (
            "file through a symlink inside",
            vec![dir("d"), link("a", "d"), file("a/x")],
            Refused,
        ),
        (
            "symlink through a symlink",
            vec![link("a", "../outside"), link("a/b", "sentinel")],
            Refused,
        ),
        (
            "dir through a symlink",
            vec![link("a", "../outside"), dir("a/b")],
            Refused,
        ),
        (
            "symlink replaces a dir",
            vec![file("a/x"), link("a", "../outside"), file("a/sentinel")],
            Refused,
        ),
        (
            "dir replaces a symlink",
            vec![link("a", "../outside"), dir("a"), file("a/sentinel")],
            Holds("a a/sentinel=x"),
        ),
        (
            "file replaces a symlink",
            vec![link("a", "../outside/sentinel"), file("a")],
            Holds("a=x"),
        ),
        (
            "symlinks in a ring",
            vec![link("a", "b"), link("b", "a"), file("a/x")],
            Refused,
        ),
        (
            "the parent is a file",
            vec![file("a"), file("a/b")],
            Refused,
        ),
        (
            "parents that are missing",
            vec![file("a/b/c")],
            Holds("a a/b a/b/c=x"),
        ),
        (
            "only the case differs",
            vec![file("A"), file("a")],
            Holds("A=x a=x"),
        ),
        (
            "twice",
            vec![file("a"), member(b'0', b"a", b"", b"y")],
            Holds("a=y"),
        ),
        (
            "three kinds",
            vec![file("a"), dir("a"), link("a", "b")],
            Holds("a->b"),
        ),
    ]
}

/// Hard links, devices, removals.
fn kinds() -> Vec<Case> {
    vec![
        (
            "hard link",
            vec![file("a"), hard("b", "a")],
            Holds("a=x b=x"),
        ),
        (
            "hard link, absolute",
            vec![file("a"), hard("b", "/a")],
            Holds("a=x b=x"),
        ),
        (
            "hard link before its target",
            vec![hard("b", "a"), file("a")],
            Refused,
        ),
        (
            "hard link up",
            vec![hard("b", "../outside/sentinel")],
            Refused,
        ),
        (
            "hard link up from inside",
            vec![dir("a"), hard("a/b", "a/../../outside/sentinel")],
            Refused,
        ),
        ("hard link to nothing", vec![hard("b", "nothing")], Refused),
        ("hard link to the root", vec![hard("b", "/")], Refused),
        ("hard link to itself", vec![hard("b", "b")], Refused),
        (
            "hard links in a ring",
            vec![hard("a", "b"), hard("b", "a")],
            Refused,
        ),
        (
            "hard link to a dir",
            vec![dir("a"), hard("b", "a")],
            Refused,
        ),
        (
            "hard link to a later dir",
            vec![hard("b", "a"), dir("a")],
            Refused,
        ),
        (
            "hard link with data",
            vec![file("a"), member(b'1', b"b", b"a", b"data")],
            Refused,
        ),
        (
            "hard link through a symlink out",
            vec![link("l", "../outside"), hard("b", "l/sentinel")],
            Refused,
        ),
        // It is another name of the link, not of what the link points to.
        (
            "hard link to a symlink out",
            vec![link("l", "../outside/sentinel"), hard("b", "l")],
            Holds("b->../outside/sentinel l->../outside/sentinel"),
        ),
        (
            "hard link to a symlink, then data",
            vec![link("l", "../outside/sentinel"), hard("b", "l"), file("b")],
            Holds("b=x l->../outside/sentinel"),
        ),
        (
            "the target of a hard link changes",
            vec![file("a"), hard("b", "a"), member(b'0', b"a", b"", b"y")],
            Refused,
        ),
        ("socket", vec![member(b's', b"s", b"", b"")], Refused),
        (
            "type of nobody",
            vec![member(b'Z', b"s", b"", b"")],
            Refused,
        ),
        ("GNU volume", vec![member(b'V', b"s", b"", b"")], Refused),
        (
            "GNU multi volume",
            vec![member(b'M', b"s", b"", b"")],
            Refused,
        ),
        ("GNU dump dir", vec![member(b'D', b"s", b"", b"")], Refused),
        (
            "overlay whiteout",
            vec![member(b'3', b"c", b"", b"")],
            Refused,
        ),
        (
            "dir with data",
            vec![member(b'5', b"d", b"", b"data")],
            Refused,
        ),
        ("old sparse", vec![member(b'S', b"s", b"", b"")], Refused),
        (
            "PAX sparse 0.1",
            vec![pax(&record("GNU.sparse.map", b"0,1")), file("a")],
            Refused,
        ),
        (
            "PAX sparse 1.0",
            vec![pax(&record("GNU.sparse.major", b"1")), file("a")],
            Refused,
        ),
        ("removal of nothing", vec![file(".wh.")], Refused),
        ("removal of this", vec![file("a/.wh..")], Refused),
        ("removal of the parent", vec![file("a/.wh...")], Refused),
        ("removal as a dir", vec![dir(".wh.a")], Refused),
        (
            "removal as a link",
            vec![link(".wh.a", "../outside")],
            Refused,
        ),
        ("below a removal", vec![file(".wh.a/b")], Refused),
        ("removal up", vec![file("../.wh.outside")], Refused),
        (
            "attribute of an overlay",
            vec![
                pax(&record("SCHILY.xattr.trusted.overlay.opaque", b"y")),
                dir("d"),
            ],
            Refused,
        ),
        (
            "attribute without a name",
            vec![pax(&record("SCHILY.xattr.", b"y")), dir("d")],
            Refused,
        ),
        (
            "attribute that is no base64",
            vec![pax(&record("LIBARCHIVE.xattr.user.a", b"*")), dir("d")],
            Refused,
        ),
    ]
}

/// Headers that two readers could understand differently.
fn headers() -> Vec<Case> {
    let hidden = [file("f"), file("hidden")].concat();
    vec![
        (
            "PAX size hides members",
            vec![
                pax(&record("size", b"1536")),
                file("f"),
                file("hidden"),
                file("g"),
            ],
            Refused,
        ),
        (
            "PAX size shows members",
            vec![pax(&record("size", b"0")), member(b'0', b"f", b"", &hidden)],
            Refused,
        ),
        (
            "PAX twice",
            vec![
                pax(&record("path", b"a")),
                pax(&record("path", b"b")),
                file("f"),
            ],
            Refused,
        ),
        (
            "PAX key twice",
            vec![
                pax(&[record("path", b"a"), record("path", b"b")].concat()),
                file("f"),
            ],
            Refused,
        ),
        (
            "PAX, then a GNU name",
            vec![
                pax(&record("path", b"a")),
                member(b'L', b"L", b"", b"b\0"),
                file("f"),
            ],
            Refused,
        ),
        (
            "a GNU name, then PAX",
            vec![
                member(b'L', b"L", b"", b"b\0"),
                pax(&record("path", b"a")),
                file("f"),
            ],
            Refused,
        ),
        (
            "GNU name twice",
            vec![
                member(b'L', b"L", b"", b"a\0"),
                member(b'L', b"L", b"", b"b\0"),
                file("f"),
            ],
            Refused,
        ),
        ("PAX of nothing", vec![pax(&record("path", b"a"))], Refused),
        (
            "PAX lies about its length",
            vec![pax(b"99 path=a\n"), file("f")],
            Refused,
        ),
        (
            "global PAX path",
            vec![member(b'g', b"g", b"", &record("path", b"a")), file("f")],
            Refused,
        ),
        (
            "negative size",
            vec![changed(file("f"), 124, &[0xff; 12])],
            Refused,
        ),
        (
            "huge size",
            vec![changed(
                file("f"),
                124,
                b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff",
            )],
            Refused,
        ),
        (
            "size beyond the end",
            vec![changed(file("f"), 124, b"00000077777\0")],
            Refused,
        ),
        (
            "size with a sign",
            vec![changed(file("f"), 124, b"-0000000001\0")],
            Refused,
        ),
        (
            "no number",
            vec![changed(file("f"), 100, b"rwxr-xr\0")],
            Refused,
        ),
        (
            "huge owner",
            vec![changed(file("f"), 108, b"\xff\xff\xff\xff\xff\xff\xff\xff")],
            Refused,
        ),
        (
            "checksum",
            vec![[&file("f")[..100], &[b'7'; 412], &[0; 512]].concat()],
            Refused,
        ),
        (
            "an archive behind the end",
            vec![file("f"), vec![0; 1024], file("hidden")],
            Refused,
        ),
        (
            "one block of zeros inside",
            vec![file("f"), vec![0; 512], file("hidden")],
            Refused,
        ),
        (
            "cut in a header",
            vec![file("f"), file("g")[..300].to_vec()],
            Refused,
        ),
        ("old dir", vec![member(0, b"d/", b"", b"")], Holds("d")),
        (
            "prefix of ustar",
            vec![changed(file("f"), 345, b"../outside")],
            Refused,
        ),
        (
            "owners mean nothing here",
            vec![changed(file("f"), 108, b"0001750\0")],
            Holds("f=x"),
        ),
        (
            "set-uid",
            vec![changed(file("f"), 100, b"0006755\0")],
            Holds("f=x"),
        ),
    ]
}

/// Every entry of a folder or tree: `dir`, `file=content`, `link->target`.
fn listing(tree: &Tree) -> String {
    let mut text = Vec::new();
    for (path, entry) in tree.iter() {
        text.push(match &entry.kind {
            Kind::Dir => path.to_string(),
            Kind::File(content) => format!(
                "{path}={}",
                String::from_utf8(content.read(999).unwrap()).unwrap()
            ),
            Kind::Symlink(target) => format!("{path}->{}", String::from_utf8_lossy(target)),
            other => format!("{path} is {other:?}"),
        });
    }
    text.join(" ")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A package whose files are these.
fn deb(data: &[u8]) -> Vec<u8> {
    let control = tar(&[file("control")]);
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in [
        ("debian-binary", &b"2.0\n"[..]),
        ("control.tar", &control),
        ("data.tar.gz", data),
    ] {
        bytes.extend(format!("{name:<16}{:<32}{:<10}`\n", 0, content.len()).bytes());
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    }
    bytes
}

/// The four ways in; each ends with files on this machine, in `root`.
fn ways_in(bytes: &[u8], work: &Path, root: &Path) -> Vec<(&'static str, Result<String, String>)> {
    let write = |name: &str, bytes: &[u8]| {
        let path = work.join(name);
        fs_err::write(&path, bytes).unwrap();
        path
    };
    let extracted = |name: &str, tree: Tree| {
        let root = root.join(name);
        tree.extract(&root).map_err(|error| error.to_string())?;
        Ok(listing(
            &Tree::from_dir(&root).map_err(|error| error.to_string())?,
        ))
    };
    let packed = gzip(bytes);
    let plain = write("layer.tar", bytes);
    let layer = || {
        let layer = Tree::from_tar(&plain).map_err(|error| error.to_string())?;
        extracted(
            "layer",
            Tree::new()
                .with_layer(layer)
                .map_err(|error| error.to_string())?,
        )
    };
    let rootfs = || {
        let tar = work.join("rootfs.tar");
        decompress(&write("rootfs.tar.gz", &packed), &tar).map_err(|error| error.to_string())?;
        let mut tree = Tree::from_tar(&tar).map_err(|error| error.to_string())?;
        tree.dereference_hardlinks()
            .map_err(|error| error.to_string())?;
        extracted("rootfs", tree)
    };
    let source = || {
        let folder = root.join("source");
        unpack(&write("source.crate", &packed), None, &folder)
            .map_err(|error| format!("{error:?}"))?;
        Ok(listing(&Tree::from_dir(&folder).unwrap()))
    };
    let package = || {
        let deb = read_deb(&write("package.deb", &deb(&packed)), work, "1")
            .map_err(|error| format!("{error:?}"))?;
        extracted(
            "package",
            Tree::new()
                .with_layer(deb.data)
                .map_err(|error| error.to_string())?,
        )
    };
    vec![
        ("layer", layer()),
        ("root file system", rootfs()),
        ("source", source()),
        ("package", package()),
    ]
}

#[test]
fn no_archive_gets_out_whichever_way_it_comes_in() {
    let mut wrong = String::new();
    let cases = [names(), kinds(), headers()].concat();
    for (name, members, verdict) in &cases {
        let dir = tempfile::tempdir().unwrap();
        let (outside, work, root) = (
            dir.path().join("outside"),
            dir.path().join("work"),
            dir.path().join("root"),
        );
        for folder in [&outside, &work, &root] {
            fs_err::create_dir(folder).unwrap();
        }
        fs_err::write(outside.join("sentinel"), "untouched").unwrap();
        for (way, got) in ways_in(&tar(members), &work, &root) {
            let fits = match (&got, verdict) {
                (Err(_), Refused) => true,
                (Ok(got), Holds(expected)) => got == expected,
                // A source must not have links that lead outside, and loses its only folder.
                (Err(error), Holds(_)) => way == "source" && error.contains("could lead outside"),
                (Ok(_), Refused) => false,
            };
            let stripped = matches!((&got, verdict), (Ok(got), Holds(expected)) if way == "source" && is_stripped(got, expected));
            if !fits && !stripped {
                writeln!(wrong, "{name}, as a {way}: {got:?}").unwrap();
            }
        }
        let names: Vec<_> = fs_err::read_dir(&outside)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["sentinel"], "{name}");
        assert_eq!(
            fs_err::read(outside.join("sentinel")).unwrap(),
            b"untouched",
            "{name}"
        );
        assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 3, "{name}");
    }
    assert!(wrong.is_empty(), "of {} cases:\n{wrong}", cases.len());
}

/// `expected` without its only folder.
fn is_stripped(got: &str, expected: &str) -> bool {
    let (top, rest) = expected.split_once(' ').unwrap_or((expected, ""));
    rest.replace(&format!("{top}/"), "") == got
}
