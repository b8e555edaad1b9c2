//! The rules, one row each: what `imgbuild verify --rules` prints and what findings refer to.

use std::fmt;

/// A rule that an image has to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Digests, sizes, diffIDs, documents and tars are what they say they are.
    Bytes,
    /// The name resolves to one image manifest, not to an index.
    SingleManifest,
    /// Media types of one family, and no others.
    MediaTypes,
    /// Layers are gzip.
    Gzip,
    /// Every directory has an entry before what is inside it, in the same layer.
    ParentsFirst,
    /// No hard links, device nodes, pipes, sockets or sparse files.
    PlainEntries,
    /// 10 GB uncompressed; a small manifest; not too many layers.
    Size,
    /// ENTRYPOINT, CMD and WORKDIR are absolute and there.
    Run,
    /// Everybody can read every file and enter every directory.
    Readable,
    /// Programs are for the configuration's architecture.
    Architecture,
    /// One history entry for each layer.
    History,
    /// No newer glibc than the base's.
    Glibc,
    /// Libraries that programs load are there.
    Needed,
    /// Libraries inside of programs stay inside.
    Exports,
    /// What the linker and the loader can do against attacks.
    Hardening,
    /// No search paths of the build.
    Rpath,
    /// No folder names of the build.
    BuildPath,
    /// Exactly the modules that the interpreter should have.
    Modules,
}

/// A rule's name, what it says, and what to do when it is broken.
struct Row(Rule, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const ROWS: [Row; 18] = [
    Row(Rule::Bytes, "bytes", "digests, sizes, diffIDs, documents and tars are what they say they are",
        "the image is damaged; build or copy it again"),
    Row(Rule::SingleManifest, "single-manifest", "the name resolves to one image manifest, not to an index or an artifact",
        "Lambda takes one image per name; attach papers as referrers, build without an index"),
    Row(Rule::MediaTypes, "media-types", "manifest, configuration and layers are all of OCI's types or all of Docker's (version 2, schema 2)",
        "write all documents in one family of media types"),
    Row(Rule::Gzip, "gzip", "layers are gzip, by their type and by their bytes",
        "Lambda takes gzip layers only; compress the layer with gzip"),
    Row(Rule::ParentsFirst, "parents-first", "each directory has an entry before what is inside it, in the same layer",
        "Lambda fails with MissingParentDirectory; write the layer again"),
    Row(Rule::PlainEntries, "plain-entries", "no hard links, device nodes, pipes, sockets or sparse files",
        "make hard links files of their own; leave out the rest"),
    Row(Rule::Size, "size", "at most 10 GB uncompressed; better below 25,400 bytes of manifest and 128 layers",
        "leave out what the function does not need"),
    Row(Rule::Run, "run", "ENTRYPOINT, CMD and WORKDIR are absolute paths of things that are there; ENV entries have a name",
        "use absolute paths of things that are in the image"),
    Row(Rule::Readable, "readable", "everybody can read every file and enter every directory",
        "Lambda runs functions as an unknown user; chmod o+rX"),
    Row(Rule::Architecture, "architecture", "linux on amd64 or arm64, and every program is for it",
        "build the program for the image's architecture"),
    Row(Rule::History, "history", "exactly one history entry that says something for each layer",
        "write one history entry for each layer"),
    Row(Rule::Glibc, "elf-glibc", "programs need no symbol of a newer glibc than the base's",
        "link against the base's glibc, as in -target x86_64-linux-gnu.2.34"),
    Row(Rule::Needed, "elf-needed", "libraries that programs load are glibc's or the image's own, and are found",
        "link the library statically, or put it into the image"),
    Row(Rule::Exports, "elf-exports", "libraries that are linked into a program export nothing",
        "hide the library's symbols with a version script or -fvisibility=hidden"),
    Row(Rule::Hardening, "elf-hardening", "RELRO, BIND_NOW, no executable stack, nothing writable and executable, no TEXTREL",
        "link with -z relro -z now -z noexecstack, compile with -fPIC"),
    Row(Rule::Rpath, "elf-rpath", "no RPATH or RUNPATH other than below $ORIGIN",
        "link without -rpath, or with -rpath '$ORIGIN/…'"),
    Row(Rule::BuildPath, "elf-build-path", "no folder of the machine that built a program stands in it",
        "compile with -ffile-prefix-map, strip debug information"),
    Row(Rule::Modules, "elf-modules", "the interpreter has exactly the extension modules of its series",
        "a library was not found by configure, or a module is new: compare with the recipe's series"),
];

impl Rule {
    /// All rules, in the order in which they are checked.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|row| row.0)
    }

    fn row(self) -> &'static Row {
        let row = ROWS.iter().find(|row| row.0 == self);
        row.expect("every rule has a row")
    }

    /// A short name.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What it demands.
    pub fn text(self) -> &'static str {
        self.row().2
    }

    /// What to do about it.
    pub fn hint(self) -> &'static str {
        self.row().3
    }

    /// Whether other runtimes than Lambda's would take an image that breaks it.
    pub fn is_lambdas(self) -> bool {
        matches!(
            self,
            Self::SingleManifest
                | Self::MediaTypes
                | Self::Gzip
                | Self::ParentsFirst
                | Self::PlainEntries
                | Self::Size
                | Self::Readable
                | Self::History
        )
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_one_row_and_one_name() {
        let names: std::collections::BTreeSet<_> = Rule::all().map(Rule::name).collect();
        assert_eq!(names.len(), ROWS.len());
        assert_eq!(Rule::all().last(), Some(Rule::Modules));
    }
}
