//! `imgbuild inspect`: what an image is, without its layers' bytes, and what is attached to it.

use std::fmt::Write;

use anyhow::{Context, Result};
use oci::media_type::is_index;
use oci::registry::{Descriptor, Endpoint, Referrers, Registry};
use oci::source::{Access, ImageSource, Location, SourceImage};
use serde_json::{Value, json};

use super::CommandError;
use crate::cli::flags::{self, Format};
use crate::cli::settings::Settings;

/// Prints a description.
pub fn run(settings: &Settings, flags: &flags::Inspect) -> Result<()> {
    let http = settings.http()?;
    let scratch = settings.scratch()?;
    let access = Access {
        scratch: scratch.path(),
        connect: &|reference| Registry::new(&http, reference.clone()),
    };
    let location = Location::parse(&flags.image, Some(&flags.output))?;
    let source = ImageSource::open(&location, &access)?;
    let top = source.top().clone();
    let mut shown = if is_index(&top.media_type) && flags.platform.is_none() {
        let images = source.images()?;
        index(
            &top,
            &images
                .iter()
                .map(|(d, p)| (d, p.to_string()))
                .collect::<Vec<_>>(),
        )
    } else {
        image(&source.image(flags.platform.as_ref())?)
    };
    shown["name"] = json!(location.to_string());
    if flags.referrers {
        let Location::Registry(reference) = &location else {
            let message =
                format!("{location} is not in a registry, where things are attached to images");
            return Err(
                CommandError::new(message, "name it as registry.example/repository:tag").into(),
            );
        };
        let endpoint = Endpoint::new(&http, reference)?;
        let subject = shown["digest"].as_str().unwrap_or_default().parse()?;
        let referrers = Referrers {
            endpoint: &endpoint,
            repository: reference.repository(),
            subject,
        };
        let found = referrers.list(flags.artifact_type.as_deref());
        shown["referrers"] = json!(found.with_context(|| format!("cannot inspect {location}"))?);
    }
    match settings.format {
        Format::Json => println!("{shown}"),
        Format::Text => print!("{}", text(&shown)),
    }
    Ok(())
}

fn index(top: &Descriptor, images: &[(&Descriptor, String)]) -> Value {
    let images = images.iter().map(|(image, platform)| {
        json!({"digest": image.digest, "size": image.size, "platform": platform})
    });
    json!({
        "digest": top.digest,
        "mediaType": top.media_type,
        "images": images.collect::<Vec<_>>(),
    })
}

fn image(image: &SourceImage) -> Value {
    let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let (manifest, config) = (parsed(&image.manifest_bytes), parsed(&image.config_bytes));
    let layers = image.manifest.layers.iter().map(
        |layer| json!({"digest": layer.digest, "size": layer.size, "mediaType": layer.media_type}),
    );
    let run = &config["config"];
    json!({
        "digest": image.descriptor.digest,
        "mediaType": image.descriptor.media_type,
        "platform": image.platform.to_string(),
        "created": config["created"],
        "layers": layers.collect::<Vec<_>>(),
        "size": image.manifest.blobs().map(|blob| blob.size).sum::<u64>(),
        "entrypoint": run["Entrypoint"],
        "command": run["Cmd"],
        "workdir": run["WorkingDir"],
        "env": run["Env"],
        "labels": run["Labels"],
        "annotations": manifest["annotations"],
    })
}

/// The same for people.
fn text(shown: &Value) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        writeln!(text, "{key:12} {value}").expect("a string takes everything");
    };
    let plain = |value: &Value| match value {
        Value::String(text) => clean(text),
        other => clean(&other.to_string()),
    };
    for key in [
        "name",
        "digest",
        "mediaType",
        "platform",
        "created",
        "workdir",
        "entrypoint",
        "command",
    ] {
        if !shown[key].is_null() {
            line(key, &plain(&shown[key]));
        }
    }
    for (list, key) in [
        ("images", "image"),
        ("layers", "layer"),
        ("referrers", "referrer"),
    ] {
        for item in shown[list].as_array().into_iter().flatten() {
            let kind = ["platform", "artifactType", "mediaType"].map(|key| &item[key]);
            let kind = kind.into_iter().find(|kind| !kind.is_null());
            let size = item["size"].as_u64().unwrap_or_default() as f64 / 1e6;
            let kind = kind.map(plain).unwrap_or_default();
            line(
                key,
                &format!("{} {size:8.2} MB {kind}", plain(&item["digest"])),
            );
        }
        if list == "referrers" && shown[list].as_array().is_some_and(Vec::is_empty) {
            line(key, "none");
        }
    }
    for key in ["env", "labels", "annotations"] {
        match &shown[key] {
            Value::Array(items) => items.iter().for_each(|item| line(key, &plain(item))),
            Value::Object(items) => {
                for (name, value) in items {
                    // Annotations often say again what labels say.
                    if key == "annotations" && shown["labels"][name] == *value {
                        continue;
                    }
                    line(key, &format!("{}={}", clean(name), plain(value)));
                }
            }
            _ => {}
        }
    }
    text
}

/// Somebody else wrote it: it must not move the cursor.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
