//! `imgbuild invoke`: a function runs in a built image; its answer goes to stdout, its log to stderr.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use oci::{Image, ImagePath, Layout, Tree};

use super::{CommandError, layout_dir};
use crate::arch::Arch;
use crate::build::{Exceeded, Qemu, SANDBOX_PROGRAM, Sandbox, StepLimits, Watch};
use crate::cli::flags;
use crate::cli::settings::Settings;
use crate::inputs::{Progress, Store, StoreError};
use crate::process::family::end_sandbox;
use crate::process::{Child, Process};

/// Where the sandbox has the program that runs another machine's: a folder of the sandbox's own.
const QEMU: &str = "/dev/qemu";
/// Lambda's own limit, and the sandbox's and the emulator's processes.
const PROCESSES: u64 = 1024 + 3;
/// The time in which the emulator has to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the function once. Exit code 1 when the function reports an error.
pub fn run(settings: &Settings, flags: &flags::Invoke) -> Result<u8> {
    let event = event(&flags.event)?;
    if !flags.code.is_dir() {
        let message = format!("{} is not a folder", flags.code.display());
        return Err(CommandError::new(
            message,
            "--code names the folder that holds the function's file",
        )
        .into());
    }
    let code = std::path::absolute(&flags.code)?;
    let image = Layout::open(&layout_dir(&flags.image, &flags.output))?.image()?;
    let qemu = qemu(&image)?;
    let store = settings.store(Progress::new(settings.progress))?;
    let root = root_of(&image, &store)?;
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let address = format!("127.0.0.1:{port}");
    let mut sandbox =
        Sandbox::in_image(&root, bytes(flags.ephemeral_storage)).read_only(&code, "/var/task");
    for (name, value) in environment(&image)?.iter().chain(&flags.env) {
        sandbox = sandbox.env(name, value);
    }
    sandbox = sandbox
        .env("AWS_LAMBDA_FUNCTION_TIMEOUT", flags.timeout.to_string())
        .env(
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            flags.memory_size.to_string(),
        )
        .folder("/var/task");
    let mut emulated: &[&str] = &[];
    if let Some(qemu) = &qemu {
        sandbox = sandbox.read_only(qemu.program(), QEMU);
        emulated = &[QEMU];
    }
    let environment = [
        "/usr/local/bin/aws-lambda-rie",
        "--runtime-interface-emulator-address",
        &address,
    ];
    let runtime = ["/var/runtime/bootstrap", &flags.handler];
    let command = [emulated, &environment, emulated, &runtime].concat();
    let arguments = sandbox.arguments(&command);
    let (program, package) = SANDBOX_PROGRAM;
    let mut child = Process::cleared(program)
        .package(package)
        .args(arguments)
        .spawn()?;
    let watch = Watch::new(limits(flags), None);
    let (answered, exceeded) = watched(child.id(), watch, || ask(&address, &mut child, event));
    drop(child);
    if let Some(exceeded) = exceeded {
        let hint = match exceeded {
            Exceeded::Memory(_) => "if it needs more, allow it with --memory-size",
            _ => "Lambda would not let it do that either",
        };
        let message = format!("the function was stopped: {exceeded}");
        return Err(CommandError::new(message, hint).into());
    }
    let (failed, body) = answered?;
    let mut stdout = std::io::stdout();
    stdout.write_all(&body)?;
    writeln!(stdout)?;
    Ok(u8::from(failed))
}

/// What Lambda lets a function use.
fn limits(flags: &flags::Invoke) -> StepLimits {
    StepLimits {
        memory: bytes(flags.memory_size),
        processes: PROCESSES,
        // The emulator sees to the function's time, and the function to the emulator's if it means to.
        time: Duration::from_secs(u64::from(flags.timeout) * 2) + PATIENCE * 2,
        ..StepLimits::default()
    }
}

fn bytes(megabytes: u32) -> u64 {
    u64::from(megabytes) << 20
}

/// Does something while a sandbox runs, and ends the sandbox when it uses too much.
fn watched<T>(sandbox: u32, mut watch: Watch, act: impl FnOnce() -> T) -> (T, Option<Exceeded>) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                if let Some(exceeded) = watch.look(sandbox) {
                    end_sandbox(sandbox);
                    return Some(exceeded);
                }
                thread::sleep(Duration::from_millis(20));
            }
            None
        });
        let result = act();
        done.store(true, Ordering::Relaxed);
        (result, watching.join().expect("looking does not panic"))
    })
}

/// Whether the function failed, and what it said.
fn ask(address: &str, child: &mut Child, event: Vec<u8>) -> Result<(bool, Vec<u8>)> {
    wait_for(address, child)?;
    let answer = oci::registry::http::loopback_client()?
        .post(format!(
            "http://{address}/2015-03-31/functions/function/invocations"
        ))
        .body(event)
        .send()
        .context("the emulator did not answer")?;
    let failed =
        !answer.status().is_success() || answer.headers().contains_key("x-amz-function-error");
    let body = answer
        .bytes()
        .context("the emulator did not answer in full")?;
    Ok((failed, body.to_vec()))
}

/// What runs the image's programs where this machine cannot; the kernel may know how.
fn qemu(image: &Image) -> Result<Option<Qemu>> {
    let config: serde_json::Value = serde_json::from_slice(image.config())?;
    let arch: Arch = config["architecture"]
        .as_str()
        .unwrap_or_default()
        .parse()?;
    if arch == Arch::host()? || Qemu::is_registered(arch) {
        return Ok(None);
    }
    let found = Qemu::find_static(arch, &Settings::path());
    found
        .map(Some)
        .with_context(|| format!("cannot run an image for {arch}"))
}

/// The event's bytes: JSON as it stands, a file's, or stdin's.
fn event(flag: &str) -> Result<Vec<u8>> {
    let bytes = match flag.strip_prefix('@') {
        Some(file) => fs_err::read(file)?,
        None if flag == "-" => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes)?;
            bytes
        }
        None => flag.as_bytes().to_vec(),
    };
    let checked = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes);
    checked.map_err(|e| {
        CommandError::new("the event is not JSON", "as in --event '{\"a\": 1}'").because(e.into())
    })?;
    Ok(bytes)
}

/// The variables that the image sets.
fn environment(image: &Image) -> Result<Vec<(String, String)>> {
    let config: serde_json::Value = serde_json::from_slice(image.config())?;
    let lines = config["config"]["Env"].as_array().into_iter().flatten();
    let pair = |line: &serde_json::Value| {
        let (name, value) = line.as_str()?.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    Ok(lines.filter_map(pair).collect())
}

/// The image's root file system in a folder, made once per image.
fn root_of(image: &Image, store: &Store) -> Result<std::path::PathBuf> {
    let digest = image.manifest_digest();
    store
        .directory(
            &format!("root-{}", &digest.0.hex()[..24]),
            |folder| -> Result<(), RootError> {
                let scratch = store.temporary()?;
                let mut root = image.root_tree(scratch.path())?;
                mount_points(&mut root)?;
                root.extract(folder)?;
                Ok(())
            },
        )
        .map_err(Into::into)
}

/// What the sandbox mounts must exist in the image.
fn mount_points(root: &mut Tree) -> Result<(), RootError> {
    for folder in ["proc", "dev", "tmp", "var/task"] {
        let path: ImagePath = folder.parse()?;
        if root.resolve(&path).is_err() {
            root.insert(path, oci::Entry::dir(0o755))?;
        }
    }
    let resolver: ImagePath = "etc/resolv.conf".parse()?;
    if root
        .get(&resolver)
        .is_none_or(|entry| !matches!(entry.kind, oci::Kind::File(_)))
    {
        root.insert(resolver, oci::Entry::file("", 0o644))?;
    }
    Ok(())
}

/// Why an image cannot be unpacked.
#[derive(Debug, thiserror::Error)]
enum RootError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Root(#[from] oci::root::RootError),
    #[error(transparent)]
    Tree(#[from] oci::tree::TreeError),
    #[error(transparent)]
    Path(#[from] oci::path::InvalidPath),
}

/// Waits until the emulator listens.
fn wait_for(address: &str, child: &mut Child) -> Result<()> {
    let started = Instant::now();
    while TcpStream::connect(address).is_err() {
        if let Some(status) = child.ended()? {
            return Err(anyhow!(
                "the image's emulator ended ({status}) before it could be asked"
            ));
        }
        if started.elapsed() > PATIENCE {
            bail!(
                "the image's emulator did not start within {} s",
                PATIENCE.as_secs()
            );
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
