//! The reference of settings, for the README of this folder.

use clap::{Arg, Command};

use super::{PREFIX, setting_of, settings};

/// A table of all settings.
pub(crate) fn reference(command: &Command) -> String {
    let mut table =
        "| In the file | In the environment | On the command line | Of | Meaning |\n|---|---|---|---|---|\n"
            .to_owned();
    for (name, arg) in settings(command) {
        let of =
            if arg.is_global_set() { "every command".to_owned() } else { users(command, &name).join(", ") };
        table.push_str(&format!(
            "| `{name}` | `{PREFIX}{}` | `--{}` | {of} | {} |\n",
            name.to_uppercase(),
            arg.get_long().unwrap_or_default(),
            meaning(&arg),
        ));
    }
    table
}

fn meaning(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default =
        if defaults.is_empty() { String::new() } else { format!(" [default: {}]", defaults.join(", ")) };
    let possible: Vec<String> =
        arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let possible = if possible.is_empty() { String::new() } else { format!(" [{}]", possible.join(", ")) };
    format!("{help}{possible}{default}").replace('|', "\\|")
}

/// The commands that have a setting, by their words.
fn users(command: &Command, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for below in command.get_subcommands() {
        if below.get_arguments().any(|arg| setting_of(arg).as_deref() == Some(name)) {
            found.push(format!("`{}`", below.get_name()));
        }
        found.extend(
            users(below, name)
                .into_iter()
                .map(|user| format!("`{} {}", below.get_name(), user.trim_start_matches('`'))),
        );
    }
    found
}
