//! One campaign from its beginning to its account.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use mesh_bus::topology::{AGENT_ACK_WAIT, agent_consumer};
use mesh_bus::{Bus as _, ConsumerSpec};
use mesh_schemas::Lane;
use tokio::sync::watch;

use super::account::Account;
use super::cast::{Part, Place};
use super::faults::Faults;
use super::servers::Servers;
use super::{executions, load};
use crate::audit::Audit;
use crate::world::{World, patiently};

/// What a campaign is made of.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// What is done to whom, and what the runs are, is drawn from this.
    pub seed: u64,
    /// How many runs.
    pub runs: u64,
    /// How many of them at once.
    pub in_flight: u64,
    /// How many orchestrators.
    pub orchestrators: usize,
    /// How many agents.
    pub agents: usize,
    /// Least and most time between two faults of one process, in milliseconds.
    pub pauses: (u64, u64),
    /// The same for the server.
    pub server_pauses: (u64, u64),
    /// How long an agent may be silent about a task. The mesh's own 30 s would be most of what a campaign waits for.
    pub ack_wait: Duration,
    /// Keep logs and records also if all is well.
    pub keep: bool,
}

impl Campaign {
    /// A campaign on a cluster, in which each fault of a server is waited out until all of them are whole again. What is
    /// delivered to agents at a server that is cut off never arrives, so there is more patience before that is poison.
    #[must_use]
    pub fn on_cluster(seed: u64) -> Self {
        Self { server_pauses: (500, 2_000), ack_wait: Duration::from_secs(10), ..Self::usual(seed) }
    }

    /// As many runs, processes and faults as a campaign usually has.
    #[must_use]
    pub fn usual(seed: u64) -> Self {
        Self {
            seed,
            runs: 10_000,
            in_flight: 64,
            orchestrators: 3,
            agents: 4,
            pauses: (1_000, 5_000),
            server_pauses: (4_000, 10_000),
            ack_wait: Duration::from_secs(5),
            keep: false,
        }
    }
}

/// Plays a campaign and tells what became of it.
///
/// # Errors
/// If something cannot be started, or the log is not as it must be.
pub async fn run(campaign: &Campaign, mut servers: Servers) -> Result<Account> {
    let begun = Instant::now();
    let world = World::on(&servers.urls()).await?;
    let replicas = servers.replicas();
    let folder = Folder::new(&world)?;
    let places = |part, count: usize| {
        let place = |number| Place::new(&world, &folder.0, replicas, part, number);
        (0..count).map(place).collect::<Result<Vec<_>>>()
    };
    let mut cast = places(Part::Orchestrator, campaign.orchestrators)?;
    // Before the agents, or they would make their consumer, with the patience that it usually has.
    set_up(&world, campaign.ack_wait).await?;
    cast.extend(places(Part::Agent, campaign.agents)?);
    let faults = Faults::default();
    let (over, is_over) = watch::channel(false);
    let mut dice = fastrand::Rng::with_seed(campaign.seed);
    let on_server =
        servers.suffer(&world.namespace, dice.fork(), campaign.server_pauses, &faults, is_over.clone());
    let on_cast = cast.iter_mut().map(|place| {
        let (dice, is_over) = (dice.fork(), is_over.clone());
        place.suffer(dice, campaign.pauses, &faults, is_over)
    });
    let on_all = try_join_all(on_cast);
    let (runs, (), _) = futures::try_join!(load::keep(&world, campaign, &over), on_server, on_all)?;
    let took = begun.elapsed();
    let audit = Audit::when_idle(&world, &["work"]).await;
    let faults = faults.all();
    let executions = executions::of(&folder.0, &faults, campaign.ack_wait)?;
    let account = Account::new(campaign, took, &runs, &faults, audit, executions);
    if account.violations.is_empty() && !campaign.keep {
        folder.remove();
    }
    Ok(account)
}

/// Waits until an orchestrator has made the namespace, and makes what the campaign needs in it.
async fn set_up(world: &World, ack_wait: Duration) -> Result<()> {
    let spec = agent_consumer(&world.namespace, &"work".parse()?, &Lane::Normal);
    debug_assert!(ack_wait < AGENT_ACK_WAIT, "that is not impatient");
    let impatient = ConsumerSpec { ack_wait, ..spec };
    let made = async { while world.bus.ensure_consumer(&impatient).await.is_err() {} };
    patiently("the consumer of the agents", made).await?;
    let applied = async { while load::apply(world).await.is_err() {} };
    patiently("the buckets", applied).await
}

/// Where processes log and agents keep their records. It stays if the campaign fails.
struct Folder(PathBuf);

impl Folder {
    fn new(world: &World) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("mesh-chaos-{}", world.namespace));
        std::fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        eprintln!("logs and records are in {}", path.display());
        Ok(Self(path))
    }

    fn remove(self) {
        std::fs::remove_dir_all(self.0).ok();
    }
}
