//! One program or shared library, read for what an audit wants to know. Comes in a file's bytes, goes out an [`Elf`].
//! Bytes that are wrong make it unreadable, never more: nothing is followed out of bounds.

use std::fmt;

use object::Endianness;
use object::elf;
use object::read::elf::{ElfFile, FileHeader, ProgramHeader, Sym};

/// A version of glibc's symbols: `2.34`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glibc(pub u32, pub u32);

impl Glibc {
    /// Understands `2.34` and `2.2.5`, of which the last part does not count.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(str::parse);
        Some(Self(parts.next()?.ok()?, parts.next()?.ok()?))
    }
}

impl fmt::Display for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// What matters of a program or a shared library.
#[derive(Debug, Default)]
pub(super) struct Elf {
    /// Names of the libraries that it loads.
    pub needed: Vec<String>,
    /// Its own name as a library.
    pub soname: Option<String>,
    /// The newest glibc that it needs a symbol of.
    pub glibc: Option<Glibc>,
    /// The newest glibc that it defines symbols of: it is glibc.
    pub provides: Option<Glibc>,
    /// RPATH and RUNPATH, one folder each.
    pub rpaths: Vec<String>,
    /// Symbols that others can see.
    pub exports: Vec<String>,
    /// What the linker left open to attacks, as nouns.
    pub weaknesses: Vec<&'static str>,
    /// The first folder of a build that stands in it.
    pub build_path: Option<String>,
}

impl Elf {
    /// Reads a whole file. `Ok(None)`: no program, but an object file or a core.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, object::read::Error> {
        match bytes.get(4) {
            Some(1) => read::<elf::FileHeader32<Endianness>>(bytes),
            _ => read::<elf::FileHeader64<Endianness>>(bytes),
        }
    }
}

fn read<H: FileHeader<Endian = Endianness>>(
    bytes: &[u8],
) -> Result<Option<Elf>, object::read::Error> {
    let header = H::parse(bytes)?;
    let endian = header.endian()?;
    if !matches!(header.e_type(endian), elf::ET_EXEC | elf::ET_DYN) {
        return Ok(None);
    }
    let file = ElfFile::<H>::parse(bytes)?;
    let mut found = Elf {
        build_path: build_path(bytes),
        ..Elf::default()
    };
    let (mut stack, mut relro, mut dynamic) = (false, false, false);
    for segment in header.program_headers(endian, bytes)? {
        let flags = segment.p_flags(endian);
        match segment.p_type(endian) {
            elf::PT_GNU_STACK => stack = !flags.contains(elf::PF_X),
            elf::PT_GNU_RELRO => relro = true,
            elf::PT_DYNAMIC => dynamic = true,
            elf::PT_LOAD if flags.contains(elf::PF_W) && flags.contains(elf::PF_X) => {
                found
                    .weaknesses
                    .push("a segment that is writable and executable");
            }
            _ => {}
        }
    }
    if !stack {
        found.weaknesses.push("an executable stack");
    }
    if dynamic {
        read_dynamic(&file, relro, &mut found)?;
    }
    Ok(Some(found))
}

fn read_dynamic<H: FileHeader<Endian = Endianness>>(
    file: &ElfFile<H>,
    relro: bool,
    found: &mut Elf,
) -> Result<(), object::read::Error> {
    let (endian, data) = (file.endian(), file.data());
    let table = file.elf_dynamic_table()?;
    let (mut now, mut textrel) = (false, false);
    for entry in &table {
        let text = || Ok(String::from_utf8_lossy(table.string(entry)?).into_owned());
        match entry.tag {
            elf::DT_NEEDED => found.needed.push(text()?),
            elf::DT_SONAME => found.soname = Some(text()?),
            elf::DT_RPATH | elf::DT_RUNPATH => {
                let folders = text()?;
                found.rpaths.extend(folders.split(':').map(str::to_owned));
            }
            elf::DT_BIND_NOW => now = true,
            elf::DT_TEXTREL => textrel = true,
            elf::DT_FLAGS => {
                now |= entry.val & elf::DF_BIND_NOW.0 != 0;
                textrel |= entry.val & elf::DF_TEXTREL.0 != 0;
            }
            elf::DT_FLAGS_1 => now |= entry.val & elf::DF_1_NOW.0 != 0,
            _ => {}
        }
    }
    for (is_weak, what) in [
        (table.is_empty(), "no section headers: it cannot be audited"),
        (!relro, "no RELRO"),
        (!now, "no BIND_NOW"),
        (textrel, "TEXTREL"),
    ] {
        if is_weak {
            found.weaknesses.push(what);
        }
    }
    let sections = file.elf_section_table();
    let symbols = file.elf_dynamic_symbol_table();
    let strings = symbols.strings();
    if let Some((mut needs, _)) = sections.gnu_verneed(endian, data)? {
        while let Some((_, mut versions)) = needs.next()? {
            while let Some(version) = versions.next()? {
                found.glibc = found.glibc.max(glibc(version.name(endian, strings)?));
            }
        }
    }
    if let Some((mut definitions, _)) = sections.gnu_verdef(endian, data)? {
        while let Some((_, mut names)) = definitions.next()? {
            if let Some(name) = names.next()? {
                found.provides = found.provides.max(glibc(name.name(endian, strings)?));
            }
        }
    }
    for symbol in symbols.iter() {
        let is_seen = matches!(
            symbol.st_visibility(),
            elf::STV_DEFAULT | elf::STV_PROTECTED
        );
        if symbol.st_bind() != elf::STB_LOCAL && is_seen && !symbol.is_undefined(endian) {
            let name = symbol.name(endian, strings)?;
            found
                .exports
                .push(String::from_utf8_lossy(name).into_owned());
        }
    }
    Ok(())
}

fn glibc(version: &[u8]) -> Option<Glibc> {
    Glibc::parse(std::str::from_utf8(version.strip_prefix(b"GLIBC_")?).ok()?)
}

/// Folders that exist on a machine that builds, and not in the image: with something inside a folder inside them, for
/// `/tmp/perf-%d.map` is a file that a program makes where it runs. What stands in quotes is prose.
fn build_path(bytes: &[u8]) -> Option<String> {
    let is_name = |c: &u8| c.is_ascii_alphanumeric() || b"._-+".contains(c);
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|c| *c == b'/') {
        let at = from + at;
        from = at + 1;
        let text = &bytes[at..];
        let Some(inside) = [
            "/imgbuild/",
            "/build/",
            "/builds/",
            "/tmp/",
            "/home/",
            "/root/",
        ]
        .iter()
        .find_map(|root| text.strip_prefix(root.as_bytes())) else {
            continue;
        };
        let folder = inside.iter().take_while(|c| is_name(c)).count();
        let starts = match &bytes[..at] {
            [.., b'-', b'I' | b'L'] => true,
            [.., before] => !is_name(before) && !b"/'\"`".contains(before),
            [] => true,
        };
        if starts && folder > 0 && inside.get(folder) == Some(&b'/') {
            let end = text
                .iter()
                .take(120)
                .take_while(|c| is_name(c) || **c == b'/');
            return Some(String::from_utf8_lossy(&text[..end.count()]).into_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(glibc(b"GLIBC_2.2.5"), Some(Glibc(2, 2)));
        assert!(glibc(b"GLIBC_2.34") > glibc(b"GLIBC_2.9"));
        assert_eq!(glibc(b"GLIBC_PRIVATE"), None);
        assert_eq!(glibc(b"OPENSSL_3.0.0"), None);
    }

    #[test]
    fn folders_of_builds() {
        for (text, expected) in [
            (
                "\0/imgbuild/src/Python/main.c\0",
                Some("/imgbuild/src/Python/main.c"),
            ),
            ("x=/home/me/project/a.c", Some("/home/me/project/a.c")),
            (
                "/root/.cargo/registry/src/a.rs",
                Some("/root/.cargo/registry/src/a.rs"),
            ),
            ("/tmp/perf-%d.map", None),
            ("/tmp/histedit.XXXXXXXXXX", None),
            ("/usr/build/a/b", None),
            ("/var/tmp/a/b", None),
            ("/rustc/59807616/library/std/src/path.rs", None),
            ("/build//x", None),
            (
                "-O2 -I/build/include/openssl",
                Some("/build/include/openssl"),
            ),
            ("it can be '/tmp/myimport.zip/mydirectory', if", None),
        ] {
            assert_eq!(build_path(text.as_bytes()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn damaged_bytes_are_an_error_at_most() {
        let path = std::env::current_exe().unwrap();
        let mut whole = fs_err::read(path).unwrap();
        assert!(Elf::read(&whole).unwrap().unwrap().glibc.is_some());
        whole.truncate(1 << 20);
        for len in [0, 3, 4, 5, 20, 64, 100, 1000, 1 << 20] {
            let _ = Elf::read(&whole[..len]);
        }
        // Each byte of the headers, wrong in turn.
        for i in 0..1024 {
            let mut bad = whole.clone();
            bad[i] = !bad[i];
            let _ = Elf::read(&bad);
        }
    }
}
