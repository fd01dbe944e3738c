//! Arguments, logging, configuration, run, exit code.

use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;
use sluicegate::cli::{Cli, Command, FunctionsCommand};
use sluicegate::commands::manage::Remote;
use sluicegate::commands::trial;
use sluicegate::config::{Config, LogFormat};
use sluicegate::gateway::Hangups;
use sluicegate::gateway::check::Findings;
use sluicegate::{config, demo, gateway, telemetry};
use tokio::runtime::Runtime;

/// The exit code for a mistake in the configuration or on the command line (`EX_USAGE` of sysexits.h).
const USAGE: u8 = 64;

/// The log level of commands that print what they are for.
const QUIET: &str = "error";

fn main() -> ExitCode {
    let command = match Cli::parse_from(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => {
            // Fails only if the terminal is gone.
            let _ = error.print();
            let asked = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            return if asked {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(USAGE)
            };
        }
    };
    let outcome = run(command);
    telemetry::flush();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Configuration(mistakes)) => {
            complain(&mistakes);
            ExitCode::from(USAGE)
        }
        Err(Failed::Running(error)) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
        Err(Failed::Shown) => ExitCode::FAILURE,
    }
}

enum Failed {
    Configuration(String),
    Running(anyhow::Error),
    /// What was printed says it.
    Shown,
}

impl Failed {
    fn running(error: impl Into<anyhow::Error>) -> Self {
        Self::Running(error.into())
    }
}

impl From<config::Mistakes> for Failed {
    fn from(mistakes: config::Mistakes) -> Self {
        Self::Configuration(mistakes.to_string())
    }
}

fn run(command: Command) -> Result<(), Failed> {
    match command {
        Command::Serve { sources, upgrade } => {
            let runtime = runtime()?;
            // First of all: from here on a HUP does not end the process.
            let hangups = runtime.block_on(async { Hangups::receive() });
            let config = config::load(&sources)?;
            start(&config);
            let running = gateway::run(config, sources, upgrade, hangups);
            runtime.block_on(running).map_err(Failed::running)
        }
        Command::Check(sources) => {
            let config = config::load(&sources)?;
            start(&config);
            block_on(gateway::check::check(&config)).and_then(|findings| show(&findings))
        }
        Command::Demo { sources, tour } => {
            let config = demo::configure(sources)?;
            start(&config);
            block_on(demo::run(config, tour))
        }
        Command::Functions(functions) => run_functions(functions),
    }
}

fn run_functions(functions: FunctionsCommand) -> Result<(), Failed> {
    match functions {
        FunctionsCommand::Test {
            trial,
            sources,
            is_json,
        } => {
            let config = config::load(&sources)?;
            prepare(false, QUIET);
            let report = block_on(trial::run(&trial, &config))?;
            if is_json {
                print(&format!("{:#}\n", report.to_json()));
            } else {
                print(&report.to_string());
            }
            report.is_good().then_some(()).ok_or(Failed::Shown)
        }
        FunctionsCommand::Manage {
            url,
            key,
            action,
            is_json,
        } => {
            prepare(false, QUIET);
            let remote = Remote::new(&url, key).map_err(|error| Failed::Running(error.into()))?;
            let shown = block_on(remote.run(action))?;
            if is_json {
                print(&format!("{:#}\n", shown.json));
            } else {
                print(&shown.text);
            }
            Ok(())
        }
    }
}

/// Prints what a command is for. A reader that has gone is no failure.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Prints what a check found; what must be mended ends it with the code for that.
#[expect(
    clippy::print_stdout,
    reason = "what was found is what the command is for"
)]
fn show(findings: &Findings) -> Result<(), Failed> {
    findings.good.iter().for_each(|line| println!("ok: {line}"));
    findings
        .warnings
        .iter()
        .for_each(|line| println!("warning: {line}"));
    if findings.mistakes.is_empty() {
        return Ok(());
    }
    Err(Failed::Configuration(findings.mistakes.join("\n")))
}

fn start(config: &Config) {
    prepare(
        config.log.format == LogFormat::Json,
        config.log.level.as_str(),
    );
}

fn prepare(is_json: bool, level: &str) {
    telemetry::init(is_json, level);
    // Fails only if a provider is installed already, and ours is the only one in this program.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Runs on the control runtime: one thread for management, files and the store beside the data threads.
fn block_on<T, E>(run: impl Future<Output = Result<T, E>>) -> Result<T, Failed>
where
    anyhow::Error: From<E>,
{
    runtime()?.block_on(run).map_err(Failed::running)
}

fn runtime() -> Result<Runtime, Failed> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build();
    runtime.map_err(Failed::running)
}

#[expect(clippy::print_stderr, reason = "the process ends with this message")]
fn complain(message: &str) {
    eprintln!("{message}");
}
