//! How often a server forces what it has written onto the disk.

use std::fs::File;
use std::path::Path;

/// The configuration that servers started here run with.
const CONFIGURATION: &str = include_str!("../../../../deploy/nats/nats-server.conf");
/// The setting in it.
const SETTING: &str = "sync_interval:";
/// Its value for before each write is confirmed.
const ALWAYS: &str = "always";

/// As the configuration says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sync {
    /// From this start on: `2m`, or `always`.
    pub(crate) now: String,
    /// Until this start, if the folder was used before.
    before: Option<String>,
}

impl Sync {
    /// Writes the configuration of a server on a data folder. What was written before into the folder of one that is to
    /// be durable is forced onto the disk first.
    pub(super) fn configure(data: &Path, configuration: &Path, durable: bool) -> std::io::Result<Self> {
        let before = std::fs::read_to_string(configuration).ok().and_then(|text| interval(&text));
        let text = text(durable);
        std::fs::write(configuration, &text)?;
        if durable {
            force(data)?;
        }
        Ok(Self { now: interval(&text).unwrap_or_default(), before })
    }

    /// Whether each write is on the disk before it is confirmed.
    pub(crate) fn is_always(&self) -> bool {
        self.now == ALWAYS
    }

    /// What is to be said of a folder that was used otherwise before.
    pub(crate) fn change(&self) -> Option<&'static str> {
        let was_always = self.before.as_ref()? == ALWAYS;
        match (was_always, self.is_always()) {
            (false, true) => Some(
                "Until now this folder was used without --durable; what was stored in it then is on the disk as well.",
            ),
            (true, false) => Some(
                "Until now this folder was used with --durable; what comes in from now on is not as safe as what is there.",
            ),
            _ => None,
        }
    }
}

fn text(durable: bool) -> String {
    if !durable {
        return CONFIGURATION.to_owned();
    }
    let line = |line: &str| match line.find(SETTING).filter(|_| !line.trim_start().starts_with('#')) {
        Some(begin) => format!("{}{SETTING} {ALWAYS}\n", &line[..begin]),
        None => format!("{line}\n"),
    };
    CONFIGURATION.lines().map(line).collect()
}

/// What a configuration says.
fn interval(text: &str) -> Option<String> {
    let setting = text.lines().find_map(|line| line.trim().strip_prefix(SETTING))?;
    Some(setting.trim().trim_matches('"').to_owned())
}

/// Forces a folder with all that is in it onto the disk.
fn force(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            force(&path)?;
        } else if path.is_file() {
            File::open(&path)?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_the_disk_is_what_is_configured() {
        assert_eq!(interval(&text(false)).as_deref(), Some("2m"));
        assert_eq!(interval(&text(true)).as_deref(), Some(ALWAYS));
        let differing =
            text(false).lines().zip(text(true).lines()).filter(|(one, other)| one != other).count();
        assert_eq!((differing, text(false).lines().count()), (1, text(true).lines().count()));
    }
}
