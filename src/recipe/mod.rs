//! Recipes and base definitions: YAML as people write it comes in, checked values go out. Nothing is fetched here.

mod base;
mod library;
mod profile;
mod series;
mod together;
pub mod yaml;

use std::fmt;
use std::path::Path;

use jiff::civil::Date;
use serde::Deserialize;

pub use base::{BaseDefinition, Packages, Rootfs};
pub use library::{Library, LibraryError, PROFILES, Text};
pub use profile::{Profile, ProfileHeader, Unusable};
pub use series::Series;
pub use together::{Unfinished, write, write_together};
pub use yaml::{SchemaError, Version};

/// What to build: one runtime.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// `python3.13`: the recipe's file name, and the image's.
    pub name: String,
    /// The base definition's name: `al2023`.
    pub base: String,
    /// The interpreter.
    pub python: Python,
    /// The AWS SDK.
    pub sdk: Sdk,
    /// When the runtime ends; a preview has no dates yet.
    #[serde(default)]
    pub lifecycle: Option<Lifecycle>,
}

/// The interpreter of a recipe.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Python {
    /// The full version, `3.13.16`.
    pub version: Version,
    /// The just-in-time compiler.
    #[serde(default)]
    pub jit: Jit,
    /// The build without the global interpreter lock.
    #[serde(default)]
    pub free_threading: FreeThreading,
    /// How the compiler makes it fast.
    #[serde(default)]
    pub optimize: Optimize,
}

/// The just-in-time compiler of CPython 3.13 and later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Jit {
    /// Not compiled in.
    #[default]
    Disabled,
    /// Compiled in and off; `PYTHON_JIT=1` turns it on.
    Available,
    /// On.
    Enabled,
}

/// The free-threaded build of CPython 3.13 and later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FreeThreading {
    /// The build that has a global interpreter lock.
    #[default]
    Disabled,
    /// The build that has none.
    Enabled,
}

/// How the compiler makes an interpreter fast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimize {
    /// Each file for itself.
    None,
    /// With a profile of what programs do.
    Pgo,
    /// With a profile, and the executable is optimised as a whole when it is linked.
    #[default]
    PgoLto,
}

/// The AWS SDK of a recipe.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sdk {
    /// boto3's exact version; the lock holds everything it needs.
    pub boto3: Version,
}

/// The dates of AWS's runtime table.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lifecycle {
    /// Security patches end.
    pub deprecation: Date,
    /// No new functions from this day.
    pub block_create: Date,
    /// No function updates from this day.
    pub block_update: Date,
}

impl Recipe {
    /// Reads and checks a recipe; `overrides` are `--set` pairs of dotted key and value.
    pub fn parse(
        path: &Path,
        text: &str,
        overrides: &[(String, String)],
    ) -> Result<Self, SchemaError> {
        let recipe: Self = yaml::parse(path, text, overrides)?;
        let refuse =
            |key, message: String, hint: &str| Err(SchemaError::at(path, text, key, message, hint));
        let Some((major, minor)) = recipe.python.release() else {
            let message = format!("{} is not a full Python version", recipe.python.version);
            return refuse(
                "python.version",
                message,
                "give all three numbers, as in \"3.13.16\"",
            );
        };
        if Series::of(&recipe.python.version.0).is_none() {
            let message = format!("Python {major}.{minor} is not a runtime that can be built");
            return refuse("python.version", message, "use 3.10 to 3.15");
        }
        let jit = recipe.python.jit != Jit::Disabled;
        let free_threading = recipe.python.free_threading == FreeThreading::Enabled;
        if jit && free_threading {
            let message = "python.jit and python.free_threading cannot be combined: CPython would build the JIT and never run it".to_owned();
            return refuse("python.jit", message, "switch one of the two off");
        }
        for (on, key) in [
            (jit, "python.jit"),
            (free_threading, "python.free_threading"),
        ] {
            if on && !recipe.python.series().jit_and_free_threading {
                let message = format!(
                    "{key} needs Python 3.13 or later, and this is {}",
                    recipe.python.version
                );
                return refuse(key, message, "set it to disabled");
            }
        }
        if let Some(lifecycle) = recipe.lifecycle
            && (lifecycle.deprecation > lifecycle.block_create
                || lifecycle.block_create > lifecycle.block_update)
        {
            let message = "the lifecycle's dates are not in order".to_owned();
            return refuse(
                "lifecycle",
                message,
                "deprecation comes first, then block_create, then block_update",
            );
        }
        Ok(recipe)
    }
}

impl Python {
    /// Major and minor number, when the version has at least three parts.
    fn release(&self) -> Option<(u32, u32)> {
        let mut parts = self.version.0.split('.');
        let release = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        parts.next()?;
        Some(release)
    }

    /// What its series needs.
    pub fn series(&self) -> &'static Series {
        Series::of(&self.version.0).expect("a recipe of another series is refused")
    }

    /// `3.13`.
    pub fn minor(&self) -> String {
        minor_of(&self.version.0)
    }

    /// What the image's name and tag say of the features that are not off: `-jit`, `-freethreaded`, or nothing.
    pub fn variant(&self) -> &'static str {
        match (self.jit, self.free_threading) {
            (_, FreeThreading::Enabled) => "-freethreaded",
            (Jit::Available, _) => "-jit",
            (Jit::Enabled, _) => "-jit-enabled",
            (Jit::Disabled, _) => "",
        }
    }

    /// The features that are not off, as `imgbuild list` and the labels show them.
    pub fn features(&self) -> Vec<String> {
        let mut features = Vec::new();
        match self.jit {
            Jit::Disabled => {}
            jit => features.push(format!("jit={jit}")),
        }
        if self.free_threading == FreeThreading::Enabled {
            features.push("free-threading".to_owned());
        }
        features
    }
}

/// `3.13` of `3.13.16`.
pub fn minor_of(version: &str) -> String {
    version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
}

impl fmt::Display for Jit {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Disabled => "disabled",
            Self::Available => "available",
            Self::Enabled => "enabled",
        })
    }
}

impl fmt::Display for FreeThreading {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
        })
    }
}

impl fmt::Display for Optimize {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Pgo => "pgo",
            Self::PgoLto => "pgo-lto",
        })
    }
}

impl Lifecycle {
    /// Where a runtime stands on a day: `supported`, `deprecated`, `creation blocked`, `updates blocked`.
    pub fn status(&self, today: Date) -> &'static str {
        if today >= self.block_update {
            "updates blocked"
        } else if today >= self.block_create {
            "creation blocked"
        } else if today >= self.deprecation {
            "deprecated"
        } else {
            "supported"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../../recipes/python3.13.yaml");

    fn refused(text: &str, overrides: &[(&str, &str)]) -> String {
        let overrides: Vec<_> = overrides
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect();
        let error = Recipe::parse(Path::new("r.yaml"), text, &overrides).unwrap_err();
        format!("{error} | {}", error.hint().unwrap_or("no hint"))
    }

    #[test]
    fn the_recipe_of_the_project_is_accepted() {
        let recipe = Recipe::parse(Path::new("r.yaml"), GOOD, &[]).unwrap();
        assert_eq!(
            (recipe.python.minor().as_str(), recipe.sdk.boto3.0.as_str()),
            ("3.13", "1.44.5")
        );
        assert!(recipe.python.features().is_empty());
    }

    #[test]
    fn faults_are_named_with_their_line_and_a_hint() {
        let unquoted = GOOD.replace("\"3.13.16\"", "3.10");
        assert_eq!(
            refused(&unquoted, &[]),
            "r.yaml:4: python.version: an unquoted version is a number in YAML, here 3.1 | write versions in quotes: version: \"3.13.16\""
        );
        let unknown = refused(&GOOD.replace("jit:", "jti:"), &[]);
        assert!(
            unknown.starts_with("r.yaml:5: python: unknown field `jti`"),
            "{unknown}"
        );
        let both = GOOD
            .replace("jit: disabled", "jit: enabled")
            .replace("threading: disabled", "threading: enabled");
        assert!(
            refused(&both, &[]).starts_with("r.yaml:5: python.jit and python.free_threading"),
            "{}",
            refused(&both, &[])
        );
        let early = refused(
            &GOOD.replace("3.13.16", "3.12.1"),
            &[("python.jit", "available")],
        );
        assert!(
            early.contains("python.jit needs Python 3.13 or later, and this is 3.12.1"),
            "{early}"
        );
        assert!(
            refused("name: [", &[]).starts_with("r.yaml:"),
            "{}",
            refused("name: [", &[])
        );
    }

    #[test]
    fn an_override_of_an_unknown_key_lists_the_keys() {
        let error = refused(GOOD, &[("python.jti", "enabled")]);
        assert!(
            error.contains("no key python.jti") && error.contains("python.jit"),
            "{error}"
        );
        assert!(refused(GOOD, &[("python.jit", "on")]).contains("unknown variant `on`"));
        assert_eq!(
            refused(GOOD, &[("python.optimize", "fast")]),
            "r.yaml: --set python.optimize=fast: unknown variant `fast`, expected one of `none`, `pgo`, `pgo-lto` | recipes/README.md lists the values of each key"
        );
    }

    #[test]
    fn the_status_follows_the_dates() {
        let recipe = Recipe::parse(Path::new("r.yaml"), GOOD, &[]).unwrap();
        let lifecycle = recipe.lifecycle.unwrap();
        let on = |text: &str| lifecycle.status(text.parse().unwrap());
        assert_eq!(
            [on("2029-06-29"), on("2029-06-30")],
            ["supported", "deprecated"]
        );
        assert_eq!(
            [on("2029-07-31"), on("2029-08-31")],
            ["creation blocked", "updates blocked"]
        );
    }
}
