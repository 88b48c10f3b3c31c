//! What the program finds in its environment.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use tokio::process::Command;

use super::ExecError;
use crate::runner::{Facts, NAMES};
use crate::secret::PREFIX;

/// What the settings of the connection begin with: passwords, tokens and keys among them.
const CONNECTION: &str = "MESH_NATS_";
/// Where the servers are; a user and password may stand in it.
const URL: &str = "MESH_NATS_URL";
/// Path of a public certificate.
const CA: &str = "MESH_NATS_CA";

/// Whether these variables can be set.
pub(super) fn check<'a>(
    variables: impl Iterator<Item = (&'a OsString, &'a OsString)>,
) -> Result<(), ExecError> {
    for (name, value) in variables {
        let refuse = |reason| Err(ExecError::Variable { name: name.to_string_lossy().into_owned(), reason });
        if name.is_empty() || name.as_bytes().contains(&b'=') {
            return refuse("a name has at least one character and no '='");
        }
        if name.as_bytes().contains(&0) || value.as_bytes().contains(&0) {
            return refuse("an environment cannot hold a NUL");
        }
        if NAMES.iter().any(|(taken, _)| name == taken) {
            return refuse("it is set for every task: choose another name");
        }
    }
    Ok(())
}

/// Takes what is secret out of the inherited environment, and puts in what there is to know of the task.
pub(super) fn prepare<'a>(
    command: &mut Command,
    variables: impl Iterator<Item = (&'a OsString, &'a OsString)>,
    facts: Facts,
) {
    for (name, _) in std::env::vars_os().filter(|(name, value)| is_secret(name, value)) {
        command.env_remove(name);
    }
    command.envs(variables);
    for ((name, _), value) in NAMES.iter().zip(facts) {
        match value {
            Some(value) => command.env(name, value.replace('\0', "\u{fffd}")),
            // An agent may itself have been started for a task: what it was told is not for this one.
            None => command.env_remove(name),
        };
    }
}

/// Whether an inherited variable is not to be passed on. What is not known to be harmless counts as secret.
fn is_secret(name: &OsStr, value: &OsStr) -> bool {
    let is_harmless = name == CA || (name == URL && !value.as_bytes().contains(&b'@'));
    let is_of = |prefix: &str| name.as_bytes().starts_with(prefix.as_bytes());
    is_of(PREFIX) || (is_of(CONNECTION) && !is_harmless)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str, value: &str) -> bool {
        is_secret(OsStr::new(name), OsStr::new(value))
    }

    #[test]
    fn what_is_secret_is_known() {
        for name in [
            "MESH_NATS_PASSWORD",
            "MESH_NATS_TOKEN",
            "MESH_NATS_CREDS",
            "MESH_NATS_OF_TOMORROW",
            "MESH_SECRET_KEY",
        ] {
            assert!(secret(name, "x"), "{name}");
        }
        assert!(secret("MESH_NATS_URL", "nats://user:password@host:4222"));
        assert!(!secret("MESH_NATS_URL", "nats://host:4222"));
        assert!(!secret("MESH_NATS_CA", "/etc/ca.pem"));
        assert!(!secret("MESH_NAMESPACE", "mesh"));
        assert!(!secret("HOME", "/root"));
    }

    #[test]
    fn a_command_gets_what_is_known_and_nothing_of_before() {
        let mut command = Command::new("sh");
        let mut facts: Facts = std::array::from_fn(|_| None);
        facts[0] = Some("run\0 1".to_owned());
        let given = [(OsString::from("COLOUR"), OsString::from("blue"))];
        prepare(&mut command, given.iter().map(|(name, value)| (name, value)), facts);
        let set: Vec<_> = command.as_std().get_envs().collect();
        assert!(set.contains(&(OsStr::new("COLOUR"), Some(OsStr::new("blue")))));
        assert!(set.contains(&(OsStr::new("MESH_RUN_ID"), Some(OsStr::new("run\u{fffd} 1")))));
        assert!(set.contains(&(OsStr::new("MESH_ACTION"), None)));
    }

    #[test]
    fn variables_that_cannot_be_set_are_refused() {
        let refused = |name: &str, value: &str| {
            let variable = (OsString::from(name), OsString::from(value));
            check(std::iter::once((&variable.0, &variable.1))).is_err()
        };
        assert!(refused("", "x") && refused("A=B", "x") && refused("A", "\0") && refused("TRACEPARENT", "x"));
        assert!(!refused("A", "") && !refused("MESH_NATS_TOKEN", "x"));
    }
}
