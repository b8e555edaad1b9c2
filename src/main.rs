//! The command line: parse, run, render the error, exit code.

fn main() -> std::process::ExitCode {
    imgbuild::cli::main().into()
}
