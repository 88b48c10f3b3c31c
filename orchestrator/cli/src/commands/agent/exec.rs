use std::path::PathBuf;

use clap::Args;

use super::service::Service;
use crate::connection::Connection;
use crate::exit::Outcome;

/// Run an agent that does each task with a program
///
/// The task's input stands on the program's stdin as JSON; what it writes to stdout is the output, as JSON. MESH_RUN_ID,
/// MESH_TASK, MESH_ATTEMPT, MESH_IDEMPOTENCY_KEY, TRACEPARENT and more tell it which task it is. Exit code 0 is success; 65
/// is a failure that is not tried again, any other code one that is. The end of stderr is the error's message.
#[derive(Args)]
#[command(after_help = "Example: mesh agent exec --capability shout -- jq '{text: .text | ascii_upcase}'")]
pub(crate) struct Exec {
    #[command(flatten)]
    pub(super) service: Service,
    /// Folder to run the program in
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Set an environment variable for the program; may be given several times
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Exec {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let Self { service, dir, variables, command } = self;
        let (program, arguments) =
            command.split_first().map_or(("", [].as_slice()), |(program, rest)| (program, rest));
        let mut exec = mesh_agents::Exec::new(program).args(arguments).output_limit(service.output_limit);
        for (name, value) in variables {
            exec = exec.env(name, value);
        }
        if let Some(dir) = dir {
            exec = exec.current_dir(dir);
        }
        service.run(connection, |agent, capability| agent.exec(capability, exec)).await
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}
