//! Inputs → profile: an interpreter that counts runs what Lambda functions do, and what it counted is summed up.

use oci::ImagePath;

use super::BuildError;
use super::inputs::Inputs;
use super::packages::Packages;
use super::pipeline::{cpython_environment, filename, libraries, setup};
use super::scripts;
use super::step::{File, Step};
use super::toolchain::Toolchain;
use super::workshop::Workshop;
use crate::arch::Arch;
use crate::recipe::Python;

/// What the counting interpreter runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// `scripts/training`: what functions do.
    Functions,
    /// CPython's own choice of its tests.
    Cpython,
    /// Both; a run of the functions counts four times as much.
    Both,
}

impl Workload {
    /// The file in the step's output.
    fn file(self) -> &'static str {
        match self {
            Self::Functions => "functions.profdata",
            Self::Cpython => "cpython.profdata",
            Self::Both => "both.profdata",
        }
    }
}

/// What a training saw.
pub struct Training {
    /// The profile, as clang reads it.
    pub profdata: Vec<u8>,
    /// The functions that run while an interpreter starts, one per line.
    pub start: String,
}

/// Counts what an interpreter does. That is not deterministic: the next training differs a little.
pub fn train(
    python: &Python,
    inputs: &Inputs,
    arch: Arch,
    glibc: &str,
    workload: Workload,
    workshop: &Workshop,
) -> Result<Training, BuildError> {
    let toolchain = Toolchain::unpack(&inputs.toolchain, arch, arch, glibc, workshop)?;
    let llvm = Packages::unpack("llvm", &inputs.llvm, workshop)?;
    let mut environment = cpython_environment(python, inputs, &toolchain);
    environment.insert("OPTIMIZE", "train".to_owned());
    let mut files = setup(python);
    for (name, text) in scripts::training() {
        files.insert(name, File::Text(text));
    }
    for wheel in &inputs.sdk {
        files.insert(format!("wheels/{}", filename(wheel)), File::Input(wheel));
    }
    let step = Step {
        title: format!("profile of cpython {}", inputs.cpython.artifact.version),
        script: "cpython.sh",
        source: Some(&inputs.cpython),
        files,
        dependencies: libraries(&inputs.libraries, &toolchain, workshop)?,
        tools: vec![toolchain.tool(), llvm.tool()],
        environment,
        ..Step::default()
    };
    let output = step.output(workshop)?;
    let tree = workshop.tree(&output)?;
    let read = |name: &str| -> Result<Vec<u8>, BuildError> {
        let path: ImagePath = name.parse().expect("a plain name");
        Ok(tree.read(&path)?)
    };
    Ok(Training {
        profdata: read(workload.file())?,
        start: String::from_utf8_lossy(&read("start")?).into_owned(),
    })
}
