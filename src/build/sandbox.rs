//! Where foreign code runs: bubblewrap, with a view of nothing but what is named, fixed paths and an environment that
//! holds exactly what is set. A build script has no network; a function has the machine's.

mod bare;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use bare::{Bare, BareError};

/// Whether scripts are kept from the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Isolation {
    /// Each runs in bubblewrap.
    #[default]
    On,
    /// They run as they are, at the same paths, with everything that the user may do. For containers of their own that
    /// allow no user namespaces.
    Off,
}

/// One command in its own world.
#[derive(Debug)]
pub struct Sandbox {
    root: Root,
    mounts: Vec<Mount>,
    environment: BTreeMap<String, String>,
    folder: Option<String>,
}

#[derive(Debug)]
enum Root {
    HostTools,
    Image { root: PathBuf, temporary: u64 },
}

#[derive(Debug)]
enum Mount {
    ReadOnly(PathBuf, String),
    Writable(PathBuf, String),
}

/// The program that makes the sandbox, and the package that brings it.
pub const PROGRAM: (&str, &str) = ("bwrap", "bubblewrap");

impl Sandbox {
    /// For a build script: the host's programs are visible, the network is not.
    pub fn with_host_tools() -> Self {
        Self::new(Root::HostTools)
    }

    /// For a function: the root file system is an image's, read-only, `/tmp` has room for `temporary` bytes, and the
    /// network is the machine's.
    pub fn in_image(root: impl Into<PathBuf>, temporary: u64) -> Self {
        let root = root.into();
        Self::new(Root::Image { root, temporary })
    }

    fn new(root: Root) -> Self {
        Self {
            root,
            mounts: Vec::new(),
            environment: BTreeMap::new(),
            folder: None,
        }
    }

    /// Shows `host` at `inside`.
    pub fn read_only(mut self, host: impl Into<PathBuf>, inside: impl Into<String>) -> Self {
        self.mounts
            .push(Mount::ReadOnly(host.into(), inside.into()));
        self
    }

    /// Lets the command write to `host` at `inside`.
    pub fn writable(mut self, host: impl Into<PathBuf>, inside: impl Into<String>) -> Self {
        self.mounts
            .push(Mount::Writable(host.into(), inside.into()));
        self
    }

    /// Sets a variable of the command's environment.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// The command's working folder, as it is called inside.
    pub fn folder(mut self, inside: impl Into<String>) -> Self {
        self.folder = Some(inside.into());
        self
    }

    /// The arguments of bubblewrap that run `command`.
    pub fn arguments(&self, command: &[&str]) -> Vec<OsString> {
        let mut args = Arguments::default();
        // A fixed unprivileged user: code behaves the same for root and for everybody else.
        args.add([
            "--unshare-all",
            "--die-with-parent",
            "--new-session",
            "--cap-drop",
            "ALL",
            "--uid",
            "1000",
            "--gid",
            "1000",
        ]);
        args.add(["--hostname", "imgbuild", "--clearenv"]);
        match &self.root {
            Root::HostTools => host_tools(&mut args),
            Root::Image { root, .. } => {
                args.add([
                    "--share-net".as_ref(),
                    "--ro-bind".as_ref(),
                    root.as_os_str(),
                    "/".as_ref(),
                ]);
                args.add(["--ro-bind-try", "/etc/resolv.conf", "/etc/resolv.conf"]);
            }
        }
        args.add(["--proc", "/proc", "--dev", "/dev"]);
        if let Root::Image { temporary, .. } = &self.root {
            args.add(["--size", &temporary.to_string()]);
        }
        args.add(["--tmpfs", "/tmp"]);
        for mount in &self.mounts {
            let (flag, host, inside) = match mount {
                Mount::ReadOnly(host, inside) => ("--ro-bind", host, inside),
                Mount::Writable(host, inside) => ("--bind", host, inside),
            };
            args.add([flag.as_ref(), host.as_os_str(), inside.as_ref()]);
        }
        // The kernel's switches belong to root, who is the same person inside when a build runs as root.
        // What is not a mount above is kept in memory, and would be a way around every limit.
        args.add(["--remount-ro", "/proc", "--remount-ro", "/dev"]);
        if let Root::HostTools = self.root {
            args.add(["--remount-ro", "/"]);
        }
        for (name, value) in &self.environment {
            args.add(["--setenv", name, value]);
        }
        if let Some(folder) = &self.folder {
            args.add(["--chdir", folder]);
        }
        args.add(["--"]);
        args.add(command);
        args.0
    }
}

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn add<T: AsRef<std::ffi::OsStr>>(&mut self, args: impl IntoIterator<Item = T>) {
        self.0
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
    }
}

/// `/usr` read-only, and `/bin`, `/lib` and their like as the host has them.
fn host_tools(args: &mut Arguments) {
    args.add([
        "--ro-bind",
        "/usr",
        "/usr",
        "--ro-bind-try",
        "/etc/alternatives",
        "/etc/alternatives",
    ]);
    for name in ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"] {
        match fs_err::read_link(name) {
            Ok(target) => args.add(["--symlink".as_ref(), target.as_os_str(), name.as_ref()]),
            Err(_) if Path::new(name).is_dir() => args.add(["--ro-bind", name, name]),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_comes_last_and_the_network_is_gone() {
        let args = Sandbox::with_host_tools()
            .read_only("/a", "/b")
            .env("K", "v")
            .folder("/b")
            .arguments(&["sh", "-c", "true"]);
        let text = args.join(" ".as_ref()).into_string().unwrap();
        assert!(text.starts_with("--unshare-all"), "{text}");
        assert!(
            text.ends_with("--ro-bind /a /b --remount-ro /proc --remount-ro /dev --remount-ro / --setenv K v --chdir /b -- sh -c true"),
            "{text}"
        );
    }
}
