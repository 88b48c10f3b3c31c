use std::str::FromStr;
use std::time::Duration;

use mesh_agents::{Agent, AgentBuilder, Exec, Http};
use mesh_schemas::{Capability, ErrorCode};

use super::shell;
use crate::failure::Failure;

/// The one agent, in events and in what is shown.
const NAME: &str = "local";
/// What runs commands. The one that is beside every program of an agent anyway.
const SHELL: &str = "/bin/sh";
/// How long programs that nobody waits for any more get to end: longer than it takes to ask them, and to make them.
const DRAIN: Duration = Duration::from_secs(5);

/// What does the tasks of a capability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doer {
    pub(super) capability: Capability,
    means: Means,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Means {
    Command(String),
    Url(String),
}

impl FromStr for Doer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (capability, means) = text
            .split_once('=')
            .filter(|(_, means)| !means.trim().is_empty())
            .ok_or("write CAPABILITY=COMMAND, or CAPABILITY=URL for an HTTP service")?;
        let capability = Capability::new(capability).map_err(|error| error.to_string())?;
        let means = means.trim();
        let is_url = ["http://", "https://"]
            .iter()
            .any(|scheme| means.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme)));
        let means = if is_url { Means::Url(means.to_owned()) } else { Means::Command(means.to_owned()) };
        Ok(Self { capability, means })
    }
}

/// Tells which commands and URLs cannot be used, as far as that can be known without using them.
pub(super) async fn check(doers: &[Doer]) -> Result<(), Failure> {
    let mut code = None;
    let mut wrong = Vec::new();
    for Doer { capability, means } in doers {
        let (kind, reason) = match means {
            Means::Command(command) => match shell::check(SHELL, command).await {
                Ok(()) => continue,
                Err(reason) => {
                    (ErrorCode::NoProgram, format!("the command for '{capability}' cannot be run: {reason}"))
                }
            },
            Means::Url(url) => match Http::new(url).check() {
                Ok(()) => continue,
                Err(error) => (ErrorCode::BadUrl, format!("the service for '{capability}': {error}")),
            },
        };
        // Of several kinds, the first is the one to look up; each is told.
        code.get_or_insert(kind);
        wrong.push(reason);
    }
    code.map_or(Ok(()), |code| Err(Failure::new(code, wrong.join("\n"))))
}

/// The agent that all of them make.
pub(super) fn agent(doers: Vec<Doer>) -> AgentBuilder {
    let agent = Agent::builder(NAME).id(NAME).version(env!("CARGO_PKG_VERSION")).drain_timeout(DRAIN);
    doers.into_iter().fold(agent, |agent, Doer { capability, means }| match means {
        Means::Command(command) => agent.exec(capability.as_str(), Exec::new(SHELL).args(["-c", &command])),
        Means::Url(url) => agent.http(capability.as_str(), Http::new(url)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_tasks_is_a_command_or_a_url() {
        let means = |text: &str| text.parse::<Doer>().map(|doer| doer.means);
        let command = |text: &str| Ok(Means::Command(text.to_owned()));
        assert_eq!(means("a=jq '.n == 1'"), command("jq '.n == 1'"));
        assert_eq!(means("a= http GET :80 "), command("http GET :80"));
        assert_eq!(means("a=HTTPS://x"), Ok(Means::Url("HTTPS://x".to_owned())));
        assert_eq!(means("a=ö"), command("ö"));
        for wrong in ["a", "a=", "a= ", "=x", "A b=x"] {
            assert!(means(wrong).is_err(), "{wrong}");
        }
    }
}
