//! QEMU, which runs another machine's programs: to ask an interpreter that was built for it, and to invoke functions in it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::step::Tool;
use crate::arch::Arch;

/// A program that runs one program of another machine: `qemu-aarch64`.
#[derive(Debug)]
pub struct Emulator {
    program: PathBuf,
}

/// This machine cannot run that machine's programs.
#[derive(Debug, thiserror::Error)]
#[error("this machine has no emulator for {0}")]
pub struct NoEmulator(Arch);

impl NoEmulator {
    /// What to install.
    pub fn hint(&self) -> String {
        format!(
            "install qemu-{}: `apt-get install qemu-user-static`",
            self.0.machine()
        )
    }
}

impl Emulator {
    /// Looks along `path`, as PATH has it. The statically linked one comes first: it also runs where none of this machine's libraries are.
    pub fn find(arch: Arch, path: &str) -> Result<Self, NoEmulator> {
        let names = ["-static", ""].map(|end| format!("qemu-{}{end}", arch.machine()));
        let places = names
            .iter()
            .flat_map(|name| std::env::split_paths(path).map(move |folder| folder.join(name)));
        let mut programs = places.filter(|place| is_program(place));
        let program = programs.next().ok_or(NoEmulator(arch))?;
        Ok(Self { program })
    }

    /// The program's path on this machine.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// As a tool of a step, at `/imgbuild/emulator`. What it is does not show in what a step makes.
    pub(super) fn tool(&self) -> Tool<'_> {
        Tool {
            name: "emulator",
            folder: &self.program,
            identity: String::new(),
        }
    }
}

fn is_program(path: &Path) -> bool {
    fs_err::metadata(path)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
