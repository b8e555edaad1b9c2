//! Why two manifests have other digests: the way from the manifest to the first byte or field.

use std::io;

use super::files::{content_from, fields, first_difference, first_difference_of};
use super::{Change, DiffError, LayerChange, Unpacked};
use crate::entry::{Content, Kind};
use crate::limits::Limits;
use crate::tar_reader::{Member, TarReader};

pub(super) fn chain(
    images: [&Unpacked; 2],
    manifest: &[Change],
    config: &[Change],
    layers: &[LayerChange],
) -> Result<Vec<String>, DiffError> {
    let [old, new] = images.map(|image| image.image.digest().to_string());
    let mut lines = vec![format!("manifest {old} became {new}")];
    if let Some(first) = layers.first() {
        lines.extend(layer(images, first)?);
        return Ok(lines);
    }
    let [a, b] = images.map(|image| image.image.manifest.config.digest);
    if a != b {
        lines.push(format!("configuration {a} became {b}"));
        lines.push(document(
            config,
            images.map(|image| &*image.image.config_bytes),
        ));
    } else {
        lines.push(document(
            manifest,
            images.map(|image| &*image.image.manifest_bytes),
        ));
    }
    Ok(lines)
}

/// The first field; without any, the same was written in another way.
fn document(changes: &[Change], bytes: [&[u8]; 2]) -> String {
    match changes.first() {
        Some(change) => sentence(change),
        None => {
            let same = bytes[0]
                .iter()
                .zip(bytes[1])
                .take_while(|(a, b)| a == b)
                .count();
            format!("the same fields in other bytes, from byte {same}")
        }
    }
}

fn sentence(change: &Change) -> String {
    let show = |value: &Option<String>| value.clone().unwrap_or_else(|| "absent".to_owned());
    format!(
        "{}: {} became {}",
        change.field,
        show(&change.old),
        show(&change.new)
    )
}

fn layer(images: [&Unpacked; 2], change: &LayerChange) -> Result<Vec<String>, DiffError> {
    let at = change.layer;
    let [old, new] = [&change.old, &change.new];
    let (Some(old), Some(new)) = (old, new) else {
        let (which, there) = match (old, new) {
            (Some(there), _) => ("first", there),
            (_, Some(there)) => ("second", there),
            (None, None) => return Ok(Vec::new()),
        };
        return Ok(vec![format!(
            "layer {at} ({}) {} is in the {which} image only",
            there.created_by, there.digest
        )]);
    };
    let name = match old.created_by == new.created_by {
        true => old.created_by.clone(),
        false => format!("{} → {}", old.created_by, new.created_by),
    };
    let mut lines = vec![format!(
        "layer {at} ({name}) {} became {}",
        old.digest, new.digest
    )];
    let tars = images.map(|image| image.layers[at].tar.as_path());
    if old.diff_id == new.diff_id {
        lines.push(format!(
            "the tar in it is the same, {}: it is compressed in another way",
            old.diff_id
        ));
        return Ok(lines);
    }
    let limits = Limits::current();
    let [mut a, mut b] = [
        TarReader::open(tars[0], limits)?,
        TarReader::open(tars[1], limits)?,
    ];
    loop {
        let pair = [a.next().transpose()?, b.next().transpose()?];
        if let [None, None] = pair {
            let [a, b] = [fs_err::File::open(tars[0])?, fs_err::File::open(tars[1])?];
            let at = first_difference_of(io::BufReader::new(a), io::BufReader::new(b))?;
            lines.push(format!(
                "the tars have the same members and differ from byte {}",
                at.unwrap_or_default()
            ));
            return Ok(lines);
        }
        if let Some(line) = member(pair)? {
            lines.push(line);
            return Ok(lines);
        }
    }
}

fn member(pair: [Option<Member>; 2]) -> io::Result<Option<String>> {
    let shown = |member: &Option<Member>| match member {
        None => "the end of the tar".to_owned(),
        Some(Member::Root) => "the root directory".to_owned(),
        Some(Member::Entry(path, _)) => path.absolute(),
        Some(Member::Whiteout(whiteout)) => format!("a removal: {whiteout:?}"),
    };
    let [
        Some(Member::Entry(path, old)),
        Some(Member::Entry(other, new)),
    ] = &pair
    else {
        if pair[0] == pair[1] {
            return Ok(None);
        }
        return Ok(Some(format!(
            "where the first has {}, the second has {}",
            shown(&pair[0]),
            shown(&pair[1])
        )));
    };
    if path != other {
        let (which, one) = if path < other {
            ("first", path)
        } else {
            ("second", other)
        };
        return Ok(Some(format!("{} is in the {which} only", one.absolute())));
    }
    let first = fields(old, new)
        .into_iter()
        .find(|change| change.field != "size");
    let first = match (first, &old.kind, &new.kind) {
        (None, Kind::File(old), Kind::File(new)) => of_content([old, new])?,
        (first, ..) => first,
    };
    Ok(first.map(|change| format!("{}: {}", path.absolute(), sentence(&change))))
}

fn of_content(pair: [&Content; 2]) -> io::Result<Option<Change>> {
    match first_difference(pair)? {
        Some(at) => content_from(pair, at).map(Some),
        None => Ok(None),
    }
}
