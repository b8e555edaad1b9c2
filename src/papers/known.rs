//! The names, licences and makers of what is linked into the interpreter, which the sources do not say in any form that
//! a program could read. Versions and bytes come from the lock.

/// What is known of a C library beside its version.
pub struct Known {
    /// Its name in the lock.
    pub name: &'static str,
    /// An SPDX expression.
    pub licence: &'static str,
    /// Who publishes it.
    pub supplier: &'static str,
    /// Vendor and product in the National Vulnerability Database's dictionary, or what they would be.
    pub cpe: (&'static str, &'static str),
}

const fn known(
    name: &'static str,
    licence: &'static str,
    supplier: &'static str,
    cpe: (&'static str, &'static str),
) -> Known {
    Known {
        name,
        licence,
        supplier,
        cpe,
    }
}

/// The C libraries that a series may link.
#[rustfmt::skip]
static LIBRARIES: [Known; 12] = [
    known("bzip2", "bzip2-1.0.6", "The bzip2 authors", ("bzip", "bzip2")),
    known("expat", "MIT", "The Expat maintainers", ("libexpat_project", "libexpat")),
    known("libedit", "BSD-3-Clause", "The NetBSD Foundation", ("libedit_project", "libedit")),
    known("libffi", "MIT", "The libffi maintainers", ("libffi_project", "libffi")),
    known("libuuid", "BSD-3-Clause", "The util-linux maintainers", ("kernel", "util-linux")),
    known("mpdecimal", "BSD-2-Clause", "Stefan Krah", ("bytereef", "mpdecimal")),
    known("ncurses", "X11-distribute-modifications-variant", "The GNU Project", ("gnu", "ncurses")),
    known("openssl", "Apache-2.0", "The OpenSSL Project", ("openssl", "openssl")),
    known("sqlite", "blessing", "The SQLite authors", ("sqlite", "sqlite")),
    known("xz", "0BSD", "The Tukaani Project", ("tukaani", "xz")),
    known("zlib", "Zlib", "The zlib authors", ("zlib", "zlib")),
    known("zstd", "BSD-3-Clause OR GPL-2.0-only", "Meta Platforms", ("facebook", "zstandard")),
];

/// The licences of what pip carries inside; the texts are in `pip-….dist-info/licenses`.
#[rustfmt::skip]
static INSIDE_PIP: [(&str, &str); 24] = [
    ("cachecontrol", "Apache-2.0"), ("certifi", "MPL-2.0"), ("chardet", "LGPL-2.1-or-later"), ("colorama", "BSD-3-Clause"),
    ("distlib", "PSF-2.0"), ("distro", "Apache-2.0"), ("idna", "BSD-3-Clause"), ("msgpack", "Apache-2.0"),
    ("packaging", "Apache-2.0 OR BSD-2-Clause"), ("platformdirs", "MIT"), ("pygments", "BSD-2-Clause"), ("pyparsing", "MIT"),
    ("pyproject-hooks", "MIT"), ("requests", "Apache-2.0"), ("resolvelib", "ISC"), ("rich", "MIT"), ("setuptools", "MIT"),
    ("six", "MIT"), ("tenacity", "Apache-2.0"), ("tomli", "MIT"), ("tomli-w", "MIT"), ("truststore", "MIT"),
    ("typing-extensions", "PSF-2.0"), ("urllib3", "MIT"),
];

/// The licence of a distribution that pip carries inside, by its normalised name.
pub fn inside_pip(name: &str) -> Option<&'static str> {
    INSIDE_PIP
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, licence)| *licence)
}

/// What is known of the C library that the lock calls `name`.
pub fn library(name: &str) -> Option<&'static Known> {
    LIBRARIES.iter().find(|known| known.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Series;

    #[test]
    fn every_library_of_every_series_is_known_and_its_licence_is_an_expression() {
        for minor in 10..=15 {
            let series = Series::of(&format!("3.{minor}.0")).unwrap();
            for name in series.all_libraries() {
                assert!(library(name).is_some(), "{name}");
            }
        }
        let licences = LIBRARIES.iter().map(|known| known.licence);
        for licence in licences.chain(INSIDE_PIP.iter().map(|(_, licence)| *licence)) {
            spdx::Expression::parse(licence).unwrap();
        }
    }
}
