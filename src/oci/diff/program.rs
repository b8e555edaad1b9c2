//! Two programs or shared libraries: what they load, what they offer and ask for, and which sections differ.

use std::collections::BTreeSet;
use std::io;

use object::elf;
use object::read::elf::{ElfFile32, ElfFile64, FileHeader};
use object::{Endianness, Object, ObjectSection, ObjectSymbol};

use super::Change;
use crate::entry::Content;

/// Programs above this are compared as bytes only: each is read into memory.
const MAX_PROGRAM: u64 = 128 << 20;

/// What a loader and a debugger read of one.
#[derive(Default)]
struct Program {
    build_id: Option<String>,
    soname: BTreeSet<String>,
    needed: BTreeSet<String>,
    offers: BTreeSet<String>,
    asks: BTreeSet<String>,
    /// Name, place in the file, size, and a digest of the content.
    sections: Vec<Section>,
}

struct Section {
    name: String,
    file: Option<(u64, u64)>,
    digest: crate::Digest,
    size: u64,
}

/// Nothing unless both are programs; `at` is the first byte that differs.
pub(super) fn between(pair: [&Content; 2], at: u64) -> io::Result<Vec<Change>> {
    let [Some(old), Some(new)] = [read(pair[0])?, read(pair[1])?] else {
        return Ok(Vec::new());
    };
    let mut changes = Vec::new();
    if old.build_id != new.build_id {
        changes.push(Change {
            field: "build id".to_owned(),
            old: old.build_id.clone(),
            new: new.build_id.clone(),
        });
    }
    let place = |program: &Program| {
        let here = program.sections.iter().find(|section| {
            section
                .file
                .is_some_and(|(start, size)| (start..start.saturating_add(size)).contains(&at))
        });
        here.map_or("headers".to_owned(), |section| section.name.clone())
    };
    changes.push(Change::new(
        format!("program from byte {at}"),
        place(&old),
        place(&new),
    ));
    for (field, old, new) in [
        ("name as a library", &old.soname, &new.soname),
        ("needed library", &old.needed, &new.needed),
        ("symbol offered", &old.offers, &new.offers),
        ("symbol asked for", &old.asks, &new.asks),
    ] {
        changes.extend(old.difference(new).map(|name| Change::removed(field, name)));
        changes.extend(new.difference(old).map(|name| Change::added(field, name)));
    }
    sections(&old, &new, &mut changes);
    Ok(changes)
}

fn sections(old: &Program, new: &Program, changes: &mut Vec<Change>) {
    let find = |program: &Program, name: &str| {
        let found = program.sections.iter().find(|section| section.name == name);
        found.map(|section| (section.digest, section.size))
    };
    let names: BTreeSet<&str> = old
        .sections
        .iter()
        .chain(&new.sections)
        .map(|s| s.name.as_str())
        .collect();
    for name in names {
        let (old, new) = (find(old, name), find(new, name));
        if old != new {
            let shown = |section: Option<(crate::Digest, u64)>| {
                section.map(|(_, size)| format!("{size} bytes"))
            };
            changes.push(Change {
                field: format!("section {name}"),
                old: shown(old),
                new: shown(new),
            });
        }
    }
}

/// Bytes that only start like a program are none.
fn read(content: &Content) -> io::Result<Option<Program>> {
    if content.len() > MAX_PROGRAM || content.len() < 64 {
        return Ok(None);
    }
    let mut start = [0; 5];
    io::Read::read_exact(&mut content.open()?, &mut start)?;
    if !start.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    let bytes = content.read(MAX_PROGRAM)?;
    Ok(match start[4] {
        1 => ElfFile32::<Endianness>::parse(&*bytes).and_then(|file| of(&file)),
        _ => ElfFile64::<Endianness>::parse(&*bytes).and_then(|file| of(&file)),
    }
    .ok())
}

fn of<H: FileHeader<Endian = Endianness>>(
    file: &object::read::elf::ElfFile<H>,
) -> object::read::Result<Program> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut program = Program {
        build_id: file
            .build_id()?
            .map(|id| id.iter().map(|byte| format!("{byte:02x}")).collect()),
        ..Program::default()
    };
    let table = file.elf_dynamic_table()?;
    for entry in &table {
        match entry.tag {
            elf::DT_NEEDED => drop(program.needed.insert(text(table.string(entry)?))),
            elf::DT_SONAME => drop(program.soname.insert(text(table.string(entry)?))),
            _ => {}
        }
    }
    for symbol in file.dynamic_symbols() {
        let name = text(symbol.name_bytes()?);
        if symbol.is_undefined() {
            program.asks.insert(name);
        } else if symbol.is_global() {
            program.offers.insert(name);
        }
    }
    for section in file.sections() {
        let name = text(section.name_bytes()?);
        program.sections.push(Section {
            digest: crate::Digest::of(section.data()?),
            size: section.size(),
            file: section.file_range(),
            name,
        });
    }
    Ok(program)
}
