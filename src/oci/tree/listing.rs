//! A text dump of a tree, for golden files and for people.

use std::fmt::Write;

use super::{Tree, Whiteout};
use crate::entry::{Kind, Special};

impl Tree {
    /// One line per entry: `mode uid gid size path`, then `-> target` for links and `{name=hex}` for extended
    /// attributes; what the layer removes comes last. Bytes that are no plain text are escaped.
    ///
    /// ```
    /// # use oci::{Entry, Tree};
    /// let mut tree = Tree::new();
    /// tree.insert("etc/motd".parse()?, Entry::file("hello", 0o644))?;
    /// tree.insert("bin".parse()?, Entry::symlink("usr/bin"))?;
    /// assert_eq!(tree.listing(), "\
    /// lrwxrwxrwx 0 0 0 bin -> usr/bin
    /// drwxr-xr-x 0 0 0 etc
    /// -rw-r--r-- 0 0 5 etc/motd
    /// ");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn listing(&self) -> String {
        let mut text = String::new();
        for (path, entry) in self.iter() {
            let _ = write!(
                text,
                "{}{} {} {} ",
                letter(&entry.kind),
                permissions(entry.mode),
                entry.uid,
                entry.gid
            );
            let _ = match &entry.kind {
                Kind::Special(
                    Special::CharDevice(major, minor) | Special::BlockDevice(major, minor),
                ) => write!(text, "{major},{minor}"),
                _ => write!(text, "{}", entry.size()),
            };
            let _ = write!(text, " {}", escaped(path.as_bytes()));
            let _ = match &entry.kind {
                Kind::Symlink(target) => write!(text, " -> {}", escaped(target)),
                Kind::Hardlink(target) => write!(text, " -> {}", escaped(target.as_bytes())),
                _ => Ok(()),
            };
            for (name, value) in entry.xattrs.iter() {
                let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
                let _ = write!(text, " {{{}={hex}}}", escaped(name.as_bytes()));
            }
            text.push('\n');
        }
        for whiteout in self.whiteouts() {
            let _ = match whiteout {
                Whiteout::Path(path) => writeln!(text, "removes {}", escaped(path.as_bytes())),
                Whiteout::Inside(path) => writeln!(text, "removes {}/*", escaped(path.as_bytes())),
                Whiteout::Everything => writeln!(text, "removes /*"),
            };
        }
        text
    }
}

/// The type letter of `ls -l`; a hard link is `h`, as in tar.
fn letter(kind: &Kind) -> char {
    match kind {
        Kind::File(_) => '-',
        Kind::Dir => 'd',
        Kind::Symlink(_) => 'l',
        Kind::Hardlink(_) => 'h',
        Kind::Special(Special::CharDevice(..)) => 'c',
        Kind::Special(Special::BlockDevice(..)) => 'b',
        Kind::Special(Special::Fifo) => 'p',
    }
}

/// The nine permission letters of `ls -l`.
fn permissions(mode: u32) -> String {
    let mut text = String::with_capacity(9);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (false, false) => '-',
            (false, true) => 'x',
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
        });
    }
    text
}

fn escaped(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(|c| c.is_control() || c == '\\') => text.to_owned(),
        _ => bytes.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Entry;

    #[test]
    fn every_kind_has_its_line() {
        let mut tree = Tree::new();
        let mut add = |path: &str, kind: Kind, mode: u32| {
            let entry = Entry {
                kind,
                ..Entry::dir(mode)
            };
            tree.insert(path.parse().unwrap(), entry).unwrap();
        };
        add("dev/null", Kind::Special(Special::CharDevice(1, 3)), 0o666);
        add("dev/sda", Kind::Special(Special::BlockDevice(8, 0)), 0o600);
        add("pipe", Kind::Special(Special::Fifo), 0o644);
        add("tmp", Kind::Dir, 0o1777);
        add("sudo", Kind::File("12".into()), 0o4711);
        add("sgid", Kind::File("".into()), 0o2644);
        add("hard", Kind::Hardlink("sudo".parse().unwrap()), 0o644);
        add("new\nline", Kind::Symlink((*b"\xff").into()), 0o777);
        let mut capable = Entry::file("", 0o755);
        capable.uid = 7;
        capable
            .xattrs
            .insert("security.capability".into(), vec![1, 0, 0xab]);
        tree.insert("ping".parse().unwrap(), capable).unwrap();
        tree.white_out(Whiteout::Path("gone".parse().unwrap()))
            .unwrap();
        tree.white_out(Whiteout::Inside("tmp".parse().unwrap()))
            .unwrap();
        assert_eq!(
            tree.listing(),
            "\
drwxr-xr-x 0 0 0 dev
crw-rw-rw- 0 0 1,3 dev/null
brw------- 0 0 8,0 dev/sda
hrw-r--r-- 0 0 0 hard -> sudo
lrwxrwxrwx 0 0 0 new\\nline -> \\xff
-rwxr-xr-x 7 0 0 ping {security.capability=0100ab}
prw-r--r-- 0 0 0 pipe
-rw-r-Sr-- 0 0 0 sgid
-rws--x--x 0 0 2 sudo
drwxrwxrwt 0 0 0 tmp
removes gone
removes tmp/*
"
        );
    }
}
