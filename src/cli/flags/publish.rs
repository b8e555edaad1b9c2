//! The flags of the commands that bring images to other places and look at what is there.

use std::path::PathBuf;

use clap::Args;
use oci::registry::{Platform, Reference};

use super::key_value;
use crate::cli::signing::Signer;

/// `imgbuild push`.
#[derive(Debug, Args)]
pub struct Push {
    /// A recipe's name: its image in DIR is pushed; or a layout or tarball; several with commas, for --index
    #[arg(value_delimiter = ',', num_args = 1, required = true)]
    pub image: Vec<String>,
    /// Where to, as in registry.example/team/python:3.13
    #[arg(value_parser = reference)]
    pub reference: Reference,
    /// Another tag for the same image; may be repeated
    #[arg(long, value_name = "TAG", value_delimiter = ',')]
    pub tag: Vec<String>,
    /// Push an index of several architectures under the tag, and each image under TAG-ARCHITECTURE
    #[arg(long)]
    pub index: bool,
    /// A repository of the same registry that may have some of the layers; may be repeated
    #[arg(long, value_name = "REPOSITORY")]
    pub mount_from: Vec<String>,
    /// Push an image although its build fell back on other inputs than the recipe's
    #[arg(long)]
    pub allow_fallback: bool,
    /// Fail unless the image was built from the lock that lies beside its recipe today
    #[arg(long)]
    pub locked: bool,
    /// Fail where the image's papers (SBOMs, provenance) are not beside it; those that are there are attached anyway
    #[arg(long, overrides_with = "no_attest")]
    pub attest: bool,
    /// Do not attach the image's papers
    #[arg(long)]
    pub no_attest: bool,
    /// Sign with this command, as in 'cosign sign --yes {ref}': run for every manifest before a tag moves
    #[arg(long, value_name = "COMMAND")]
    pub sign: Option<Signer>,
    /// Write every pushed reference to a file, one per line
    #[arg(long, value_name = "FILE")]
    pub image_refs: Option<PathBuf>,
    /// Write what was pushed to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
    /// The folder that holds built images
    #[arg(long, short, value_name = "DIR", default_value = "dist")]
    pub output: PathBuf,
}

/// `imgbuild copy`.
#[derive(Debug, Args)]
pub struct Copy {
    /// A recipe's name, a layout, a tarball, or a reference to a registry
    pub source: String,
    /// A folder, FILE.tar, or a reference to a registry; DIR:NAME and FILE.tar:NAME name the image in it
    pub destination: String,
    /// Copy only this image of an index, as in arm64 or linux/arm64
    #[arg(long)]
    pub platform: Option<Platform>,
    /// Copy what is attached to the image, too: SBOMs, signatures; from registry to registry
    #[arg(long)]
    pub referrers: bool,
    /// Copy an image to a registry although its build fell back on other inputs than the recipe's
    #[arg(long)]
    pub allow_fallback: bool,
    /// The folder that holds built images
    #[arg(long, short, value_name = "DIR", default_value = "dist")]
    pub output: PathBuf,
}

/// `imgbuild attach`.
#[derive(Debug, Args)]
pub struct Attach {
    /// The image in its registry
    #[arg(value_parser = reference)]
    pub image: Reference,
    /// What to attach
    #[arg(required = true)]
    pub file: Vec<PathBuf>,
    /// What kind of artifact it is, as in application/spdx+json
    #[arg(long, value_name = "TYPE", value_parser = media_type)]
    pub artifact_type: String,
    /// The type of the files [default: the artifact's]
    #[arg(long, value_name = "TYPE", value_parser = media_type)]
    pub media_type: Option<String>,
    /// An annotation of the artifact; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub annotation: Vec<(String, String)>,
}

/// `imgbuild diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// A recipe's name, a layout, a tarball, or a reference to a registry
    pub old: String,
    /// What to compare it with
    pub new: String,
    /// The images of indexes to compare, as in arm64 or linux/arm64
    #[arg(long)]
    pub platform: Option<Platform>,
    /// List every file
    #[arg(long)]
    pub all: bool,
    /// The folder that holds built images
    #[arg(long, short, value_name = "DIR", default_value = "dist")]
    pub output: PathBuf,
}

/// `imgbuild inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// A recipe's name, a layout, a tarball, or a reference to a registry
    pub image: String,
    /// The image of an index to look at, as in arm64 or linux/arm64
    #[arg(long)]
    pub platform: Option<Platform>,
    /// List what is attached to the image
    #[arg(long)]
    pub referrers: bool,
    /// List only attachments of this type
    #[arg(long, value_name = "TYPE", requires = "referrers")]
    pub artifact_type: Option<String>,
    /// The folder that holds built images
    #[arg(long, short, value_name = "DIR", default_value = "dist")]
    pub output: PathBuf,
}

/// A reference with its registry: nothing is pushed to Docker Hub by a slip of the pen.
fn reference(text: &str) -> Result<Reference, String> {
    let host = text.split_once('/').map(|(host, _)| host);
    if host.is_none_or(|host| host != "localhost" && !host.contains(['.', ':'])) {
        return Err("name the registry, too, as in registry.example/repository:tag".to_owned());
    }
    text.parse().map_err(|error| format!("{error}"))
}

fn media_type(text: &str) -> Result<String, String> {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c))
    };
    match text.split_once('/') {
        Some((kind, name)) if is_word(kind) && is_word(name) => Ok(text.to_owned()),
        _ => Err("expected TYPE/NAME, as in application/spdx+json".to_owned()),
    }
}
