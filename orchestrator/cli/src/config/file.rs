use std::path::{Path, PathBuf};

use clap::{Arg, Command};
use mesh_schemas::ErrorCode;
use mesh_schemas::document::{Format, Setting, nearest, settings as read_settings};

use crate::failure::Failure;

use super::{PREFIX, settings, takes_value};

/// What the variables begin with in which agents find secrets, whose names anybody may choose.
const SECRETS: &str = "MESH_SECRET_";
/// Variables that are no settings, but have our prefix: what the runners of agents tell the programs that they run,
/// and what tests and builds use.
const OTHER_VARIABLES: [&str; 13] = [
    "MESH_CONFIG",
    "MESH_RUN_ID",
    "MESH_WORKFLOW",
    "MESH_TASK",
    "MESH_ATTEMPT",
    "MESH_DELIVERY",
    "MESH_ACTION",
    "MESH_IDEMPOTENCY_KEY",
    "MESH_CORRELATION_ID",
    "MESH_DEADLINE",
    "MESH_AGENT",
    "MESH_CAPABILITY",
    "MESH_BIN",
];

/// A configuration file that was read.
#[derive(Default)]
pub(crate) struct ConfigFile {
    /// Where it is; none if there is none.
    pub(crate) path: Option<PathBuf>,
    settings: Vec<Setting>,
}

impl ConfigFile {
    /// Reads the file that is named, or the one in the usual place if there is one.
    pub(crate) fn read(named: Option<&Path>, command: &Command) -> anyhow::Result<Self> {
        let path = match named {
            Some(path) => path.to_owned(),
            None => match usual_place().filter(|path| path.is_file()) {
                Some(path) => path,
                None => return Ok(Self::default()),
            },
        };
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let message = format!("cannot read the configuration file {}: {error}", path.display());
            Failure::new(ErrorCode::UnreadableConfiguration, message)
        })?;
        let known = settings(command);
        let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
        let found = read_settings(&text, Format::of(&path), &names).map_err(|problems| {
            let lines = problems.0.iter().map(|problem| format!("\n{}:{problem}", path.display()));
            let message = format!("the configuration file cannot be used:{}", lines.collect::<String>());
            Failure::new(ErrorCode::InvalidConfiguration, message)
        })?;
        for setting in &found {
            if let Some((_, arg)) = known.iter().find(|(name, _)| *name == setting.key) {
                check(setting, arg).map_err(|reason| {
                    let (path, Setting { key, value, at }) = (path.display(), setting);
                    let message = format!("{path}:{at}: {key}: '{value}' is not possible: {reason}");
                    Failure::new(ErrorCode::InvalidConfiguration, message)
                })?;
            }
        }
        Ok(Self { path: Some(path), settings: found })
    }

    /// The value of a setting, if the file gives it.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|setting| setting.key == name).map(|setting| setting.value.as_str())
    }
}

/// Has the argument's own rule judge the value, so that a mistake is told with its place in the file.
fn check(setting: &Setting, arg: &Arg) -> Result<(), String> {
    let Some(long) = arg.get_long().filter(|_| takes_value(arg)) else { return Ok(()) };
    let alone = arg.clone().env(None::<&str>).required(false);
    let parsed = Command::new("setting")
        .arg(alone)
        .try_get_matches_from(["setting".to_owned(), format!("--{long}={}", setting.value)]);
    let Err(error) = parsed else { return Ok(()) };
    let text = error.to_string();
    let reason = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    Err(reason.rsplit_once(">': ").map_or(reason, |(_, reason)| reason).to_owned())
}

fn usual_place() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let configuration = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    configuration.map(|folder| folder.join("mesh").join("config.yaml"))
}

/// What to say about variables of the environment that look like misspelt settings. They are not refused: a cluster
/// gives every process variables about its services, and one of them may be called `mesh`.
pub(crate) fn misspelt(command: &Command) -> Vec<String> {
    let known: Vec<String> =
        settings(command).into_iter().map(|(name, _)| format!("{PREFIX}{}", name.to_uppercase())).collect();
    std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with(PREFIX))
        .filter(|name| !name.starts_with(SECRETS))
        .filter(|name| !known.contains(name) && !OTHER_VARIABLES.contains(&name.as_str()))
        .filter_map(|name| {
            let near = nearest(&name, known.iter().map(String::as_str))?;
            Some(format!("{name} in the environment is not a setting: did you mean {near}?"))
        })
        .collect()
}
