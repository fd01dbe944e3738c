//! The arguments of `sluicegate functions`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::SettingFlags;
use crate::config::{Secret, Sources};

/// Where a gateway is looked for if nobody says where it is.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// The variable that holds the gateway's address.
const URL_VARIABLE: &str = "SLUICEGATE_URL";

/// The variables that may hold an administrator's key, the first that is there counts.
const KEY_VARIABLES: &[&str] = &["SLUICEGATE_KEY", "SLUICEGATE_ADMIN_KEY"];

/// What `sluicegate functions` does.
#[derive(Clone, Debug)]
pub enum FunctionsCommand {
    /// Runs one file without a gateway.
    Test {
        /// What to run on what.
        trial: Trial,
        /// Where settings are read from.
        sources: Sources,
        /// Whether machines read what is printed.
        is_json: bool,
    },
    /// Manages the functions of a gateway that runs.
    Manage {
        /// The gateway's address.
        url: String,
        /// An administrator's key.
        key: Option<Secret>,
        /// What to do there.
        action: Action,
        /// Whether machines read what is printed.
        is_json: bool,
    },
}

/// One function file, and what it is run on.
#[derive(Args, Clone, Debug)]
pub struct Trial {
    /// The function's file; its name is the function's id.
    pub file: PathBuf,
    /// File with the request's body, JSON; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    pub body: PathBuf,
    /// Run only this handler; can be given several times. [default: all that the function has]
    #[arg(long = "handler", value_name = "NAME", value_parser = ["inlet", "request", "stream", "outlet", "pipe"])]
    pub handlers: Vec<String>,
    /// File with the function's valves, JSON.
    #[arg(long, value_name = "FILE")]
    pub valves: Option<PathBuf>,
    /// File with the user's valves, JSON.
    #[arg(long, value_name = "FILE")]
    pub user_valves: Option<PathBuf>,
    /// File with the events of an answer, a stream as it is sent or one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub stream_events: Option<PathBuf>,
}

/// What is done at a gateway that runs.
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    /// List the functions.
    List,
    /// Upload a new function.
    Add {
        /// Its file.
        file: PathBuf,
        /// Its id. [default: the file's name]
        #[arg(long)]
        id: Option<String>,
        /// Its name for people. [default: its title, else the id]
        #[arg(long)]
        name: Option<String>,
        /// Turn it on.
        #[arg(long)]
        enable: bool,
        /// Let it, a filter or an action, be for every model; turns it on too.
        #[arg(long)]
        global: bool,
    },
    /// Replace a function's code.
    Update {
        /// Its id.
        id: String,
        /// The file with its code.
        file: PathBuf,
    },
    /// Turn a function on.
    Enable {
        /// Its id.
        id: String,
        /// Let it, a filter or an action, be for every model.
        #[arg(long)]
        global: bool,
    },
    /// Turn a function off.
    Disable {
        /// Its id.
        id: String,
    },
    /// Show a function's valves, or set some.
    Valves {
        /// Its id.
        id: String,
        /// Values to set, each NAME=VALUE; VALUE is JSON or else text, and `null` goes back to the default.
        values: Vec<String>,
        /// File with values to set, JSON.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// List the versions of a function.
    History {
        /// Its id.
        id: String,
    },
    /// Let an earlier version of a function serve again, with the valves that it last served with.
    Rollback {
        /// Its id.
        id: String,
        /// The version. [default: the one before the one that serves]
        version: Option<String>,
        /// Keep the valves that serve now.
        #[arg(long)]
        keep_valves: bool,
    },
    /// Write all functions as JSON.
    Export {
        /// With the values of their valves, secrets included.
        #[arg(long)]
        valves: bool,
        /// The file to write. [default: standard output]
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Put the functions of an export in place: all of them, or none.
    Import {
        /// The export.
        file: PathBuf,
        /// Remove all others.
        #[arg(long)]
        sync: bool,
    },
    /// List the Python environments of the functions.
    Environments,
}

/// The arguments as they are written.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Address of the gateway [default: http://127.0.0.1:8080] [variable: SLUICEGATE_URL]
    #[arg(long, global = true)]
    url: Option<String>,
    /// Key of an administrator [variable: SLUICEGATE_KEY]
    #[arg(long, global = true, value_parser = secret)]
    key: Option<Secret>,
    /// Print JSON, for machines
    #[arg(long = "json", global = true)]
    is_json: bool,
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Run one function file on a request, without a gateway, and show each stage.
    Test {
        #[command(flatten)]
        trial: Trial,
        #[command(flatten)]
        settings: Box<SettingFlags>,
    },
    #[command(flatten)]
    Manage(Action),
}

impl Arguments {
    pub(super) fn into_command(self, env: BTreeMap<String, String>) -> FunctionsCommand {
        let variable = |name: &&str| env.get(*name).filter(|value| !value.is_empty());
        let url = self.url.or_else(|| variable(&URL_VARIABLE).cloned());
        let key = || KEY_VARIABLES.iter().find_map(variable).map(Secret::new);
        let (key, is_json) = (self.key.or_else(key), self.is_json);
        match self.command {
            Subcommands::Test { trial, settings } => FunctionsCommand::Test {
                trial,
                sources: settings.into_sources(env),
                is_json,
            },
            Subcommands::Manage(action) => FunctionsCommand::Manage {
                url: url.unwrap_or_else(|| DEFAULT_URL.to_owned()),
                key,
                action,
                is_json,
            },
        }
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the shape that clap asks for, which also knows parsers that fail"
)]
fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}
