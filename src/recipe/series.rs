//! What differs between the series of CPython, in one table: everything else is the same for all of them.

use super::minor_of;

/// A series of CPython that can be built: 3.13.
#[derive(Debug)]
pub struct Series {
    /// 13 of 3.13.
    pub minor: u32,
    /// C libraries beside [`LIBRARIES`].
    pub libraries: &'static [&'static str],
    /// Arguments of configure that other series do not know.
    pub configure: &'static [&'static str],
    /// Whether configure has a table of modules that can be linked in; the others are told by `scripts/setup/static`.
    pub modules_of_configure: bool,
    /// Built-in modules beside [`MODULES`].
    pub modules: &'static [&'static str],
    /// Whether setuptools belongs to a Python of this series, as ensurepip has it.
    pub setuptools: bool,
    /// Where AWS puts boto3: later series have it in site-packages, where `pip install` replaces it.
    pub sdk_in_runtime: bool,
    /// Whether there is a JIT and a build without the lock.
    pub jit_and_free_threading: bool,
}

/// The C libraries that every interpreter links.
pub const LIBRARIES: [&str; 11] = [
    "bzip2",
    "expat",
    "libedit",
    "libffi",
    "libuuid",
    "mpdecimal",
    "ncurses",
    "openssl",
    "sqlite",
    "xz",
    "zlib",
];

/// The modules that are part of every interpreter.
#[rustfmt::skip]
pub const MODULES: [&str; 85] = [
    "_abc", "_ast", "_asyncio", "_bisect", "_blake2", "_bz2", "_codecs", "_codecs_cn", "_codecs_hk", "_codecs_iso2022",
    "_codecs_jp", "_codecs_kr", "_codecs_tw", "_collections", "_contextvars", "_csv", "_ctypes", "_curses", "_curses_panel",
    "_datetime", "_decimal", "_elementtree", "_functools", "_hashlib", "_heapq", "_imp", "_io", "_json", "_locale", "_lsprof",
    "_lzma", "_md5", "_multibytecodec", "_multiprocessing", "_opcode", "_operator", "_pickle", "_posixshmem",
    "_posixsubprocess", "_queue", "_random", "_sha1", "_sha3", "_signal", "_socket", "_sqlite3", "_sre", "_ssl", "_stat",
    "_statistics", "_string", "_struct", "_symtable", "_thread", "_tracemalloc", "_uuid", "_warnings", "_weakref", "_zoneinfo",
    "array", "atexit", "binascii", "builtins", "cmath", "errno", "faulthandler", "fcntl", "gc", "grp", "itertools", "marshal",
    "math", "mmap", "posix", "pwd", "pyexpat", "readline", "resource", "select", "sys", "syslog", "termios", "time",
    "unicodedata", "zlib",
];

#[rustfmt::skip]
static SERIES: [Series; 6] = [
    Series {
        minor: 10,
        libraries: &[],
        configure: &[],
        modules_of_configure: false,
        modules: &["_sha256", "_sha512", "_xxsubinterpreters", "audioop", "spwd", "xxsubtype"],
        setuptools: true,
        sdk_in_runtime: true,
        jit_and_free_threading: false,
    },
    Series {
        minor: 11,
        libraries: &[],
        configure: &[],
        modules_of_configure: false,
        modules: &["_sha256", "_sha512", "_tokenize", "_typing", "_xxsubinterpreters", "audioop", "spwd", "xxsubtype"],
        setuptools: true,
        sdk_in_runtime: false,
        jit_and_free_threading: false,
    },
    Series {
        minor: 12,
        libraries: &[],
        configure: &[],
        modules_of_configure: true,
        modules: &["_sha2", "_tokenize", "_typing", "_xxinterpchannels", "_xxsubinterpreters", "audioop", "spwd"],
        setuptools: false,
        sdk_in_runtime: false,
        jit_and_free_threading: false,
    },
    Series {
        minor: 13,
        libraries: &[],
        configure: &[],
        modules_of_configure: true,
        modules: &["_interpchannels", "_interpqueues", "_interpreters", "_sha2", "_suggestions", "_sysconfig", "_tokenize", "_typing"],
        setuptools: false,
        sdk_in_runtime: false,
        jit_and_free_threading: true,
    },
    Series {
        minor: 14,
        libraries: &["zstd"],
        configure: &["--with-tail-call-interp"],
        modules_of_configure: true,
        modules: &[
            "_hmac", "_interpchannels", "_interpqueues", "_interpreters", "_remote_debugging", "_sha2", "_suggestions", "_sysconfig",
            "_tokenize", "_types", "_typing", "_zstd",
        ],
        setuptools: false,
        sdk_in_runtime: false,
        jit_and_free_threading: true,
    },
    Series {
        minor: 15,
        libraries: &["zstd"],
        configure: &["--with-tail-call-interp"],
        modules_of_configure: true,
        modules: &[
            "_hmac", "_interpchannels", "_interpqueues", "_interpreters", "_math_integer", "_remote_debugging", "_sha2", "_suggestions",
            "_sysconfig", "_tokenize", "_types", "_typing", "_zstd",
        ],
        setuptools: false,
        sdk_in_runtime: false,
        jit_and_free_threading: true,
    },
];

impl Series {
    /// The series of a version such as 3.13.16, when it can be built.
    pub fn of(version: &str) -> Option<&'static Self> {
        let minor = minor_of(version);
        SERIES
            .iter()
            .find(|series| minor == format!("3.{}", series.minor))
    }

    /// Everything that an interpreter of the series links, in alphabetical order.
    pub fn all_libraries(&self) -> Vec<&'static str> {
        sorted(&LIBRARIES, self.libraries)
    }

    /// What `sys.builtin_module_names` has to be.
    pub fn all_modules(&self) -> Vec<&'static str> {
        sorted(&MODULES, self.modules)
    }
}

fn sorted(common: &[&'static str], own: &[&'static str]) -> Vec<&'static str> {
    let mut all = [common, own].concat();
    all.sort_unstable();
    all
}
