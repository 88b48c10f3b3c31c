use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{ArgMatches, Args};
use mesh_bus::nats::{ConnectOptions, DEFAULT_URL, NatsBus};
use mesh_bus::topology::Topology;
use mesh_bus::{Bus as _, BusError};
use mesh_orchestrator::Outlook;
use mesh_schemas::{ErrorCode, Namespace};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::observe::Observe;
use super::orchestrator::{Keeping, Layout};
use crate::connection::{self, Connection};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::loss::{Disk, loss};
use crate::nats_server::{NatsServers, Sync};
use crate::output;

/// Pause between attempts to reach a server that is starting.
const KNOCK: Duration = Duration::from_millis(50);

/// Longest time that the servers of a cluster take to find each other.
const ELECTION: Duration = Duration::from_secs(30);

/// Start a NATS server and an orchestrator here, until Ctrl-C
#[derive(Args)]
pub(crate) struct Up {
    /// Folder for everything that must survive; made if it is not there
    #[arg(long, env = "MESH_DATA", default_value = "mesh-data")]
    data: PathBuf,
    // Not MESH_PORT: a cluster sets that for every process beside a service called `mesh`.
    /// Port that NATS listens on, on 127.0.0.1; any free one for 0
    #[arg(long, env = "MESH_UP_PORT", default_value_t = 4222)]
    port: u16,
    /// Three servers that keep copies of everything, on three ports from --port on: kill any one of them, and runs go on.
    /// For a try; a real cluster has its servers on machines of their own
    #[arg(long)]
    cluster: bool,
    #[command(flatten)]
    layout: Layout,
    #[command(flatten)]
    keeping: Keeping,
    #[command(flatten)]
    observe: Observe,
}

impl Up {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        self.keeping.check()?;
        let stop = mesh_agents::stop_signal()?;
        let durable = self.layout.is_durable();
        let mut servers = if self.cluster {
            NatsServers::three(&self.data, self.port, durable).await?
        } else {
            NatsServers::one(&self.data, self.port, durable).await?
        };
        let (url, copies) = (servers.url(), servers.copies());
        let sync = servers.sync().cloned().context("no server")?;
        let result = tokio::select! {
            result = self.serve(&url, copies, &sync, connection, &stop) => result,
            error = servers.ended() => return Err(error),
        };
        servers.stop().await?;
        result.map(|()| Outcome::Done)
    }

    /// Refuses what says how to reach a server when it is given to this very command. In the environment and the
    /// configuration file it is for the other commands, and stays.
    pub(crate) fn check(matches: &ArgMatches) -> Result<(), Failure> {
        let Some(flag) = connection::typed(matches) else { return Ok(()) };
        let message = format!(
            "`mesh up` starts a NATS server of its own and takes no {flag}: leave it out, or, for a server that runs \
             already, use `mesh orchestrator {flag} …`"
        );
        Err(Failure::new(ErrorCode::Combination, message))
    }

    async fn serve(
        &self,
        url: &str,
        copies: usize,
        sync: &Sync,
        connection: &Connection,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let outlook = Outlook::default();
        let _endpoint = self.observe.open(&outlook).await?;
        let options =
            ConnectOptions::new(url).namespace(connection.namespace().clone()).name("mesh-orchestrator");
        mesh_telemetry::connected_to(options.server());
        let Some(bus) = knock(&options, stop).await? else { return Ok(()) };
        let ready = || self.tell(url, copies, sync, connection);
        let options = self.layout.with_copies(copies).options(self.keeping, Some(sync.is_always()));
        if self.cluster {
            until_set_up(&bus, &options.topology, stop).await?;
        }
        mesh_orchestrator::run_telling(Arc::new(bus), options, stop.clone(), ready, &outlook)
            .await
            .context("the orchestrator stopped")
    }

    /// What was started and how to reach it: one line for programs that wait for it, the rest for people.
    fn tell(&self, url: &str, copies: usize, sync: &Sync, connection: &Connection) {
        let (namespace, data) = (connection.namespace(), self.data.display());
        let _ = output::line(&format!(
            "mesh is up: NATS on {url}, namespace {namespace}, data in {data}. Ctrl-C stops both."
        ));
        let disk = if sync.is_always() { Disk::Always } else { Disk::Every(sync.now.clone()) };
        eprintln!("What may be lost: {}.", loss(copies, &disk));
        if let Some(change) = sync.change() {
            eprintln!("{change}");
        }
        eprintln!("Next, in another terminal:");
        // Commands find the default by themselves, and what is set in this terminal may be set in the other.
        let mut variables = String::new();
        if url != DEFAULT_URL || connection.nats_url().is_some_and(|given| given != url) {
            variables.push_str(&format!(" MESH_NATS_URL={url}"));
        }
        if *namespace != Namespace::default() {
            variables.push_str(&format!(" MESH_NAMESPACE={namespace}"));
        }
        if !variables.is_empty() {
            eprintln!("  export{variables}");
        }
        eprintln!("  mesh workflow apply FILE    # register a workflow");
        eprintln!("  mesh start NAME --wait      # start a run of it");
        eprintln!("  mesh doctor                 # see what is missing");
    }
}

/// Connects to a server that is starting; `None` if it is to stop before it has started.
async fn knock(options: &ConnectOptions, stop: &CancellationToken) -> anyhow::Result<Option<NatsBus>> {
    loop {
        match NatsBus::connect(options.clone()).await {
            Ok(bus) => return Ok(Some(bus)),
            Err(BusError::Connect { .. } | BusError::Unavailable { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(KNOCK) => {}
        }
    }
}

/// Sets the namespace up on servers that have to find each other and choose who leads first; returns also when it is to
/// stop before that.
async fn until_set_up(bus: &NatsBus, topology: &Topology, stop: &CancellationToken) -> anyhow::Result<()> {
    let give_up = Instant::now() + ELECTION;
    loop {
        match bus.set_up(topology).await {
            Ok(()) => return Ok(()),
            Err(error @ BusError::Conflict { .. }) => return Err(error.into()),
            Err(error) if Instant::now() >= give_up => return Err(error.into()),
            Err(_) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(KNOCK) => {}
        }
    }
}
