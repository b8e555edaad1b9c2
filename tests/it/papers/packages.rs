//! Package databases that rpm and Berkeley DB themselves wrote, and a vulnerable package in one.

use std::path::{Path, PathBuf};

use imgbuild::papers::packages;
use oci::Tree;
use serde_json::json;

use super::{read, written};
use crate::support::{files_below, program, run};

/// A package with so many others that the database's tree has several levels, and a description that fills pages; and one
/// that is called as rpm calls the keys of signers.
const SPEC: &str = "\
%define debug_package %{nil}
Name: plain
Version: 1.0
Release: 1
Epoch: 2
Summary: A package of the tests
License: GPLv2+ and BSD
Vendor: A vendor
%description
%{lua:print(string.rep('words ', 5000))}
%{lua:for i = 1, 60 do print('%package -n other' .. i .. '\\nSummary: Another\\nLicense: MIT\\nBuildArch: noarch\\n%description -n other' .. i .. '\\n' .. string.rep('x', i * 60) .. '\\n') end}
%package -n gpg-pubkey
Summary: A key
License: MIT
%description -n gpg-pubkey
Text
%files
%files -n gpg-pubkey
%{lua:for i = 1, 60 do print('%files -n other' .. i .. '\\n') end}
";

/// A root file system into which rpm has installed packages, and what rpm says of them.
fn root(folder: &Path) -> (PathBuf, String) {
    let root = folder.join("root");
    fs_err::create_dir_all(root.join("etc")).unwrap();
    fs_err::write(
        root.join("etc/os-release"),
        "ID=amzn\nVERSION_ID=2023\nNAME=\"Amazon Linux\"\n",
    )
    .unwrap();
    let spec = folder.join("plain.spec");
    fs_err::write(&spec, SPEC).unwrap();
    let top = format!("_topdir {}", folder.join("build").display());
    run(program("rpmbuild", ["-bb", "--define", &top]).arg(&spec)).succeeded();
    let place = format!("--root={}", root.display());
    let rpm = |arguments: &[&str]| {
        run(program("rpm", [&place, "--dbpath=/var/lib/rpm"]).args(arguments)).succeeded()
    };
    rpm(&["--initdb"]);
    let packages: Vec<String> = files_below(&folder.join("build/RPMS"))
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let names: Vec<&str> = packages.iter().map(String::as_str).collect();
    rpm(&[["--install", "--justdb", "--nodeps"].as_slice(), &names].concat());
    let format = "%{NAME} %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE} %{ARCH} %{SOURCERPM}\\n";
    let said = rpm(&["--query", "--all", "--queryformat", format]).stdout;
    let packages = said.split_inclusive('\n');
    let packages = packages.filter(|line| !line.starts_with("gpg-pubkey "));
    (root, packages.collect())
}

/// The packages as `rpm` prints them, sorted.
fn listed(root: &Path) -> String {
    let found = packages::of(&Tree::from_dir(root).unwrap());
    let mut lines: Vec<String> = found[1..]
        .iter()
        .map(|one| {
            let purl = one.purl.as_deref().unwrap();
            let qualifier = |key: &str| {
                let rest = purl.split_once(key).unwrap().1;
                rest.split('&').next().unwrap().to_owned()
            };
            format!(
                "{} {} {} {}\n",
                one.name,
                one.version,
                qualifier("arch="),
                qualifier("upstream=")
            )
        })
        .collect();
    lines.sort();
    lines.concat()
}

fn sorted(text: &str) -> String {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    lines.sort_unstable();
    lines.concat()
}

#[test]
fn the_database_of_rpm_is_read_as_rpm_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let (root, said) = root(folder.path());
    assert_eq!(said.lines().count(), 61);
    assert_eq!(listed(&root), sorted(&said));
    let found = packages::of(&Tree::from_dir(&root).unwrap());
    let plain = found.iter().find(|one| one.name == "plain").unwrap();
    let machine = std::env::consts::ARCH;
    let purl = format!(
        "pkg:rpm/amzn/plain@1.0-1?arch={machine}&distro=amzn-2023&epoch=2&upstream=plain-1.0-1.src.rpm"
    );
    assert_eq!(plain.purl.as_deref(), Some(purl.as_str()));
    assert_eq!(plain.supplier.as_deref(), Some("A vendor"));
    let licence = plain.licence.as_ref().unwrap();
    assert_eq!(licence.expression, "GPL-2.0-or-later AND LicenseRef-BSD");

    // The same rows in the form that Amazon Linux 2 has them, written by Berkeley DB itself: over others, so that values lie
    // on pages in no order; with pages that hold a value and that do not; and as a machine of the other byte order would.
    let database = root.join("var/lib/rpm");
    let dump = "import sqlite3, struct, sys\n\
                print('VERSION=3\\nformat=bytevalue\\ntype=hash')\n\
                print(*sys.argv[3:], 'HEADER=END', sep='\\n')\n\
                print(f' {struct.pack(\"<I\", 0).hex()}\\n {struct.pack(\"<I\", 62).hex()}')\n\
                times = int(sys.argv[2])\n\
                for number, blob in sqlite3.connect(sys.argv[1]).execute('select hnum, blob from Packages'):\n\
                \x20   if times == 1 or number % 3:\n\
                \x20       print(f' {struct.pack(\"<I\", number).hex()}\\n {(blob * times).hex()}')\n\
                print('DATA=END')";
    let rows = folder.path().join("rpmdb.sqlite");
    fs_err::rename(database.join("rpmdb.sqlite"), &rows).unwrap();
    for form in [
        "db_pagesize=4096",
        "db_pagesize=512",
        "db_pagesize=32768",
        "db_lorder=4321",
    ] {
        for file in fs_err::read_dir(&database).unwrap() {
            fs_err::remove_file(file.unwrap().path()).unwrap();
        }
        for times in ["2", "1"] {
            let mut print = program("python3", ["-c", dump]);
            print.arg(&rows).arg(times);
            let dump = run(print.args((times == "2").then_some(form))).succeeded();
            let text = folder.path().join("dump");
            fs_err::write(&text, dump.stdout).unwrap();
            let mut load = program("db5.3_load", ["-f"]);
            run(load.arg(&text).arg(database.join("Packages"))).succeeded();
        }
        assert_eq!(listed(&root), sorted(&said), "{form}");
    }
}

#[test]
fn a_damaged_database_is_an_answer_and_never_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let (root, _) = root(folder.path());
    let path = root.join("var/lib/rpm/rpmdb.sqlite");
    let whole = fs_err::read(&path).unwrap();
    for place in (0..whole.len()).step_by(397) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0xff;
        fs_err::write(&path, &damaged).unwrap();
        drop(packages::of(&Tree::from_dir(&root).unwrap()));
    }
    fs_err::write(&path, &whole[..whole.len() / 2]).unwrap();
    let found = packages::of(&Tree::from_dir(&root).unwrap());
    assert_eq!(found.len(), 1, "half a database is none");
    assert!(
        found[0].note.contains("its packages are not listed"),
        "{}",
        found[0].note
    );
}

#[test]
fn a_scanner_finds_a_vulnerable_version_that_was_planted() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let file = |place: &str, text: &str| {
        let path = root.join(place);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    };
    file("etc/os-release", "ID=debian\nVERSION_ID=12\nNAME=Debian\n");
    file(
        "var/lib/dpkg/status",
        "Package: liblzma5\nStatus: install ok installed\nArchitecture: amd64\nSource: xz-utils\nVersion: 5.6.1-1\n",
    );
    let site = "var/lang/lib/python3.13/site-packages";
    file(
        &format!("{site}/urllib3-1.26.4.dist-info/METADATA"),
        "Metadata-Version: 2.1\nName: urllib3\nVersion: 1.26.4\nLicense: MIT\nAuthor: Andrey Petrov\n\nText\n",
    );
    let tree = Tree::from_dir(&root).unwrap();
    let mut components = packages::of(&tree);
    components.extend(imgbuild::papers::wheels::distributions(
        &tree,
        &Default::default(),
    ));
    let [spdx, cyclonedx] = written(&components, folder.path());
    let advisories = json!([
        {"id": "CVE-2024-3094", "affected": [{"package": {"purl": "pkg:deb/debian/liblzma5"}, "versions": ["5.6.0-0.2", "5.6.1-1"]}]},
        {"id": "CVE-2021-33503", "affected": [{"package": {"purl": "pkg:pypi/urllib3"}, "versions": ["1.26.3", "1.26.4"]}]},
        {"id": "CVE-2021-33503-cpe", "affected": [{"package": {"cpe": "cpe:2.3:a:python:urllib3:*"}, "versions": ["1.26.4"]}]},
        {"id": "CVE-2026-0", "affected": [{"package": {"purl": "pkg:pypi/urllib3"}, "versions": ["1.26.5"]}]},
    ]);
    let said = read(&spdx, &cyclonedx, &advisories);
    let found = json!(["CVE-2021-33503", "CVE-2021-33503-cpe", "CVE-2024-3094"]);
    assert_eq!(
        said["advisories"],
        json!({"spdx": found, "cyclonedx": found})
    );
}
