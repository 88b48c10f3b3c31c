use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use mesh_bus::Bus as _;
use mesh_bus::topology::{Limits, Replicas, Topology};
use mesh_orchestrator::{Options, Outlook, Retention};
use mesh_schemas::definition::Span;
use mesh_schemas::{ErrorCode, Shards};

use super::observe::Observe;
use crate::connection::Connection;
use crate::durable::{Durable, demand};
use crate::exit::Outcome;
use crate::failure::Failure;

/// Run an orchestrator against a NATS server that is there
#[derive(Args)]
pub(crate) struct Orchestrator {
    #[command(flatten)]
    layout: Layout,
    #[command(flatten)]
    keeping: Keeping,
    #[command(flatten)]
    observe: Observe,
}

/// How a namespace is laid out when it is made.
#[derive(Args, Clone, Copy)]
pub(crate) struct Layout {
    /// Number of shards of the log, 1 to 64; fixed once the namespace exists
    #[arg(long, env = "MESH_SHARDS", default_value = "8", value_parser = shards)]
    shards: Shards,
    /// Copies of every stream in a NATS cluster: 1, 3 or 5
    #[arg(long, env = "MESH_REPLICAS", default_value = "1", value_parser = replicas)]
    replicas: Replicas,
    /// Lose nothing to a power failure. `mesh up` then forces each write onto the disk; an orchestrator refuses a server that
    /// may lose something, unless it is told =trust: that every server has `sync_interval: always`
    #[arg(
        long, env = "MESH_DURABLE", value_name = "WORD", value_enum,
        num_args = 0..=1, require_equals = true, default_missing_value = "yes"
    )]
    durable: Option<Durable>,
}

/// What is kept of runs that have ended, and how much of everything.
#[derive(Args, Clone, Copy)]
pub(crate) struct Keeping {
    /// How long a run stays in the log as it is after it has ended; then it is archived
    #[arg(long, env = "MESH_GRACE", default_value = "1h")]
    grace: Span,
    /// How long after its end a run is known at least, so that a repeated request starts no other; from 1m
    #[arg(long, env = "MESH_KEEP_REQUESTS", default_value = "7d", value_parser = keep_requests)]
    keep_requests: Span,
    /// How long the history of an archived run is kept [default: 30d, or as it was set before]
    #[arg(long, env = "MESH_KEEP_HISTORY", value_parser = keep_history)]
    keep_history: Option<Span>,
    /// Most bytes of the log, and as many of the work for agents, such as 20GB; `none` lifts a limit. Where little is left, new
    /// requests wait [default: as it was set before]
    #[arg(long, env = "MESH_LOG_LIMIT", value_name = "BYTES", value_parser = byte_limit)]
    log_limit: Option<u64>,
    /// Most bytes of histories, such as 20GB, from which on the oldest are dropped; `none` lifts a limit [default: as it was
    /// set before]
    #[arg(long, env = "MESH_HISTORY_LIMIT", value_name = "BYTES", value_parser = byte_limit)]
    history_limit: Option<u64>,
}

impl Layout {
    /// What an orchestrator runs with; `synced` is what is to be written down of the servers.
    pub(crate) fn options(self, keeping: Keeping, synced: Option<bool>) -> Options {
        let limits = Limits {
            log_bytes: keeping.log_limit,
            history_bytes: keeping.history_limit,
            history_age: keeping.keep_history.map(Span::get),
        };
        let topology = Topology { shards: self.shards, replicas: self.replicas, synced, limits };
        let retention = Retention { grace: keeping.grace.get(), requests: keeping.keep_requests.get() };
        Options { topology, retention, ..Options::default() }
    }

    /// The same for a cluster of so many servers, which keeps so many copies.
    pub(crate) fn with_copies(self, copies: usize) -> Self {
        let replicas = u8::try_from(copies).map_or(self.replicas, Replicas);
        Self { replicas: Replicas(self.replicas.0.max(replicas.0)), ..self }
    }

    /// Whether a power failure is to lose nothing.
    pub(crate) fn is_durable(self) -> bool {
        matches!(self.durable, Some(Durable::Yes | Durable::Trust))
    }
}

impl Keeping {
    /// Refuses to keep less of what happened in a run than of its request: then it would be known that the run was, and not
    /// what became of it.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let (requests, history) = (self.keep_requests, self.keep_history.unwrap_or(self.keep_requests));
        if history.get() >= requests.get() {
            return Ok(());
        }
        let message = format!(
            "--keep-history {history} is less than --keep-requests {requests}: keep the history as long as the request, or \
             both shorter"
        );
        Err(Failure::new(ErrorCode::Combination, message))
    }
}

impl Orchestrator {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        self.keeping.check()?;
        let stop = mesh_agents::stop_signal()?;
        let bus = Arc::new(connection.connect().await?);
        if self.layout.durable == Some(Durable::Yes) {
            demand(&bus.health().await?, usize::from(self.layout.replicas.0))?;
        }
        let options = self.layout.options(self.keeping, self.layout.durable.and_then(Durable::written_down));
        let outlook = Outlook::default();
        let _endpoint = self.observe.open(&outlook).await?;
        mesh_orchestrator::run_telling(bus, options, stop, || {}, &outlook)
            .await
            .context("the orchestrator stopped")?;
        Ok(Outcome::Done)
    }
}

fn shards(text: &str) -> Result<Shards, String> {
    text.parse().ok().and_then(Shards::new).ok_or_else(|| format!("use a number from 1 to {}", Shards::MAX))
}

fn replicas(text: &str) -> Result<Replicas, String> {
    match text {
        "1" => Ok(Replicas(1)),
        "3" => Ok(Replicas(3)),
        "5" => Ok(Replicas(5)),
        _ => Err("use 1, 3 or 5".to_owned()),
    }
}

/// Shortest time that a request is known: anything that is on its way has arrived or is lost by then.
const SHORTEST_REQUESTS: Duration = Duration::from_secs(60);
/// Shortest time that histories may be kept.
const SHORTEST_HISTORY: Duration = Duration::from_secs(1);
/// Least bytes that a stream may be limited to: a few messages of the largest size.
const LEAST_BYTES: u64 = 10_000_000;

fn keep_requests(text: &str) -> Result<Span, String> {
    at_least(text, SHORTEST_REQUESTS)
}

fn keep_history(text: &str) -> Result<Span, String> {
    at_least(text, SHORTEST_HISTORY)
}

fn at_least(text: &str, least: Duration) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|error| format!("{error}"))?;
    if span.get() < least { Err(format!("use at least {} s", least.as_secs())) } else { Ok(span) }
}

/// A number of bytes, as people write it; 0 for no limit.
fn byte_limit(text: &str) -> Result<u64, String> {
    if text == "none" {
        return Ok(0);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match text[digits..].trim_start().to_ascii_lowercase().as_str() {
        "" => 1,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => 0,
    };
    let bytes = text[..digits].parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    match bytes.filter(|_| unit > 0) {
        None => Err("write a number of bytes such as 500MB, 20GB or 2TB, or none".to_owned()),
        Some(bytes) if bytes < LEAST_BYTES => {
            Err(format!("use at least {} MB, or none", LEAST_BYTES / 1_000_000))
        }
        Some(bytes) => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_people_write_them() {
        assert_eq!(byte_limit("none"), Ok(0));
        assert_eq!(byte_limit("20GB"), Ok(20_000_000_000));
        assert_eq!(byte_limit("20 gb"), Ok(20_000_000_000));
        assert_eq!(byte_limit("12345678"), Ok(12_345_678));
        for wrong in ["", "GB", "-1", "1.5GB", "20XB", "0", "9MB", "99999999999999TB"] {
            assert!(byte_limit(wrong).is_err(), "{wrong}");
        }
        let keeping = |text: &str| Keeping {
            grace: "1h".parse().expect("a time"),
            keep_requests: "7d".parse().expect("a time"),
            keep_history: Some(text.parse().expect("a time")),
            log_limit: None,
            history_limit: None,
        };
        assert!(keeping("7d").check().is_ok() && keeping("6d").check().is_err());
        assert!(keep_requests("59s").is_err());
        assert!(keep_requests("60s").is_ok());
    }
}
