//! Settings, each with one name in three spellings: `nats_url` in the configuration file, `MESH_NATS_URL` in the
//! environment, `--nats-url` on the command line. The command line goes before the environment, and that before the
//! file.
//!
//! The arguments of the commands are the one typed definition of all settings: whatever can be given by the
//! environment is a setting. Values of the file take the place of the defaults.

mod file;
mod print;
#[cfg(test)]
mod reference;

use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Args, Command};
use mesh_telemetry::LogForm;

pub(crate) use file::{ConfigFile, misspelt};
pub(crate) use print::effective;
#[cfg(test)]
pub(crate) use reference::reference;

/// What the names of all settings begin with in the environment.
const PREFIX: &str = "MESH_";
/// Settings that are not shown.
const SECRETS: [&str; 3] = ["nats_password", "nats_token", "agent_header"];

/// Where settings come from, and a look at them.
#[derive(Args, Clone)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct Configuration {
    /// Configuration file [default: mesh/config.yaml in XDG_CONFIG_HOME or ~/.config, if it is there]
    #[arg(long, global = true, env = "MESH_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the settings that the command would run with, and where each is from; do nothing else
    #[arg(long, global = true)]
    pub(crate) print_config: bool,
    /// What to log: error, warn, info, debug, trace, or directives such as `info,mesh_bus=debug`
    #[arg(long, global = true, env = "MESH_LOG", value_name = "LEVEL")]
    pub(crate) log: Option<String>,
    /// In which form log lines are written: text for people, or json for programs, one object on each line [default: text]
    #[arg(long, global = true, env = "MESH_LOG_FORMAT", value_name = "FORM")]
    pub(crate) log_format: Option<LogForm>,
}

/// The name of the setting that an argument is, as it stands in the configuration file.
fn setting_of(arg: &Arg) -> Option<String> {
    // The file cannot say which file it is.
    let name = arg.get_env()?.to_str()?.strip_prefix(PREFIX)?.to_lowercase();
    (name != "config").then_some(name)
}

/// Every setting with the argument that it is, over all commands, each once.
fn settings(command: &Command) -> Vec<(String, Arg)> {
    let mut found: Vec<(String, Arg)> = Vec::new();
    collect(command, &mut found);
    found
}

fn collect(command: &Command, found: &mut Vec<(String, Arg)>) {
    for arg in command.get_arguments() {
        if let Some(name) = setting_of(arg)
            && !found.iter().any(|(known, _)| *known == name)
        {
            found.push((name, arg.clone()));
        }
    }
    command.get_subcommands().for_each(|command| collect(command, found));
}

/// The command with the file's values as defaults. Empty variables of the environment count as absent.
pub(crate) fn with_file(command: Command, file: &ConfigFile) -> Command {
    let command = command.mut_args(|arg| {
        let name = setting_of(&arg);
        let arg = match arg.get_env().map(std::env::var_os) {
            Some(Some(value)) if value.is_empty() => arg.env(None::<&str>),
            _ => arg,
        };
        match name.and_then(|name| file.value(&name)) {
            Some(value) => arg.default_value(value.to_owned()),
            None => arg,
        }
    });
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    names
        .into_iter()
        .fold(command, |command, name| command.mut_subcommand(name, |below| with_file(below, file)))
}

/// Tells what is wrong with the arguments, and ends. A value that was not typed is told with where it is from.
pub(crate) fn refuse(mut error: clap::Error, command: &Command) -> ! {
    as_if_nothing_were_set(&mut error, command);
    // Nothing can be told of a pipe that nobody reads.
    let _ = error.print();
    if let Some(ContextValue::String(told)) = error.get(ContextKind::InvalidArg) {
        let flag = told.split([' ', '=']).next().unwrap_or_default();
        let setting = settings(command)
            .into_iter()
            .find(|(_, arg)| Some(flag) == arg.get_long().map(|long| format!("--{long}")).as_deref());
        if let Some((name, _)) = setting.filter(|(name, _)| !is_typed(flag) && is_set(name)) {
            eprintln!("note: the value is from {PREFIX}{} in the environment", name.to_uppercase());
        }
    }
    std::process::exit(error.exit_code())
}

/// The usage without what the environment gives: the parser has that in it, as if it were required.
fn as_if_nothing_were_set(error: &mut clap::Error, command: &Command) {
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else { return };
    let mut text = usage.to_string();
    for (name, arg) in settings(command) {
        let Some(long) = arg.get_long().filter(|long| !is_typed(&format!("--{long}")) && is_set(&name))
        else {
            continue;
        };
        for value in arg.get_value_names().unwrap_or_default() {
            text = text.replace(&format!(" --{long} <{value}>"), "");
        }
    }
    error.insert(ContextKind::Usage, ContextValue::StyledStr(text.into()));
}

/// Whether the environment has a value for a setting.
fn is_set(setting: &str) -> bool {
    std::env::var_os(format!("{PREFIX}{}", setting.to_uppercase())).is_some_and(|value| !value.is_empty())
}

/// Whether a flag stands on the command line.
fn is_typed(flag: &str) -> bool {
    std::env::args().any(|typed| typed.split('=').next() == Some(flag))
}

/// Whether an argument takes a value.
fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}
