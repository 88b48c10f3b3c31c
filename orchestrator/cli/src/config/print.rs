use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use super::{ConfigFile, PREFIX, SECRETS, setting_of};

/// The settings that a command would run with, as a configuration file that says where each comes from.
pub(crate) fn effective(command: &Command, matches: &ArgMatches, file: &ConfigFile) -> String {
    let (path, command, matches) = leaf(command, matches);
    let mut text = format!("# Settings of `{path}`");
    if let Some(path) = &file.path {
        text.push_str(&format!(", with {}", path.display()));
    }
    text.push('\n');
    for arg in command.get_arguments() {
        let Some(name) = setting_of(arg) else { continue };
        let id = arg.get_id().as_str();
        let values = matches.try_get_raw(id).ok().flatten();
        let value = values.map(|raw| raw.map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(","));
        let Some(value) = value else {
            text.push_str(&format!("# {name}:\n"));
            continue;
        };
        let source = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => "command line".to_owned(),
            Some(ValueSource::EnvVariable) => format!("{PREFIX}{}", name.to_uppercase()),
            _ if file.value(&name).is_some() => "file".to_owned(),
            _ => "default".to_owned(),
        };
        if SECRETS.contains(&name.as_str()) {
            text.push_str(&format!("# {name}: (not shown)  # {source}\n"));
        } else {
            text.push_str(&format!("{name}: {}  # {source}\n", quoted(&value)));
        }
    }
    text
}

/// The command that was asked for, with what was given to it. Global arguments are everywhere.
fn leaf<'a>(command: &'a Command, matches: &'a ArgMatches) -> (String, &'a Command, &'a ArgMatches) {
    let (mut path, mut command, mut matches) = (command.get_name().to_owned(), command, matches);
    while let Some((name, below)) = matches.subcommand() {
        let Some(found) = command.find_subcommand(name) else { break };
        path = format!("{path} {name}");
        (command, matches) = (found, below);
    }
    (path, command, matches)
}

/// The value as YAML.
fn quoted(value: &str) -> String {
    let plain = !value.is_empty()
        && value.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:,@=+".contains(c))
        && value.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/' || c == '.')
        && !value.ends_with(':');
    if plain { value.to_owned() } else { serde_json::Value::from(value).to_string() }
}
