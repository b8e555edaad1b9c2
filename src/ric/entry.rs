//! Which program this is: the name it was called by decides.
//!
//! `bootstrap` and `lambda-entrypoint.sh` take the handler as their only argument and become the runtime if a Runtime API
//! is there, else the emulator; `aws-lambda-rie` is the emulator; every other name is python.

use std::ffi::{CString, OsStr, OsString, c_int};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::system::{self, Program};
use crate::{builtin_module, emulator, ffi, version};

/// Exit code for a wrong number of arguments, as of the official images' entrypoint.
const NO_HANDLER: c_int = 142;
const NOT_EXECUTABLE: c_int = 126;
const NOT_FOUND: c_int = 127;

/// What to be.
#[derive(Debug, PartialEq, Eq)]
enum Role {
    Python,
    Runtime { handler: Option<OsString> },
    Emulator { arguments: Vec<OsString> },
    Refused,
}

/// What the environment says about the role.
struct Surroundings {
    has_runtime_api: bool,
    has_handler: bool,
}

fn role(arguments: &[OsString], surroundings: &Surroundings) -> Role {
    let (called, arguments) = arguments
        .split_first()
        .map_or((OsStr::new("python3"), &[][..]), |(called, rest)| {
            (Path::new(called).file_name().unwrap_or_default(), rest)
        });
    let entrypoint = match called.as_bytes() {
        b"bootstrap" => false,
        b"lambda-entrypoint.sh" => true,
        b"aws-lambda-rie" => {
            return Role::Emulator {
                arguments: arguments.to_vec(),
            };
        }
        _ => return Role::Python,
    };
    let handler = match arguments {
        [handler] => Some(handler.clone()),
        // The platform starts a runtime's bootstrap without arguments and names the handler in _HANDLER.
        [] if surroundings.has_handler && !entrypoint => None,
        _ => return Role::Refused,
    };
    if surroundings.has_runtime_api {
        return Role::Runtime { handler };
    }
    let bootstrap = system::folder("LAMBDA_RUNTIME_DIR", "/var/runtime").join("bootstrap");
    Role::Emulator {
        arguments: [Some(bootstrap.into_os_string()), handler]
            .into_iter()
            .flatten()
            .collect(),
    }
}

/// The program. Returns the exit code.
pub fn run(arguments: Vec<CString>) -> c_int {
    let words: Vec<OsString> = arguments
        .iter()
        .map(|word| OsString::from_vec(word.as_bytes().to_vec()))
        .collect();
    let surroundings = Surroundings {
        has_runtime_api: system::variable("AWS_LAMBDA_RUNTIME_API").is_some(),
        has_handler: system::variable("_HANDLER").is_some(),
    };
    match role(&words, &surroundings) {
        Role::Python => ffi::run_python(&arguments, builtin_module::install),
        Role::Runtime { handler } => run_runtime(&words, handler.as_deref()),
        Role::Emulator { arguments } => emulator::run(&words[0], &arguments),
        Role::Refused => {
            eprintln!("entrypoint requires the handler name to be the first argument");
            NO_HANDLER
        }
    }
}

/// Becomes python running bootstrap.py, in this process or behind the wrapper that the environment names.
fn run_runtime(words: &[OsString], handler: Option<&OsStr>) -> c_int {
    let called = words
        .first()
        .map_or(OsStr::new("bootstrap"), OsString::as_os_str);
    let python = system::executable(called);
    let script = system::folder("LAMBDA_RUNTIME_DIR", "/var/runtime").join("bootstrap.py");
    let name = format!("AWS_Lambda_python{}", version::short());
    let mut environment = vec![("AWS_EXECUTION_ENV", OsStr::new(&name))];
    environment.extend(handler.map(|handler| ("_HANDLER", handler)));
    if let Some(wrapper) = system::variable("AWS_LAMBDA_EXEC_WRAPPER") {
        return wrap(
            &wrapper,
            &[python.as_os_str(), script.as_os_str()],
            &environment,
        );
    }
    for (name, value) in environment {
        ffi::set_variable(name, value);
    }
    let arguments = [python.into_os_string(), script.into_os_string()];
    let arguments = arguments.map(|word| CString::new(word.into_vec()).unwrap_or_default());
    ffi::run_python(&arguments, builtin_module::install)
}

fn wrap(wrapper: &OsStr, command: &[&OsStr], environment: &[(&str, &OsStr)]) -> c_int {
    let name = wrapper.to_string_lossy();
    match system::program(Path::new(wrapper)) {
        Program::Missing => {
            eprintln!("{name}: does not exist");
            NOT_FOUND
        }
        Program::NotExecutable => {
            eprintln!("{name}: is not an executable");
            NOT_EXECUTABLE
        }
        Program::Executable => {
            let error = system::become_program(Path::new(wrapper), command, environment);
            eprintln!("{name}: {error}");
            NOT_EXECUTABLE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn the_name_decides() {
        let runtime = |handler: &str| Role::Runtime {
            handler: Some(handler.into()),
        };
        let emulator = |arguments: &str| Role::Emulator {
            arguments: words(arguments),
        };
        for (command, has_runtime_api, has_handler, expected) in [
            ("/var/lang/bin/python3.13 -c pass", true, true, Role::Python),
            ("python", false, false, Role::Python),
            (
                "/var/runtime/bootstrap app.handler",
                true,
                false,
                runtime("app.handler"),
            ),
            ("bootstrap app.handler", true, true, runtime("app.handler")),
            ("bootstrap", true, true, Role::Runtime { handler: None }),
            ("bootstrap", true, false, Role::Refused),
            ("bootstrap a b", true, true, Role::Refused),
            ("/lambda-entrypoint.sh", true, true, Role::Refused),
            ("/lambda-entrypoint.sh a.h", true, false, runtime("a.h")),
            (
                "/lambda-entrypoint.sh a.h",
                false,
                false,
                emulator("/var/runtime/bootstrap a.h"),
            ),
            ("bootstrap", false, true, emulator("/var/runtime/bootstrap")),
            (
                "/usr/local/bin/aws-lambda-rie x y",
                true,
                true,
                emulator("x y"),
            ),
        ] {
            let surroundings = Surroundings {
                has_runtime_api,
                has_handler,
            };
            assert_eq!(role(&words(command), &surroundings), expected, "{command}");
        }
    }
}
