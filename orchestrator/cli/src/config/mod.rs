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

use clap::{Arg, ArgAction, Args, Command};

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
pub(crate) fn refuse(error: &clap::Error, command: &Command) -> ! {
    // Nothing can be told of a pipe that nobody reads.
    let _ = error.print();
    if let Some(clap::error::ContextValue::String(told)) = error.get(clap::error::ContextKind::InvalidArg) {
        let flag = told.split([' ', '=']).next().unwrap_or_default();
        let is_typed = std::env::args().any(|typed| typed.split('=').next() == Some(flag));
        let setting = settings(command)
            .into_iter()
            .find(|(_, arg)| Some(flag) == arg.get_long().map(|long| format!("--{long}")).as_deref());
        if let Some((name, _)) = setting.filter(|_| !is_typed) {
            let variable = format!("{PREFIX}{}", name.to_uppercase());
            if std::env::var_os(&variable).is_some_and(|value| !value.is_empty()) {
                eprintln!("note: the value is from {variable} in the environment");
            }
        }
    }
    std::process::exit(error.exit_code())
}

/// Whether an argument takes a value.
fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}
