use std::path::PathBuf;

use clap::Args;

use super::service::Service;
use crate::connection::Connection;
use crate::exit::Outcome;

/// Run an agent that does each task with a request to an HTTP service
///
/// The task's input is posted as JSON, and the body of a 2xx answer is the output, as JSON. 408, 425, 429, 5xx and no answer at
/// all are tried again, not before `Retry-After`; any other status is a failure that is not. The headers `mesh-run-id`,
/// `mesh-task`, `mesh-attempt`, `idempotency-key`, `traceparent` and more tell the service which task it is.
#[derive(Args)]
#[command(after_help = "Example: mesh agent http --capability score --url http://127.0.0.1:8080/score")]
pub(crate) struct Http {
    #[command(flatten)]
    pub(super) service: Service,
    /// Where to post tasks
    #[arg(long, env = "MESH_AGENT_URL", value_name = "URL")]
    url: String,
    /// Add a header to every request; may be given several times. MESH_AGENT_HEADER holds one a line, for secrets
    #[arg(long = "header", env = "MESH_AGENT_HEADER", hide_env_values = true, value_delimiter = '\n', value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// PEM file of the authorities that may have signed the service's certificate [default: those of the system]
    #[arg(long, env = "MESH_AGENT_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Http {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let Self { service, url, headers, ca } = self;
        let mut http = mesh_agents::Http::new(url).output_limit(service.output_limit);
        for (name, value) in headers {
            http = http.header(name, value);
        }
        if let Some(ca) = ca {
            http = http.ca(ca);
        }
        service.run(connection, |agent, capability| agent.http(capability, http)).await
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("write NAME: VALUE".to_owned()),
    }
}
