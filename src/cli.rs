//! The command line: which command, and where its settings come from.

mod functions;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches, Parser, Subcommand};

pub use self::functions::{Action, FunctionsCommand, Trial};

use crate::config::{FILE_VARIABLE, Kind, SETTINGS, Setting, Sources};

/// The file that is read if none is named and it is there.
const DEFAULT_FILE: &str = "sluicegate.toml";

/// What to do.
#[derive(Clone, Debug)]
pub enum Command {
    /// Serve until told to end.
    Serve {
        /// Where settings are read from.
        sources: Sources,
        /// Take over from the gateway that serves now.
        upgrade: bool,
    },
    /// Check the configuration and every function.
    Check(Sources),
    /// Serve an embedded model and sample functions.
    Demo {
        /// Where settings are read from.
        sources: Sources,
        /// Show what the gateway does, then end.
        tour: bool,
    },
    /// Try a function out, or manage those of a gateway that runs.
    Functions(FunctionsCommand),
}

/// The command line of `sluicegate`.
#[derive(Clone, Copy, Debug)]
pub struct Cli;

impl Cli {
    /// Reads arguments, the program's name first, beside the environment of this process.
    ///
    /// # Errors
    ///
    /// If they are wrong, and also when help or the version was asked for.
    pub fn parse_from<I>(args: I) -> Result<Command, clap::Error>
    where
        I: IntoIterator,
        I::Item: Into<OsString> + Clone,
    {
        let text = |text: OsString| text.to_string_lossy().into_owned();
        let env = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        Self::parse_with(args, env.collect())
    }

    /// Reads arguments beside this environment.
    ///
    /// # Errors
    ///
    /// If they are wrong, and also when help or the version was asked for.
    pub fn parse_with<I>(args: I, env: BTreeMap<String, String>) -> Result<Command, clap::Error>
    where
        I: IntoIterator,
        I::Item: Into<OsString> + Clone,
    {
        let arguments = Arguments::try_parse_from(args)?;
        Ok(match arguments.command {
            Subcommands::Serve { settings, upgrade } => Command::Serve {
                sources: settings.into_sources(env),
                upgrade,
            },
            Subcommands::Check(settings) => Command::Check(settings.into_sources(env)),
            Subcommands::Demo { settings, tour } => Command::Demo {
                sources: settings.into_sources(env),
                tour,
            },
            Subcommands::Functions(functions) => Command::Functions(functions.into_command(env)),
        })
    }
}

/// Gateway for OpenAI-compatible model servers that runs Open WebUI functions on every chat.
#[derive(Debug, Parser)]
#[command(name = "sluicegate", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Serve until told to end.
    Serve {
        #[command(flatten)]
        settings: SettingFlags,
        /// Take sockets and data folder over from the gateway that serves on this data_dir, which then ends; nobody is
        /// refused or cut off.
        #[arg(long)]
        upgrade: bool,
    },
    /// Check the configuration and every function of the folder, without serving.
    Check(SettingFlags),
    /// Serve an embedded model and sample functions, to try things out.
    Demo {
        #[command(flatten)]
        settings: SettingFlags,
        /// Show what the gateway does with a few requests, then end.
        #[arg(long)]
        tour: bool,
    },
    /// Try a function out, or manage those of a gateway that runs.
    Functions(functions::Arguments),
}

/// The file, and a flag for every setting.
#[derive(Debug)]
struct SettingFlags {
    file: Option<PathBuf>,
    flags: Flags,
}

/// Texts of flags by the keys of their settings.
struct Flags(BTreeMap<&'static str, String>);

impl std::fmt::Debug for Flags {
    /// Names only: a flag may hold a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl SettingFlags {
    fn into_sources(self, env: BTreeMap<String, String>) -> Sources {
        let named = env.get(FILE_VARIABLE).filter(|file| !file.is_empty());
        let named = self.file.or_else(|| named.map(PathBuf::from));
        let default = || Some(PathBuf::from(DEFAULT_FILE)).filter(|file| Path::exists(file));
        Sources {
            file: named.or_else(default),
            flags: self.flags.0,
            env,
        }
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = SETTINGS.iter().filter_map(|setting| {
            let texts = matches.get_many::<String>(setting.key)?;
            let texts: Vec<&str> = texts.map(String::as_str).collect();
            Some((setting.key, texts.join(",")))
        });
        Ok(Self {
            file: matches.get_one::<PathBuf>("config").cloned(),
            flags: Flags(given.collect()),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for SettingFlags {
    fn augment_args(command: clap::Command) -> clap::Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("PATH")
            .value_parser(clap::value_parser!(PathBuf))
            .help(format!(
                "Configuration file [default: {DEFAULT_FILE}, if there] [variable: {FILE_VARIABLE}]"
            ));
        command.arg(file).args(SETTINGS.iter().map(flag))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

/// The flag of a setting. Its text is checked with the other sources, so that all mistakes are told
/// together.
fn flag(setting: &'static Setting) -> Arg {
    let flag = Arg::new(setting.key)
        .long(setting.flag())
        .value_name(setting.kind.placeholder())
        .help(help(setting))
        .help_heading(heading(setting.section()));
    match setting.kind {
        Kind::Bool => flag
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        Kind::List => flag.action(ArgAction::Append),
        _ => flag,
    }
}

fn help(setting: &Setting) -> String {
    let words = match setting.kind {
        Kind::Choice(words) => format!(" [words: {}]", words.join(", ")),
        _ => String::new(),
    };
    let default = match setting.default {
        "" => String::new(),
        default => format!(" [default: {default}]"),
    };
    let short = setting.short_variable().map(|name| format!(" or {name}"));
    let short = short.unwrap_or_default();
    let sentence = setting.help.trim_end_matches('.');
    let variable = setting.variable();
    format!("{sentence}{words}{default} [variable: {variable}{short}]")
}

fn heading(section: &str) -> &'static str {
    match section {
        "tls" => "TLS",
        "limits" => "Limits",
        "log" => "Log",
        "auth" => "Callers",
        "models" => "Models",
        "upstream" => "Upstreams",
        "functions" => "Functions",
        "python" => "Python",
        _ => "Server",
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn serve(args: &[&str], env: &[(&str, &str)]) -> Sources {
        let env = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let args = ["sluicegate", "serve"].iter().chain(args);
        match Cli::parse_with(args, env.collect()) {
            Ok(Command::Serve {
                sources,
                upgrade: false,
            }) => sources,
            other => panic!("not served: {other:?}"),
        }
    }

    #[test]
    fn clap_finds_nothing_wrong() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_setting_has_a_flag_with_its_default_and_variable() {
        let mut command = Arguments::command();
        for name in ["serve", "check", "demo"] {
            let subcommand = command.find_subcommand_mut(name).unwrap();
            let help = subcommand
                .clone()
                .term_width(0)
                .render_long_help()
                .to_string();
            for setting in SETTINGS {
                assert!(
                    help.contains(&format!("--{}", setting.flag())),
                    "{}",
                    setting.key
                );
                assert!(help.contains(&setting.variable()), "{}", setting.key);
                assert!(help.contains(setting.default), "{}", setting.key);
            }
        }
    }

    #[test]
    fn flags_are_kept_by_key() {
        let args = ["--listen", "[::1]:1", "--log-prints", "--python-base=false"];
        let lists = ["--python-approved", "a,b", "--python-approved=c"];
        let sources = serve(&[&args[..], &lists[..]].concat(), &[]);
        let flags: Vec<_> = sources
            .flags
            .iter()
            .map(|(key, text)| (*key, text.as_str()))
            .collect();
        let expected = [
            ("listen", "[::1]:1"),
            ("log.prints", "true"),
            ("python.approved", "a,b,c"),
            ("python.base", "false"),
        ];
        assert_eq!(flags, expected);
    }

    #[test]
    fn the_file_comes_from_the_flag_before_the_variable() {
        let env = [(FILE_VARIABLE, "variable.toml")];
        let by_flag = serve(&["--config", "flag.toml"], &env);
        assert_eq!(by_flag.file.as_deref(), Some(Path::new("flag.toml")));
        let by_variable = serve(&[], &env);
        assert_eq!(
            by_variable.file.as_deref(),
            Some(Path::new("variable.toml"))
        );
        assert_eq!(serve(&[], &[]).file, None);
    }

    #[test]
    fn serving_can_be_an_upgrade() {
        let command = Cli::parse_with(["sluicegate", "serve", "--upgrade"], BTreeMap::new());
        assert!(matches!(command, Ok(Command::Serve { upgrade: true, .. })));
    }

    #[test]
    fn demo_can_be_a_tour() {
        let command = Cli::parse_with(["sluicegate", "demo", "--tour"], BTreeMap::new());
        assert!(matches!(command, Ok(Command::Demo { tour: true, .. })));
    }

    #[test]
    fn functions_are_managed_with_the_key_of_flag_or_variable() {
        let env = [("SLUICEGATE_KEY", "canary"), ("SLUICEGATE_URL", "http://h")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let args = ["sluicegate", "functions", "enable", "x", "--global"];
        let command = Cli::parse_with(args, env.into()).unwrap();
        assert!(!format!("{command:?}").contains("canary"));
        let Command::Functions(FunctionsCommand::Manage {
            url,
            key,
            action: Action::Enable { id, global: true },
            is_json: false,
        }) = command
        else {
            panic!("not that command: {command:?}");
        };
        assert_eq!((url.as_str(), id.as_str()), ("http://h", "x"));
        assert_eq!(key.unwrap().reveal(), "canary");
    }

    #[test]
    fn unknown_flags_and_missing_commands_are_refused() {
        for args in [
            &["sluicegate", "serve", "--lissten", "x"][..],
            &["sluicegate"],
            &["sluicegate", "sing"],
        ] {
            assert!(Cli::parse_with(args, BTreeMap::new()).is_err(), "{args:?}");
        }
    }

    #[test]
    fn keys_in_flags_are_not_in_debug_output() {
        let sources = serve(&["--auth-admin-key", "canary"], &[("NAME", "canary")]);
        assert!(!format!("{sources:?}").contains("canary"));
    }
}
