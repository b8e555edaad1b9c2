//! What the labels of an image that was built here promise about its programs: which glibc they run on, and which modules
//! the interpreter has. The audit itself is [`oci::validate`]'s.

use std::collections::BTreeMap;

use oci::validate::{Expected, Glibc, Inventory};

use crate::recipe::{Series, minor_of};

/// Modules whose functions have other names than a module's: they are in every interpreter.
const BUILT_IN: [&str; 4] = ["_warnings", "builtins", "marshal", "sys"];

/// Nothing of an image without our labels.
pub fn expected(labels: &BTreeMap<String, String>) -> Expected {
    let label = |name: &str| labels.get(name).map(String::as_str);
    let features = label("io.imgbuild.features").unwrap_or_default();
    let free_threading = features.split(',').any(|name| name == "free-threading");
    Expected {
        glibc: label("io.imgbuild.glibc").and_then(Glibc::parse),
        inventory: label("io.imgbuild.python")
            .and_then(|version| inventory(version, free_threading)),
    }
}

fn inventory(version: &str, free_threading: bool) -> Option<Inventory> {
    let modules = Series::of(version)?.all_modules();
    let minor = minor_of(version);
    let abi = if free_threading { "t" } else { "" };
    Some(Inventory {
        program: format!("/var/lang/bin/python{minor}"),
        prefix: "PyInit_",
        folder: format!("/var/lang/lib/python{minor}{abi}/lib-dynload"),
        modules: modules
            .into_iter()
            .filter(|name| !BUILT_IN.contains(name))
            .map(str::to_owned)
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_ours_and_of_others() {
        assert_eq!(expected(&BTreeMap::new()), Expected::default());
        let labels = [
            ("io.imgbuild.glibc", "2.34"),
            ("io.imgbuild.python", "3.13.5"),
            ("io.imgbuild.features", "jit=available,free-threading"),
        ];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let expected = expected(&labels.into());
        assert_eq!(expected.glibc, Some(Glibc(2, 34)));
        let inventory = expected.inventory.unwrap();
        assert_eq!(inventory.program, "/var/lang/bin/python3.13");
        assert_eq!(inventory.folder, "/var/lang/lib/python3.13t/lib-dynload");
        assert!(inventory.modules.contains("_ssl") && !inventory.modules.contains("sys"));
    }
}
