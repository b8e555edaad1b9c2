//! What the emulated function is configured for, from the emulator's own environment.

use std::ffi::OsString;
use std::time::Duration;

use crate::system;

/// The function's settings; each is an environment variable with the default of AWS's emulator.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// `AWS_LAMBDA_FUNCTION_NAME`
    pub function_name: String,
    /// `AWS_LAMBDA_FUNCTION_VERSION`
    pub function_version: String,
    /// `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`, in MB; only reported, not enforced.
    pub memory_size: String,
    /// `AWS_LAMBDA_FUNCTION_TIMEOUT`, in whole seconds; the initialisation may take as long.
    pub timeout: Duration,
    /// `AWS_ACCOUNT_ID`
    pub account_id: String,
    /// `AWS_REGION`, else `AWS_DEFAULT_REGION`
    pub region: String,
    /// `AWS_LAMBDA_FUNCTION_HANDLER`, else `_HANDLER`
    pub handler: Option<String>,
    /// `AWS_LAMBDA_MAX_CONCURRENCY`: so many events at once in one environment. None: one at a time.
    pub max_concurrency: Option<usize>,
    /// `AWS_LAMBDA_INITIALIZATION_TYPE`
    pub initialization_type: String,
    /// Whether `AWS_LAMBDA_LOG_FORMAT` is JSON.
    pub logs_json: bool,
    log_group: String,
    log_stream: String,
}

impl Configuration {
    /// Reads the environment. The error is for the user.
    pub fn from_environment() -> Result<Self, String> {
        let text = |name: &str, default: &str| {
            system::text_variable(name).unwrap_or_else(|| default.to_owned())
        };
        let max_concurrency = number("AWS_LAMBDA_MAX_CONCURRENCY")?;
        let initialization_type = match max_concurrency {
            Some(_) => "lambda-managed-instances",
            None => "on-demand",
        };
        Ok(Self {
            function_name: text("AWS_LAMBDA_FUNCTION_NAME", "test_function"),
            function_version: text("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            memory_size: number("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")?
                .unwrap_or(3008)
                .to_string(),
            timeout: Duration::from_secs(
                number("AWS_LAMBDA_FUNCTION_TIMEOUT")?.unwrap_or(300) as u64
            ),
            account_id: text("AWS_ACCOUNT_ID", "012345678912"),
            region: system::text_variable("AWS_REGION")
                .unwrap_or_else(|| text("AWS_DEFAULT_REGION", "us-east-1")),
            handler: system::text_variable("AWS_LAMBDA_FUNCTION_HANDLER")
                .or_else(|| system::text_variable("_HANDLER")),
            max_concurrency,
            initialization_type: text("AWS_LAMBDA_INITIALIZATION_TYPE", initialization_type),
            logs_json: text("AWS_LAMBDA_LOG_FORMAT", "").eq_ignore_ascii_case("json"),
            log_group: text("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/Functions"),
            log_stream: text("AWS_LAMBDA_LOG_STREAM_NAME", "$LATEST"),
        })
    }

    /// The function's ARN, as in events.
    pub fn arn(&self) -> String {
        let Self {
            region,
            account_id,
            function_name,
            ..
        } = self;
        format!("arn:aws:lambda:{region}:{account_id}:function:{function_name}")
    }

    /// Whether a caller means this function: by its name, its ARN, parts of that, or the word that AWS's emulator knows.
    pub fn is_called(&self, name: &str) -> bool {
        let arn = self.arn();
        let without_qualifier = match name.rsplit_once(':') {
            Some((rest, _)) if rest == self.function_name || rest == arn => rest,
            _ => name,
        };
        without_qualifier == "function"
            || without_qualifier == self.function_name
            || without_qualifier == arn
            || without_qualifier == format!("{}:function:{}", self.account_id, self.function_name)
    }

    /// What runtime and extensions find in their environment beyond what the emulator itself has.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut environment = vec![
            ("AWS_LAMBDA_FUNCTION_NAME", (&self.function_name).into()),
            (
                "AWS_LAMBDA_FUNCTION_VERSION",
                (&self.function_version).into(),
            ),
            (
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
                (&self.memory_size).into(),
            ),
            ("AWS_LAMBDA_LOG_GROUP_NAME", (&self.log_group).into()),
            ("AWS_LAMBDA_LOG_STREAM_NAME", (&self.log_stream).into()),
            (
                "AWS_LAMBDA_INITIALIZATION_TYPE",
                (&self.initialization_type).into(),
            ),
        ];
        environment.extend(
            self.handler
                .as_ref()
                .map(|handler| ("_HANDLER", handler.into())),
        );
        environment
    }
}

/// A positive whole number.
fn number(name: &str) -> Result<Option<usize>, String> {
    const MOST: usize = 1_000_000;
    let Some(text) = system::text_variable(name) else {
        return Ok(None);
    };
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=MOST).contains(number));
    number
        .map(Some)
        .ok_or_else(|| format!("{name} is {text:?}: expected a whole number from 1 to {MOST}"))
}
