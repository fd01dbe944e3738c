//! Arguments, logging, configuration, run, exit code.

use std::process::ExitCode;

use clap::error::ErrorKind;
use sluicegate::cli::{Cli, Command};
use sluicegate::config::{Config, LogFormat};
use sluicegate::gateway::check::Findings;
use sluicegate::{config, demo, gateway, telemetry};

/// The exit code for a mistake in the configuration or on the command line (`EX_USAGE` of sysexits.h).
const USAGE: u8 = 64;

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
    }
}

enum Failed {
    Configuration(String),
    Running(anyhow::Error),
}

impl From<config::Mistakes> for Failed {
    fn from(mistakes: config::Mistakes) -> Self {
        Self::Configuration(mistakes.to_string())
    }
}

fn run(command: Command) -> Result<(), Failed> {
    match command {
        Command::Serve(sources) => {
            let config = config::load(&sources)?;
            start(&config);
            block_on(gateway::run(config, sources))
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
    }
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
    telemetry::init(
        config.log.format == LogFormat::Json,
        config.log.level.as_str(),
    );
    // Fails only if a provider is installed already, and ours is the only one in this program.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Runs on the control runtime: one thread for management, files and the store beside the data threads.
fn block_on<T, E>(run: impl Future<Output = Result<T, E>>) -> Result<T, Failed>
where
    anyhow::Error: From<E>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failed::Running(error.into()))?;
    runtime
        .block_on(run)
        .map_err(|error| Failed::Running(error.into()))
}

#[expect(clippy::print_stderr, reason = "the process ends with this message")]
fn complain(message: &str) {
    eprintln!("{message}");
}
