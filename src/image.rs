//! Tree → Layer → Image: the outputs of the steps become layers above the base, and the image's configuration is written.

use oci::image::{ImageBuilder, Platform, RunConfig};
use oci::tree::TreeError;
use oci::{Digest, Epoch, Image, ImagePath, Layer, LayerWriter, Tree};

use crate::arch::Arch;
use crate::build::{Base, BuildError, Fallback, Isolation, Parts, StoredLayer, Workshop};
use crate::lock::Lock;
use crate::recipe::{Profile, Recipe, minor_of};

/// Everything that an image is made of.
pub struct Contents<'a> {
    /// What was asked for.
    pub recipe: &'a Recipe,
    /// From which inputs.
    pub lock: &'a Lock,
    /// The interpreter's version that was built.
    pub python: &'a str,
    /// For which machine.
    pub arch: Arch,
    /// The time of the image.
    pub created: Epoch,
    /// The operating system.
    pub base: &'a Base,
    /// The outputs of the steps.
    pub parts: &'a Parts,
    /// What is not as the recipe says.
    pub fallbacks: &'a [Fallback],
    /// What the interpreter was compiled with.
    pub profile: Option<&'a Profile>,
}

/// The folder of a step's output that is the image's root; the whole output without one.
type Part<'a> = (Digest, Option<&'a str>);

impl Contents<'_> {
    /// The layers' names and what they are made of, lowest first.
    pub fn plan(&self) -> [(&'static str, Vec<Part<'static>>); 3] {
        let parts = self.parts;
        [
            (
                "python",
                vec![(parts.cpython, Some("tree")), (parts.pip, None)],
            ),
            ("sdk", vec![(parts.sdk, None)]),
            ("runtime", vec![(parts.runtime, None)]),
        ]
    }

    /// Everything above the base.
    pub fn tree(&self, workshop: &Workshop) -> Result<Tree, BuildError> {
        let mut all = Tree::new();
        for (_, parts) in self.plan() {
            all.graft(None, grafted(&parts, workshop)?)?;
        }
        Ok(all)
    }

    /// Writes the layers that are not in the store yet, and the image's documents.
    pub fn assemble(&self, workshop: &Workshop) -> Result<Image, BuildError> {
        let mut builder = ImageBuilder::new(Platform::linux(self.arch.name()), self.created);
        let base = self.base.layers.iter().map(|stored| workshop.layer(stored));
        let base: Vec<Layer> = base.collect::<Result<_, _>>()?;
        builder = match &self.base.config {
            Some(config) => {
                let config = fs_err::read(workshop.blob(config)?)?;
                builder.base(base, &config)?
            }
            None => {
                let created_by = format!("base: {}", self.base.title);
                base.into_iter().fold(builder, |builder, layer| {
                    builder.base_layer(layer, &created_by)
                })
            }
        };
        let files = self.created.of_files();
        for (name, parts) in self.plan() {
            let key = ("layer", LayerWriter::FORMAT, &parts, files.seconds());
            let key = Digest::of(&serde_json::to_vec(&key).expect("a key is plain data"));
            let write = || write_layer(&parts, files, workshop);
            let stored = workshop.once(&key, &format!("{name} layer"), write)?;
            builder = builder.layer(workshop.layer(&stored)?, name);
        }
        let mut labels = self.labels();
        if workshop.isolation() == Isolation::Off {
            labels.push(("io.imgbuild.sandbox".to_owned(), "off".to_owned()));
        }
        for (key, value) in &labels {
            builder = builder.annotation(key, value);
        }
        let run = RunConfig {
            labels: labels.into_iter().collect(),
            ..run_config()
        };
        Ok(builder.run(run).build()?)
    }

    /// The image's name: what a reference's tag says.
    pub fn tag(&self) -> String {
        let suffix = if self.fallbacks.is_empty() {
            ""
        } else {
            "-fallback"
        };
        format!(
            "{}{}{suffix}",
            minor_of(self.python),
            self.recipe.python.variant()
        )
    }

    /// The folder of its layout: `python3.13`, `python3.13-freethreaded`.
    pub fn name(&self) -> String {
        format!("{}{}", self.recipe.name, self.recipe.python.variant())
    }

    fn labels(&self) -> Vec<(String, String)> {
        let features = self.recipe.python.features();
        let fallbacks: Vec<String> = self.fallbacks.iter().map(ToString::to_string).collect();
        let mut labels = vec![
            ("org.opencontainers.image.title", self.recipe.name.clone()),
            ("org.opencontainers.image.version", self.python.to_owned()),
            ("org.opencontainers.image.created", self.created.rfc3339()),
            (
                "org.opencontainers.image.base.name",
                self.base.reference.clone(),
            ),
            ("io.imgbuild.python", self.python.to_owned()),
            ("io.imgbuild.boto3", self.recipe.sdk.boto3.to_string()),
            (
                "io.imgbuild.features",
                if features.is_empty() {
                    "none".to_owned()
                } else {
                    features.join(",")
                },
            ),
            (
                "io.imgbuild.optimize",
                self.recipe.python.optimize.to_string(),
            ),
            (
                "io.imgbuild.profile",
                self.profile.map_or("none".to_owned(), ToString::to_string),
            ),
            ("io.imgbuild.glibc", self.lock.base.glibc.clone()),
            ("io.imgbuild.lock", self.lock.digest().to_string()),
        ];
        if let Some(digest) = self.base.digest {
            labels.push(("org.opencontainers.image.base.digest", digest.to_string()));
        }
        if !fallbacks.is_empty() {
            labels.push(("io.imgbuild.fallbacks", fallbacks.join("; ")));
        }
        labels
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }
}

/// AWS's environment, working folder and entrypoint.
fn run_config() -> RunConfig {
    let env = [
        ("LANG", "en_US.UTF-8"),
        ("TZ", ":/etc/localtime"),
        (
            "PATH",
            "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
        ),
        (
            "LD_LIBRARY_PATH",
            "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
        ),
        ("LAMBDA_TASK_ROOT", "/var/task"),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
    ];
    RunConfig {
        env: env
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        workdir: "/var/task".to_owned(),
        entrypoint: vec!["/var/runtime/bootstrap".to_owned()],
        ..RunConfig::default()
    }
}

fn write_layer(
    parts: &[Part],
    epoch: Epoch,
    workshop: &Workshop,
) -> Result<StoredLayer, BuildError> {
    let mut layer = grafted(parts, workshop)?;
    layer.forget_times();
    workshop.keep_layer(|folder| LayerWriter::new(folder, epoch, workshop.jobs()).write(&layer))
}

/// Outputs of steps as one tree.
fn grafted(parts: &[Part], workshop: &Workshop) -> Result<Tree, BuildError> {
    let mut layer = Tree::new();
    for (output, folder) in parts {
        let tree = workshop.tree(output)?;
        let tree = match folder {
            Some(folder) => below(tree, folder)?,
            None => tree,
        };
        layer.graft(None, tree)?;
    }
    Ok(layer)
}

/// A folder of a tree as a tree of its own.
fn below(tree: Tree, folder: &str) -> Result<Tree, BuildError> {
    let folder: ImagePath = folder.parse().expect("a step's folder is a path");
    let mut found = Tree::new();
    for (path, entry) in tree.subtree(&folder).skip(1) {
        let inner = &path.as_bytes()[folder.as_bytes().len() + 1..];
        found.insert(
            ImagePath::new(inner).map_err(TreeError::from)?,
            entry.clone(),
        )?;
    }
    Ok(found)
}
