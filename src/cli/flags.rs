//! The command line as it is typed. Nothing is looked up or checked beyond its form.

mod cache;
mod limits;
mod publish;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use oci::registry::Url;

use crate::arch::Arch;
use crate::build::{Isolation, StepLimits};
pub use cache::{Cache, Prune};
pub use limits::Limits;
pub use publish::{Attach, Copy, Diff, Inspect, Push};

/// Builds Lambda-ready Python base images without Docker and without root.
#[derive(Debug, Parser)]
#[command(
    name = "imgbuild",
    version,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true
)]
pub struct Flags {
    /// What to do; without one, RECIPE is built.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// `imgbuild RECIPE` is `imgbuild build RECIPE`.
    #[command(flatten)]
    pub build: Option<Build>,
    /// For every command.
    #[command(flatten)]
    pub common: Common,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Attach files to an image in a registry: an SBOM, a signature
    Attach(Attach),
    /// Build a recipe's image into an OCI layout
    Build(Build),
    /// Show, shrink and check the folder where inputs and finished steps are kept
    #[command(subcommand)]
    Cache(Cache),
    /// Copy an image between layouts, tarballs and registries, byte for byte
    Copy(Copy),
    /// Show what differs between two images; exit code 3 if anything does
    Diff(Diff),
    /// Show what an image is
    Inspect(Inspect),
    /// Run a function in a built image, without root and without Docker
    Invoke(Invoke),
    /// Show the recipes
    List,
    /// Write a recipe's lock: every input, by digest
    Lock(Lock),
    /// Push a built image to a registry
    Push(Push),
    /// Make the profile that a recipe's interpreter is compiled with
    Train(Train),
    /// Look for newer versions, and write recipe and lock together
    Update(Update),
    /// Recompute an image from its bytes, check what Lambda accepts, and audit its programs
    Verify(Verify),
}

/// Flags of every command.
#[derive(Debug, Args)]
pub struct Common {
    /// Where inputs and finished steps are kept [default: $XDG_CACHE_HOME/imgbuild]
    #[arg(long, global = true, value_name = "DIR", env = "IMGBUILD_CACHE")]
    pub cache_dir: Option<PathBuf>,
    /// Another cache, of which only is read: what --cache-dir lacks is taken from there
    #[arg(long, global = true, value_name = "DIR", env = "IMGBUILD_CACHE_LOWER")]
    pub cache_lower: Option<PathBuf>,
    /// Say nothing but the result and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// How the result is written to stdout
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// How registries and other servers are reached.
    #[command(flatten)]
    pub network: Network,
    /// What builds read and may do.
    #[command(flatten)]
    pub steps: Steps,
    /// What archives from elsewhere may ask for.
    #[command(flatten)]
    pub limits: Limits,
}

/// Where the inputs of builds come from and how their scripts are held. What the environment may say is a flag of every
/// command: beside `imgbuild RECIPE`, clap takes a flag of a single command that is set there for the beginning of a build.
#[derive(Clone, Debug, Args)]
pub struct Steps {
    /// A folder of inputs, tried before every other origin; may be repeated
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "IMGBUILD_MIRROR",
        value_delimiter = ':'
    )]
    pub mirror: Vec<PathBuf>,
    /// What one step may use, as in memory=8G,processes=512,disk=20G,time=2h [default: 90 % of the memory, 4096, 32G, 4h]
    #[arg(
        long,
        global = true,
        value_name = "LIMITS",
        env = "IMGBUILD_STEP_LIMITS"
    )]
    pub step_limits: Option<StepLimits>,
    /// Whether scripts run in a sandbox. `off` is for a container of its own that allows none: they get the paths /imgbuild
    /// and /var/lang, and may do whatever you may; the image says so
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "IMGBUILD_SANDBOX"
    )]
    pub sandbox: Isolation,
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people and for `$(…)`.
    Text,
    /// For machines.
    Json,
}

/// `imgbuild build`.
#[derive(Debug, Args)]
pub struct Build {
    /// A recipe's name (see `imgbuild list`) or the path of a recipe file
    pub recipe: String,
    /// Replace one key of the recipe, as in python.version=3.13.15
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<(String, String)>,
    /// The folder that receives the OCI layout `RECIPE`, or `RECIPE-ARCH` for another machine type than this one's
    #[arg(long, short, value_name = "DIR", default_value = "dist")]
    pub output: PathBuf,
    /// The machine type of the image: amd64, arm64, or both with a comma between [default: this machine's]
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(Arch))]
    pub arch: Vec<Arch>,
    /// Write a file for `docker load`, too
    #[arg(long, value_name = "FILE")]
    pub tarball: Option<PathBuf>,
    /// Fail unless the lock is exactly what the recipe, the base definitions and the catalogue of sources ask for
    #[arg(long)]
    pub locked: bool,
    /// Fail instead of using another version or another base than the recipe's
    #[arg(long)]
    pub no_fallback: bool,
    /// Look again for inputs that an earlier build could not reach
    #[arg(long)]
    pub refresh: bool,
    /// How many compilers run at a time [default: the number of cores]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub jobs: Option<u32>,
}

/// `imgbuild invoke`.
#[derive(Debug, Args)]
pub struct Invoke {
    /// A recipe's name: its image in DIR is run; or the path of a layout
    pub image: String,
    /// The folder that becomes /var/task
    #[arg(long, value_name = "DIR")]
    pub code: PathBuf,
    /// The function, as in app.handler
    #[arg(long)]
    pub handler: String,
    /// The event: JSON, @FILE, or - for stdin
    #[arg(long, default_value = "{}")]
    pub event: String,
    /// An environment variable of the function; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub env: Vec<(String, String)>,
    /// Seconds until the function is stopped
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=900))]
    pub timeout: u32,
    /// Megabytes of memory above which the function is stopped
    #[arg(long, value_name = "MB", default_value_t = 3008, value_parser = clap::value_parser!(u32).range(128..=10240))]
    pub memory_size: u32,
    /// Megabytes of /tmp
    #[arg(long, value_name = "MB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(512..=10240))]
    pub ephemeral_storage: u32,
    /// The folder that holds built images
    #[arg(long, short, value_name = "DIR", default_value = "dist")]
    pub output: PathBuf,
}

/// `imgbuild lock`.
#[derive(Debug, Args)]
pub struct Lock {
    /// The recipes [default: all of ./recipes]
    pub recipes: Vec<String>,
    /// Write nothing: only say whether the locks are what the recipes, base definitions and sources ask for
    #[arg(long)]
    pub check: bool,
}

/// `imgbuild train`.
#[derive(Debug, Args)]
pub struct Train {
    /// A recipe's name or the path of a recipe file; the profile goes into the folder `profiles` beside it
    pub recipe: String,
    /// What the interpreter does while it counts
    #[arg(long, value_enum, default_value_t = Workload::Both)]
    pub workload: Workload,
    /// How many compilers and tests run at a time [default: the number of cores]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub jobs: Option<u32>,
}

/// What an interpreter does in its training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// What functions do: JSON, the SDK, TLS, dates, asyncio, logging, many starts
    Functions,
    /// CPython's own choice of its tests
    Cpython,
    /// Both, the functions four times
    Both,
}

/// `imgbuild update`. Without any of the parts' flags, all parts are updated.
#[derive(Debug, Args)]
pub struct Update {
    /// The recipes [default: all of ./recipes]
    pub recipes: Vec<String>,
    /// CPython's newest patch release
    #[arg(long)]
    pub python: bool,
    /// The newest boto3, and the newest of what it needs
    #[arg(long)]
    pub sdk: bool,
    /// The newest packages of bases that are put together from packages
    #[arg(long)]
    pub base: bool,
    /// The newest patch releases of the C libraries, pip and setuptools
    #[arg(long)]
    pub libraries: bool,
    /// Only show what is newer
    #[arg(long)]
    pub dry_run: bool,
}

/// `imgbuild verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// A recipe's name: its image in DIR is checked; a layout or tarball, as in ./PATH[:NAME]; or HOST/REPOSITORY:TAG
    #[arg(required_unless_present = "rules")]
    pub image: Option<String>,
    /// What the image is to run on
    #[arg(long, value_enum, default_value_t = VerifyTarget::Lambda)]
    pub target: VerifyTarget,
    /// Which image of an index: amd64 or arm64
    #[arg(long, value_parser = clap::value_parser!(Arch))]
    pub arch: Option<Arch>,
    /// Audit the programs of every layer, not only of those that were made here
    #[arg(long)]
    pub all: bool,
    /// Print the rules instead
    #[arg(long, conflicts_with = "image")]
    pub rules: bool,
    /// The folder that holds built images
    #[arg(long, short, value_name = "DIR", default_value = "dist")]
    pub output: PathBuf,
}

/// What an image is to run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum VerifyTarget {
    /// AWS Lambda: all rules
    Lambda,
    /// Any container runtime: the rules without those that only Lambda has
    Any,
}

const NETWORK: &str = "Network";
/// What else the network is made of.
const ENVIRONMENT: &str = "\
Logins, of the first that knows the registry:
  DOCKER_AUTH_CONFIG                        docker's configuration as a text
  REGISTRY_AUTH_FILE                        a file like podman's auth.json
  $DOCKER_CONFIG or ~/.docker, config.json  with credHelpers and credsStore
  $XDG_RUNTIME_DIR or ~/.config, containers/auth.json
Proxies, never for this machine: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY";

/// Flags of every command that speaks to registries or web servers.
#[derive(Clone, Debug, Default, Args)]
#[command(after_long_help = ENVIRONMENT)]
pub struct Network {
    /// A host (with its port) that speaks http without TLS; may be repeated. Registries on this machine do, unless
    /// --ca-cert or --insecure says that they speak TLS
    #[arg(long, global = true, value_name = "HOST", value_delimiter = ',', value_parser = host, help_heading = NETWORK)]
    pub plain_http: Vec<String>,
    /// A host (with its port) whose certificate is not verified; may be repeated
    #[arg(long, global = true, value_name = "HOST", value_delimiter = ',', value_parser = host, help_heading = NETWORK)]
    pub insecure: Vec<String>,
    /// Certificates, in PEM form, of CAs to trust besides the system's [also: SSL_CERT_FILE, SSL_CERT_DIR]
    #[arg(long, global = true, value_name = "FILE", help_heading = NETWORK)]
    pub ca_cert: Option<PathBuf>,
}

fn host(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    let is_host = !text.is_empty() && text.chars().all(plain);
    let url = Url::parse(&format!("http://{text}/"));
    match url {
        Ok(url) if is_host && url.has_host() => Ok(text.to_ascii_lowercase()),
        _ => Err("expected HOST or HOST:PORT".to_owned()),
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}
