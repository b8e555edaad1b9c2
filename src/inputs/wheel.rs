//! Wheels, through pip: the user's own configuration, indexes and proxies. The file's tags say which of a version's
//! wheels to ask for, so that any Python can fetch a wheel for another one.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::origins::Reason;
use crate::process::{Captured, Process, ProcessError};

/// Leaves the wheel in `dir`.
pub(super) fn fetch(
    name: &str,
    version: &str,
    filename: &str,
    dir: &Path,
) -> Result<PathBuf, Reason> {
    let Some(tags) = tags(filename) else {
        return Err(Reason::Unusable(format!(
            "{filename} is not the name of a wheel"
        )));
    };
    let mut arguments = vec![
        "download".to_owned(),
        "--quiet".to_owned(),
        "--no-deps".to_owned(),
        "--only-binary=:all:".to_owned(),
        // The image's Python matters, not the one that runs pip.
        "--ignore-requires-python".to_owned(),
        "--no-input".to_owned(),
    ];
    arguments.extend(tags);
    arguments.push("--dest=.".to_owned());
    arguments.push(format!("{name}=={version}"));
    pip(&arguments, dir)?;
    let file = dir.join(filename);
    if file.is_file() {
        Ok(file)
    } else {
        Err(Reason::NoFile("pip", filename.to_owned()))
    }
}

/// Runs the user's pip, by whatever name it is there, in a folder.
pub fn pip<A: AsRef<OsStr>>(arguments: &[A], dir: &Path) -> Result<Captured, ProcessError> {
    match run(Process::inheriting("pip3"), arguments, dir) {
        Err(error) if error.is_missing() => {
            let module = Process::inheriting("python3").args(["-m", "pip"]);
            run(module, arguments, dir).map_err(without_pip)
        }
        result => result,
    }
}

fn run<A: AsRef<OsStr>>(
    process: Process,
    arguments: &[A],
    dir: &Path,
) -> Result<Captured, ProcessError> {
    process
        .package("python3-pip")
        .args(arguments)
        .current_dir(dir)
        // Wheels found in a local folder would hide the index's.
        .env("PIP_FIND_LINKS", "")
        .env("PIP_REQUIRE_VIRTUALENV", "0")
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .run()
}

/// A Python without its pip module is as good as no pip.
fn without_pip(error: ProcessError) -> ProcessError {
    if error.is_missing() || error.tail().contains("No module named pip") {
        ProcessError::Missing {
            program: "pip".to_owned(),
            package: Some("python3-pip"),
        }
    } else {
        error
    }
}

/// pip's arguments for the tags of `NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl`.
fn tags(filename: &str) -> Option<Vec<String>> {
    let parts: Vec<&str> = filename.strip_suffix(".whl")?.split('-').collect();
    let [_, _, rest @ ..] = parts.as_slice() else {
        return None;
    };
    let [python, abi, platform] = rest[rest.len().checked_sub(3)?..] else {
        return None;
    };
    let python = python.split('.').next_back()?;
    let digits = python.find(|c: char| c.is_ascii_digit())?;
    let (implementation, version) = python.split_at(digits);
    let mut arguments = vec![format!("--implementation={implementation}")];
    if version.len() > 1 {
        arguments.push(format!("--python-version={version}"));
    }
    arguments.extend(abi.split('.').map(|abi| format!("--abi={abi}")));
    arguments.extend(
        platform
            .split('.')
            .map(|platform| format!("--platform={platform}")),
    );
    Some(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_wheel_names() {
        let table = [
            (
                "six-1.17.0-py2.py3-none-any.whl",
                "--implementation=py --abi=none --platform=any",
            ),
            (
                "ziglang-0.15.2-py3-none-manylinux_2_12_x86_64.manylinux2010_x86_64.whl",
                "--implementation=py --abi=none --platform=manylinux_2_12_x86_64 --platform=manylinux2010_x86_64",
            ),
            (
                "simplejson-4.3.0-cp313-cp313-manylinux2014_aarch64.whl",
                "--implementation=cp --python-version=313 --abi=cp313 --platform=manylinux2014_aarch64",
            ),
            (
                "x-1-2-cp39-abi3-linux_x86_64.whl",
                "--implementation=cp --python-version=39 --abi=abi3 --platform=linux_x86_64",
            ),
        ];
        for (name, arguments) in table {
            assert_eq!(tags(name).unwrap().join(" "), arguments, "{name}");
        }
        for bad in [
            "six-1.17.0.tar.gz",
            "six.whl",
            "a-b-c-d.whl",
            "../x-1-py3-none.whl",
        ] {
            assert_eq!(tags(bad), None, "{bad}");
        }
    }
}
