//! QEMU, which runs another machine's programs: to ask an interpreter that was built for it, and to invoke functions in it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::step::Tool;
use crate::arch::Arch;

/// A program that runs one program of another machine: `qemu-aarch64`.
#[derive(Debug)]
pub struct Qemu {
    program: PathBuf,
}

/// This machine cannot run that machine's programs.
#[derive(Debug, thiserror::Error)]
#[error("this machine has no QEMU for {0}")]
pub struct NoQemu(Arch);

impl NoQemu {
    /// What to install.
    pub fn hint(&self) -> String {
        format!(
            "install qemu-{}: `apt-get install qemu-user-static`",
            self.0.machine()
        )
    }
}

impl Qemu {
    /// Looks along `path`, as PATH has it.
    pub fn find(arch: Arch, path: &str) -> Result<Self, NoQemu> {
        let found = Self::find_static(arch, path);
        found.or_else(|_| Self::named(&format!("qemu-{}", arch.machine()), arch, path))
    }

    /// One that also runs where none of this machine's libraries are.
    pub fn find_static(arch: Arch, path: &str) -> Result<Self, NoQemu> {
        Self::named(&format!("qemu-{}-static", arch.machine()), arch, path)
    }

    fn named(name: &str, arch: Arch, path: &str) -> Result<Self, NoQemu> {
        let mut places = std::env::split_paths(path).map(|folder| folder.join(name));
        let program = places.find(|place| is_program(place));
        let program = program.ok_or(NoQemu(arch))?;
        Ok(Self { program })
    }

    /// Whether the kernel starts one by itself, also in another root file system.
    pub fn is_registered(arch: Arch) -> bool {
        let name = format!("/proc/sys/fs/binfmt_misc/qemu-{}", arch.machine());
        let text = fs_err::read_to_string(name).unwrap_or_default();
        let flags = text.lines().find_map(|line| line.strip_prefix("flags: "));
        text.starts_with("enabled") && flags.is_some_and(|flags| flags.contains('F'))
    }

    /// The program's path on this machine.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// As a tool of a step, at `/imgbuild/qemu`. What it is does not show in what a step makes.
    pub(super) fn tool(&self) -> Tool<'_> {
        Tool {
            name: "qemu",
            folder: &self.program,
            identity: String::new(),
        }
    }
}

fn is_program(path: &Path) -> bool {
    fs_err::metadata(path)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
