//! The emulator as AWS's own SDK sees it: boto3, unchanged, with `endpoint_url`.

use std::path::{Path, PathBuf};

use super::Emulator;
use crate::function::{Function, function};
use crate::host;

/// The version that the images have.
const PACKAGE: &str = "boto3==1.44.5";

const SOURCE: &str = r#"
import os, time
def pieces(event):
    for number in range(event["pieces"]):
        yield ("piece %d;" % number) + "x" * event.get("size", 0)
        time.sleep(event.get("pause", 0))
    if "error" in event: raise ValueError(event["error"])
def handler(event, context):
    if not isinstance(event, dict): return event
    if "print" in event: print("z" * event["print"])
    if "pieces" in event: return pieces(event)
    if "raise" in event: raise ValueError(event["raise"])
    if "exit" in event: os._exit(event["exit"])
    if "sleep" in event: time.sleep(event["sleep"])
    if "large" in event: return "x" * event["large"]
    return {"event": event, "context": context.client_context and context.client_context.custom,
        "tenant": context.tenant_id, "arn": context.invoked_function_arn}
"#;

/// A folder with boto3, installed once. None, after a loud word, without a package index.
fn boto3(f: &Function) -> Option<PathBuf> {
    let minor = f.executable.minor;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sdk-{minor}"));
    let done = folder.join(PACKAGE);
    if done.exists() {
        return Some(folder);
    }
    let mut pip = host::command("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--only-binary", ":all:"])
        .args([
            "--disable-pip-version-check",
            "--root-user-action",
            "ignore",
        ])
        .args(["--target"])
        .arg(&folder)
        .arg(PACKAGE);
    let output = pip.output().unwrap();
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        eprintln!("SKIPPED: {PACKAGE} cannot be installed: {error}");
        return None;
    }
    host::write(&done, "");
    Some(folder)
}

#[test]
fn boto3_invokes_and_streams() {
    let Some(f) = function(SOURCE) else { return };
    let Some(packages) = boto3(&f) else { return };
    let f = f.variable("AWS_LAMBDA_FUNCTION_TIMEOUT", "2");
    let emulator = Emulator::start(&f);
    let script = f.folder.join("sdk.py");
    host::write(&script, include_str!("sdk.py"));
    let output = f
        .command(f.executable.python.to_str().unwrap())
        .arg(script)
        .arg(format!("http://{}", emulator.address))
        .env("PYTHONPATH", packages)
        .output()
        .unwrap();
    let (_, stdout, stderr) = emulator.stop();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{said}\n--- emulator\n{stdout}\n{stderr}"
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n");
}
