use oci::Entry;

use super::*;

const STATUS: &str = "Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc (2.36-9)
Version: 2.36-9+deb12u14

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
";

fn root(files: &[(&str, &[u8])]) -> Tree {
    let mut root = Tree::new();
    for (place, bytes) in files {
        root.insert(path(place), Entry::file(bytes.to_vec(), 0o644))
            .unwrap();
    }
    root
}

#[test]
fn debians_status_lists_what_is_installed() {
    let copyright = b"Format: x\nLicense: LGPL-2.1+\n".as_slice();
    let found = of(&root(&[
        (
            "etc/os-release",
            b"ID=debian\nVERSION_ID=\"12\"\nNAME=Debian\n",
        ),
        ("var/lib/dpkg/status", STATUS.as_bytes()),
        (
            "var/lib/dpkg/status.d/tzdata",
            b"Package: tzdata\nVersion: 2026b-0\nArchitecture: all\n",
        ),
        ("usr/share/doc/libc6/copyright", copyright),
    ]));
    let purls: Vec<&str> = found.iter().filter_map(|one| one.purl.as_deref()).collect();
    assert_eq!(
        purls,
        [
            "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64&distro=debian-12&upstream=glibc%402.36-9",
            "pkg:deb/debian/tzdata@2026b-0?arch=all&distro=debian-12",
        ]
    );
    assert_eq!(found[0].id(), "OperatingSystem-debian-12");
    assert_eq!(
        found[1].licence.as_ref().unwrap().expression,
        "LGPL-2.1-or-later"
    );
}

#[test]
fn a_base_whose_packages_cannot_be_read_says_so() {
    let os = (
        "etc/os-release",
        b"ID=amzn\nVERSION_ID=2023\nCPE_NAME=\"cpe:2.3:o:amazon:amazon_linux:2023\"\n".as_slice(),
    );
    for (database, reason) in [
        (("srv/x", b"".as_slice()), "it has no package database"),
        (
            ("var/lib/rpm/rpmdb.sqlite", b"SQLite format 3\0".as_slice()),
            "no SQLite database",
        ),
        (
            ("var/lib/rpm/Packages", b"junk".as_slice()),
            "no hash of Berkeley DB",
        ),
        (
            ("var/lib/rpm/Packages.db", b"RpmP".as_slice()),
            "of the kind ndb",
        ),
        (
            ("var/lib/rpm/rpmdb.sqlite-wal", b"log".as_slice()),
            "changes in a write-ahead log",
        ),
    ] {
        let mut files = vec![os, database];
        if database.0.ends_with("-wal") {
            files.push(("var/lib/rpm/rpmdb.sqlite", b"SQLite format 3\0"));
        }
        let found = of(&root(&files));
        let [system] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert!(system.note.contains(reason), "{}", system.note);
        assert_eq!(
            system.cpe.as_deref(),
            Some("cpe:2.3:o:amazon:amazon_linux:2023")
        );
    }
    assert_eq!(
        cpe_23("cpe:/o:amazon:linux:2"),
        "cpe:2.3:o:amazon:linux:2:*:*:*:*:*:*:*"
    );
}
