//! Archives made by hand, so that illegal ones are possible.

use std::io::{Cursor, Write as _};
use std::os::unix::fs::MetadataExt as _;

use super::*;

/// One 512-byte header with its data; `kind` is tar's own letter.
fn entry(kind: u8, name: &str, link: &str, data: &[u8]) -> Vec<u8> {
    let mut header = [0u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..108].copy_from_slice(b"0000755\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", data.len()).as_bytes());
    header[136..148].copy_from_slice(b"07777777777\0");
    header[156] = kind;
    header[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut bytes = header.to_vec();
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.extend_from_slice(&[0; 1024]);
    bytes
}

/// Unpacks into a folder beside which nothing may appear; returns what `find` would print.
fn unpacked(bytes: &[u8], subdir: Option<&str>) -> Result<Vec<String>, String> {
    let dir = tempfile::tempdir().unwrap();
    let (file, dest) = (dir.path().join("archive"), dir.path().join("a/dest"));
    fs::write(&file, bytes).unwrap();
    fs::create_dir_all(&dest).unwrap();
    let result = unpack(&file, subdir, &dest);
    let beside: Vec<_> = fs::read_dir(dir.path().join("a"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(beside, ["dest"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    result.map_err(|error| error.to_string())?;
    let mut names = Vec::new();
    list(&dest, &dest, &mut names);
    names.sort();
    Ok(names)
}

fn list(root: &Path, folder: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        if metadata.is_dir() {
            list(root, &path, names);
        } else if metadata.is_symlink() {
            names.push(format!(
                "{name} -> {}",
                fs::read_link(&path).unwrap().display()
            ));
        } else {
            let mark = if metadata.mode() & 0o111 == 0 {
                ""
            } else {
                "*"
            };
            names.push(format!(
                "{name}{mark} {}",
                fs::read_to_string(&path).unwrap()
            ));
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip(files: &[(&str, u32, &str)]) -> Vec<u8> {
    let mut writer = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, data) in files {
        let options = ::zip::write::SimpleFileOptions::default().unix_permissions(*mode);
        if mode & 0o170_000 == 0o120_000 {
            writer.add_symlink(*name, *data, options).unwrap();
        } else {
            writer.start_file(*name, options).unwrap();
            writer.write_all(data.as_bytes()).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn every_kind_loses_its_top_folder() {
    let tar = archive(&[
        entry(b'g', "pax_global_header", "", b"13 comment=1\n"),
        entry(b'5', "top-1/", "", b""),
        entry(b'0', "top-1/src/configure", "", b"c"),
        entry(b'2', "top-1/src/link", "../README", b""),
        entry(b'1', "top-1/hard", "top-1/src/configure", b""),
        entry(b'0', "./top-1/README", "", b"r"),
    ]);
    let expected = [
        "README* r",
        "hard* c",
        "src/configure* c",
        "src/link -> ../README",
    ];
    for bytes in [tar.clone(), gzip(&tar), xz(&tar)] {
        assert_eq!(unpacked(&bytes, None).unwrap(), expected);
    }
    assert!(
        unpacked(&gzip(&tar), Some("src"))
            .unwrap_err()
            .contains("could lead outside")
    );
    let wheel = [
        ("six.py", 0o644, "s"),
        ("bin/zig", 0o755, "z"),
        ("six-1.dist-info/RECORD", 0o644, ""),
    ];
    assert_eq!(
        unpacked(&zip(&wheel), None).unwrap(),
        ["bin/zig* z", "six-1.dist-info/RECORD ", "six.py s"]
    );
    assert_eq!(
        unpacked(&zip(&wheel[2..]), None).unwrap(),
        ["six-1.dist-info/RECORD "]
    );
    assert_eq!(
        unpacked(
            &zip(&[("top/a", 0o644, "a"), ("top/b", 0o120_777, "a")]),
            None
        )
        .unwrap(),
        ["a a", "b -> a"]
    );
}

#[test]
fn only_the_subdir_is_kept() {
    let tar = archive(&[
        entry(b'0', "crate-1/Cargo.toml", "", b"t"),
        entry(b'2', "crate-1/outside", "../../x", b""),
        entry(b'0', "crate-1/src/zlib/zlib.h", "", b"h"),
    ]);
    for subdir in ["src/zlib", "./src/zlib/"] {
        assert_eq!(unpacked(&tar, Some(subdir)).unwrap(), ["zlib.h* h"]);
    }
    for subdir in [
        "..",
        "/",
        "src/nothing",
        "src/zlib/zlib.h",
        "outside",
        "src/../src",
    ] {
        assert!(
            unpacked(&tar, Some(subdir))
                .unwrap_err()
                .contains("has no folder"),
            "{subdir}"
        );
    }
    let top = archive(&[
        entry(b'0', "top/a", "", b"a"),
        entry(b'0', "other/b", "", b"b"),
    ]);
    assert_eq!(unpacked(&top, Some("top")).unwrap(), ["a* a"]);
}

#[test]
fn times_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("x"),
        archive(&[entry(b'0', "t/a", "", b"a")]),
    )
    .unwrap();
    unpack(&dir.path().join("x"), None, &dir.path().join("dest")).unwrap();
    assert_eq!(
        fs::metadata(dir.path().join("dest/a")).unwrap().mtime(),
        0o7_777_777_777
    );
}

#[test]
fn nothing_gets_outside() {
    let file = |name: &str| entry(b'0', name, "", b"x");
    let link = |name: &str, target: &str| entry(b'2', name, target, b"");
    let hard = |name: &str, target: &str| entry(b'1', name, target, b"");
    let folder = |name: &str| entry(b'5', name, "", b"");
    let sparse = b"22 GNU.sparse.major=1\n";
    let table: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("up", vec![file("../x")]),
        ("up inside", vec![file("t/a/../../../x")]),
        ("up and back", vec![file("t/../t/x")]),
        ("folder up", vec![folder("t/../..")]),
        ("link absolute", vec![link("t/l", "/etc")]),
        ("link up", vec![file("t/a"), link("t/l", "../x")]),
        (
            "link up in the middle",
            vec![file("t/a/b"), link("t/a/l", "b/../../x")],
        ),
        (
            "link through a link",
            vec![
                folder("t/a"),
                link("t/a/b", "."),
                link("t/l", "a/b/../../.."),
            ],
        ),
        (
            "file below a link",
            vec![folder("t/d"), link("t/l", "d"), file("t/l/x")],
        ),
        (
            "folder below a link",
            vec![folder("t/d"), link("t/l", "d"), folder("t/l/x")],
        ),
        ("file below a file", vec![file("t/f"), file("t/f/x")]),
        (
            "hard link outside",
            vec![file("t/f"), hard("t/h", "/etc/passwd")],
        ),
        ("hard link up", vec![file("t/f"), hard("t/h", "../archive")]),
        (
            "hard link to nothing",
            vec![file("t/f"), hard("t/h", "t/g")],
        ),
        ("hard link to itself", vec![file("t/f"), hard("t/f", "t/f")]),
        (
            "hard link through a link",
            vec![
                folder("t/d"),
                file("t/d/f"),
                link("t/l", "d"),
                hard("t/h", "t/l/f"),
            ],
        ),
        (
            "hard link to a folder",
            vec![folder("t/d"), hard("t/h", "t/d")],
        ),
        ("character device", vec![entry(b'3', "t/c", "", b"")]),
        ("block device", vec![entry(b'4', "t/b", "", b"")]),
        ("pipe", vec![entry(b'6', "t/p", "", b"")]),
        ("removal", vec![file("t/a"), file("t/.wh.b")]),
        ("old sparse file", vec![entry(b'S', "t/s", "", b"")]),
        (
            "new sparse file",
            vec![entry(b'x', "h", "", sparse), file("t/s")],
        ),
    ];
    for (name, entries) in table {
        let result = unpacked(&archive(&entries), None);
        assert!(result.is_err(), "{name}: {result:?}");
    }
    let contained: Vec<(Vec<Vec<u8>>, &[&str])> = vec![
        (vec![file("/t/x")], &["x* x"]),
        (vec![folder("t/d"), link("t/l", "d"), folder("t/l")], &[]),
        (vec![folder("t/d"), link("t/d", "e")], &["d -> e"]),
        (vec![file("t/d/f"), file("t/d")], &["d* x"]),
        (
            vec![link("t/l", "f"), file("t/f"), hard("t/h", "t/l")],
            &["f* x", "h -> f", "l -> f"],
        ),
    ];
    for (entries, expected) in contained {
        assert_eq!(unpacked(&archive(&entries), None).unwrap(), expected);
    }
    for (name, mode, data) in [
        ("../x", 0o644, "x"),
        ("t/../../x", 0o644, "x"),
        ("l", 0o120_777, "/etc"),
        ("l", 0o120_777, "../x"),
    ] {
        let result = unpacked(&zip(&[("a", 0o644, "a"), (name, mode, data)]), None);
        assert!(result.is_err(), "{name} {data}: {result:?}");
    }
}

#[test]
fn the_last_of_a_name_counts() {
    let tar = archive(&[
        entry(b'0', "t/a", "", b"1"),
        entry(b'2', "t/b", "/etc", b""),
        entry(b'0', "t/a", "", b"2"),
        entry(b'0', "t/b", "", b"3"),
    ]);
    assert_eq!(unpacked(&tar, None).unwrap(), ["a* 2", "b* 3"]);
}

#[test]
fn damage_is_noticed() {
    let tar = archive(&[
        entry(b'0', "t/a", "", &[b'x'; 3000]),
        entry(b'0', "t/b", "", &[b'y'; 3000]),
    ]);
    for end in (1..7).map(|block| block * 512 + 100) {
        assert!(unpacked(&tar[..end], None).is_err(), "cut at {end}");
    }
    let gz = gzip(&tar);
    for end in [20, gz.len() - 9, gz.len() - 1] {
        assert!(
            unpacked(&gz[..end], None).is_err(),
            "cut at {end} of {}",
            gz.len()
        );
    }
    let mut wrong_sum = gz.clone();
    let at = wrong_sum.len() - 8;
    wrong_sum[at] ^= 1;
    assert!(unpacked(&wrong_sum, None).is_err());
    // The size in a zip's directory is only a claim.
    let mut lying = zip(&[("a", 0o644, &"x".repeat(1000))]);
    let directory = lying
        .windows(4)
        .position(|bytes| bytes == b"PK\x01\x02")
        .unwrap();
    lying[directory + 24..directory + 28].copy_from_slice(&10u32.to_le_bytes());
    assert!(unpacked(&lying, None).is_err());
    for other in [&b""[..], b"BZh9", b"plain text", b"PK\x03\x04"] {
        assert!(unpacked(other, None).is_err());
    }
}

#[test]
fn a_bomb_of_every_kind_stops() {
    let much = vec![b'x'; (256 << 20) + 1];
    let tar = archive(&[entry(b'0', "t/a", "", &much)]);
    let text = String::from_utf8(much).unwrap();
    let zipped = zip(&[("t/a", 0o644, &text)]);
    drop(text);
    for bomb in [gzip(&tar), xz(&tar), zipped] {
        let dir = tempfile::tempdir().unwrap();
        let (file, dest) = (dir.path().join("archive"), dir.path().join("dest"));
        fs::write(&file, bomb).unwrap();
        fs::create_dir(&dest).unwrap();
        let error = unpack(&file, None, &dest).unwrap_err();
        assert_eq!(error.hint(), Some(oci::Bomb::HINT), "{error:?}");
    }
}
