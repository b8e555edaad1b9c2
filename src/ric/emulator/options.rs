//! The emulator's command line: the options of AWS's emulator and one more, then the runtime's command.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where invocations come in.
    pub invoke_address: String,
    /// Where the runtime asks for work. Without an address of the user's, another port is taken if this one is in use.
    pub runtime_api_address: Option<String>,
    /// Where extensions are.
    pub extensions_folder: PathBuf,
    /// The runtime and its arguments. Empty: look for a bootstrap.
    pub command: Vec<OsString>,
}

impl Options {
    /// Reads the arguments after the program's name. The error is for the user.
    pub fn parse(arguments: &[OsString]) -> Result<Self, String> {
        let mut options = Self {
            invoke_address: "0.0.0.0:8080".to_owned(),
            runtime_api_address: None,
            extensions_folder: PathBuf::from("/opt/extensions"),
            command: Vec::new(),
        };
        let mut rest = arguments.iter();
        while let Some(word) = rest.next() {
            let Some(option) = word.to_str().filter(|word| word.starts_with("--")) else {
                options.command.push(word.clone());
                options.command.extend(rest.cloned());
                break;
            };
            let (name, inline) = option
                .split_once('=')
                .map_or((option, None), |(name, value)| (name, Some(value)));
            let mut value = || {
                let next = || rest.next().and_then(|value| value.to_str());
                let value = inline.or_else(next).map(str::to_owned);
                value.ok_or_else(|| format!("{name} needs a value"))
            };
            match name {
                "--runtime-interface-emulator-address" => {
                    options.invoke_address = address(&value()?)?
                }
                "--runtime-api-address" => options.runtime_api_address = Some(address(&value()?)?),
                "--extensions-folder" => options.extensions_folder = value()?.into(),
                // Accepted for compatibility: this emulator logs its errors only.
                "--log-level" => drop(value()?),
                "--" => {
                    options.command.extend(rest.cloned());
                    break;
                }
                _ => return Err(format!("unknown option {name}")),
            }
        }
        Ok(options)
    }

    /// The handler that the command ends with, if it has more than one word.
    pub fn handler(&self) -> Option<&OsStr> {
        self.command.get(1..)?.last().map(OsString::as_os_str)
    }
}

/// `:8080` means every interface, as in Go.
fn address(text: &str) -> Result<String, String> {
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| format!("{text}: expected HOST:PORT"))?;
    port.parse::<u16>()
        .map_err(|_| format!("{text}: no port"))?;
    Ok(if host.is_empty() {
        format!("0.0.0.0:{port}")
    } else {
        text.to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        Options::parse(
            &text
                .split_whitespace()
                .map(OsString::from)
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn the_official_options_come_before_the_command() {
        let options = parse(
            "--log-level debug --extensions-folder e --runtime-interface-emulator-address 127.0.0.1:9 --runtime-api-address=:7 boot --x app.h",
        )
        .unwrap();
        assert_eq!(options.invoke_address, "127.0.0.1:9");
        assert_eq!(options.runtime_api_address.as_deref(), Some("0.0.0.0:7"));
        assert_eq!(options.extensions_folder, PathBuf::from("e"));
        assert_eq!(options.command, ["boot", "--x", "app.h"]);
        assert_eq!(options.handler(), Some(OsStr::new("app.h")));
    }

    #[test]
    fn one_word_is_no_handler() {
        let options = parse("/var/runtime/bootstrap").unwrap();
        assert_eq!(
            (options.handler(), options.invoke_address.as_str()),
            (None, "0.0.0.0:8080")
        );
        assert_eq!(options.runtime_api_address, None);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("--nope", "unknown option --nope"),
            ("--log-level", "--log-level needs a value"),
            ("--runtime-api-address 9001", "9001: expected HOST:PORT"),
            ("--runtime-api-address a:b", "a:b: no port"),
        ] {
            assert_eq!(parse(text), Err(expected.to_owned()));
        }
    }
}
