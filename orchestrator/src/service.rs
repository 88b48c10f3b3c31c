use std::sync::Arc;
use std::time::Duration;

use mesh_bus::topology::{Tidying, Topology};
use mesh_bus::{Bus, BusError, MAX_SHORT_RUN, Report};
use mesh_core::Run;
use mesh_schemas::{ErrorCode, RULES_VERSION};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::capabilities;
use crate::definitions::Definitions;
use crate::janitor::{self, Patience, Troubles};
use crate::observe::{self, Figures, Outlook};
use crate::peers::{self, OrchestratorReport, Presence};
use crate::pressure::{self, Pressure};
use crate::relay::{self, Looks};
use crate::shard::{self, Memory, Reads};

/// The name that orchestrators answer to on `$SRV`.
pub const SERVICE: &str = "mesh-orchestrator";
/// Longest time that a stopping orchestrator takes to finish what it has in hand.
const DRAIN: Duration = Duration::from_secs(5);

/// Settings of an orchestrator.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How the namespace is laid out, where it is not yet.
    pub topology: Topology,
    /// How many runs are kept in memory, over all shards. Others are read from the log when their next event
    /// comes, at about a millisecond each.
    pub cached_runs: usize,
    /// After how many events of a run its state is written to the log, so that a run with more need not be read as a
    /// whole; at most [`MAX_SHORT_RUN`].
    pub checkpoint_after: usize,
    /// How many bytes of the logs of these runs, over all shards; memory takes a few times as many. What no more fits is
    /// read from the log again, too. Each shard keeps one run, however large.
    pub cached_bytes: usize,
    /// How often to look which other orchestrators are there. It bounds how soon shards are shared out anew when one
    /// comes, and how soon those of one that died have another who follows them.
    pub look: Duration,
    /// The newest rules by which to follow runs. Less than [`RULES_VERSION`] is how an older orchestrator behaves, more
    /// how a newer one would that had not changed the rules.
    pub rules: u32,
    /// How long runs that have ended are kept.
    pub retention: Retention,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            topology: Topology::default(),
            retention: Retention::default(),
            cached_runs: 50_000,
            checkpoint_after: MAX_SHORT_RUN,
            cached_bytes: 256 * 1024 * 1024,
            look: Duration::from_secs(1),
            rules: RULES_VERSION,
        }
    }
}

impl Options {
    /// Those of an orchestrator that is the only one, and knows it: on a bus in this process.
    #[must_use]
    pub fn alone() -> Self {
        Self { look: Duration::from_secs(24 * 60 * 60), ..Self::default() }
    }
}

/// How long runs that have ended are kept in the log. How long their histories are kept, and how many bytes all of it may
/// take, is said in [`Topology::limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How long after its end a run stays as it is. Then it is archived, and its beginning and end are all that is left.
    pub grace: Duration,
    /// How long after the end of a run its beginning and end stay: for that long, and for as long as there is a history,
    /// a repeated request starts no second run. It must be much longer than anything is ever on its way.
    pub requests: Duration,
}

impl Default for Retention {
    /// An hour and seven days.
    fn default() -> Self {
        Self { grace: Duration::from_secs(60 * 60), requests: Duration::from_secs(7 * 24 * 60 * 60) }
    }
}

/// Why an orchestrator stopped.
#[derive(Debug, thiserror::Error)]
pub enum OrchestratorError {
    /// The bus is not usable.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// A part of the service died, which is a defect; the log is intact and a new process goes on.
    #[error("the {part} stopped unexpectedly: {error}")]
    Died {
        /// Which part.
        part: String,
        /// What it died of.
        error: String,
    },
}

impl OrchestratorError {
    /// What kind of error it is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Bus(error) => error.code(),
            Self::Died { .. } => ErrorCode::Died,
        }
    }
}

/// What every part of an orchestrator shares.
pub(crate) struct Shared {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) definitions: Definitions,
    pub(crate) presence: Presence,
    pub(crate) folded: Folded,
    /// See [`Options::checkpoint_after`].
    pub(crate) checkpoint_after: usize,
    pub(crate) reads: Reads,
    pub(crate) looks: Looks,
    pub(crate) retention: Retention,
    pub(crate) pressure: Pressure,
    pub(crate) patience: Patience,
    pub(crate) troubles: Troubles,
    pub(crate) figures: Figures,
    /// Room for requests whose input is fetched.
    pub(crate) large_requests: Semaphore,
    /// The newest rules by which runs are followed.
    pub(crate) rules: u32,
}

#[cfg(test)]
impl Shared {
    /// What an orchestrator has that has just begun, and has seen the log so full.
    pub(crate) fn of(bus: &Arc<dyn Bus>, fill: Option<&mesh_bus::Fill>) -> Self {
        let (mut gauge, pressure) = Pressure::new();
        gauge.tell(bus.moment(), fill);
        Self {
            bus: Arc::clone(bus),
            definitions: Definitions::new(Arc::clone(bus)),
            presence: Presence::new(mesh_schemas::RULES_VERSION),
            folded: Arc::new(|_, _| {}),
            checkpoint_after: usize::MAX,
            reads: Reads::default(),
            looks: Looks::default(),
            retention: Retention::default(),
            pressure,
            patience: Patience::default(),
            troubles: Troubles::default(),
            figures: Figures::default(),
            large_requests: Semaphore::new(1),
            rules: mesh_schemas::RULES_VERSION,
        }
    }
}

/// Requests that refer to their input and are relayed at once: each may take a few hundred megabytes of memory.
pub(crate) const LARGE_REQUESTS: usize = 4;

/// Runs an orchestrator until `shutdown`: sets the namespace up if need be, then follows requests, timers and
/// its share of the shards. Returns when everything in hand is finished or handed back: after `shutdown` it goes on for
/// [`Options::look`] and a second if others are there, who stand by for its shards meanwhile, and then takes at most
/// 5 s.
///
/// # Errors
/// [`OrchestratorError`] if the namespace cannot be set up, or a part of the service dies.
pub async fn run(
    bus: Arc<dyn Bus>,
    options: Options,
    shutdown: CancellationToken,
) -> Result<(), OrchestratorError> {
    run_with(bus, options, shutdown, || {}).await
}

/// [`run`], telling when the namespace is set up and requests are taken.
///
/// # Errors
/// As [`run`].
pub async fn run_with(
    bus: Arc<dyn Bus>,
    options: Options,
    shutdown: CancellationToken,
    ready: impl FnOnce() + Send,
) -> Result<(), OrchestratorError> {
    run_telling(bus, options, shutdown, ready, &Outlook::default()).await
}

/// [`run_with`], telling meanwhile how it is.
///
/// # Errors
/// As [`run`].
pub async fn run_telling(
    bus: Arc<dyn Bus>,
    options: Options,
    shutdown: CancellationToken,
    ready: impl FnOnce() + Send,
    outlook: &Outlook,
) -> Result<(), OrchestratorError> {
    serve(bus, options, shutdown, ready, Arc::new(|_, _| {}), outlook).await
}

/// Is shown each run as it is kept in memory, whenever that was made anew or has taken an event, with the sequence up
/// to which it has read the log. It is called on the way from the event to what follows from it, so it must be quick.
pub type Folded = Arc<dyn Fn(&Run, u64) + Send + Sync>;

/// [`run_with`], showing each run that is folded: for those who check that what is in memory is what the log says.
///
/// # Errors
/// As [`run`].
pub async fn run_observed(
    bus: Arc<dyn Bus>,
    options: Options,
    shutdown: CancellationToken,
    ready: impl FnOnce() + Send,
    folded: Folded,
) -> Result<(), OrchestratorError> {
    serve(bus, options, shutdown, ready, folded, &Outlook::default()).await
}

async fn serve(
    bus: Arc<dyn Bus>,
    options: Options,
    shutdown: CancellationToken,
    ready: impl FnOnce() + Send,
    folded: Folded,
    outlook: &Outlook,
) -> Result<(), OrchestratorError> {
    outlook.connected(&bus);
    bus.set_up(&options.topology).await?;
    let shards = bus.shards().await?;
    let (gauge, pressure) = Pressure::new();
    let shared = Arc::new(Shared {
        definitions: Definitions::new(Arc::clone(&bus)),
        bus: Arc::clone(&bus),
        presence: Presence::new(options.rules),
        folded,
        checkpoint_after: options.checkpoint_after.clamp(1, MAX_SHORT_RUN),
        reads: Reads::default(),
        looks: Looks::default(),
        large_requests: Semaphore::new(LARGE_REQUESTS),
        rules: options.rules,
        retention: options.retention,
        pressure,
        patience: Patience::default(),
        troubles: Troubles::default(),
        figures: Figures::default(),
    });
    let present = Arc::clone(&shared);
    let report: Report = Arc::new(move || {
        let report = OrchestratorReport {
            unarchived: present.troubles.told(Tidying::Archive),
            unforgotten: present.troubles.told(Tidying::Forget),
            slowing: present.pressure.is_slowing(),
            problems: observe::problems(&present),
            ..present.presence.report()
        };
        serde_json::to_value(report).unwrap_or_default()
    });
    let description = "follows workflow runs of the mesh";
    let service = bus.announce(SERVICE, env!("CARGO_PKG_VERSION"), description, report).await?;
    let stop = CancellationToken::new();
    // Until it is known who else is there, it stands by for every shard.
    let (share, mine) = watch::channel(shards.iter().collect());
    let mut parts = JoinSet::new();
    parts.spawn(named("watch on limits", pressure::watch(Arc::clone(&shared.bus), gauge, stop.clone())));
    parts.spawn(named("relay of requests", relay::requests(Arc::clone(&shared), stop.clone())));
    parts.spawn(named("relay of timers", relay::timers(Arc::clone(&shared), stop.clone())));
    for tidying in Tidying::ALL {
        parts.spawn(named("janitor", janitor::run(Arc::clone(&shared), tidying, stop.clone())));
    }
    let sweep = janitor::sweep::run(Arc::clone(&shared), mine.clone(), stop.clone());
    parts.spawn(named("sweep", sweep));
    parts.spawn(named("capability watch", capabilities::run(Arc::clone(&shared), stop.clone())));
    parts.spawn(named("look at queues", observe::run(Arc::clone(&shared), mine.clone(), stop.clone())));
    let each = |of: usize| of / shards.count() as usize;
    let per_shard = Memory { runs: each(options.cached_runs), bytes: each(options.cached_bytes) };
    for shard in shards.iter() {
        let follow = shard::run(Arc::clone(&shared), shard, per_shard, mine.clone(), stop.clone());
        parts.spawn(named("follower of a shard", follow));
    }
    let own = (service.id().to_owned(), shards);
    parts.spawn(named("look-out", peers::run(Arc::clone(&shared), own, options.look, share, stop.clone())));
    info!(namespace = %shared.bus.namespace(), shards = shards.count(), "orchestrator ready");
    outlook.begun(&shared);
    ready();
    let ended = tokio::select! {
        biased;
        () = async {
            shutdown.cancelled().await;
            peers::take_leave(&shared.presence, options.look).await;
        } => None,
        ended = parts.join_next() => ended,
    };
    stop.cancel();
    if tokio::time::timeout(DRAIN, async { while parts.join_next().await.is_some() {} }).await.is_err() {
        warn!("stopping with work in hand; it will be delivered again elsewhere");
    }
    match ended {
        None => Ok(()),
        Some(Ok(part)) => Err(OrchestratorError::Died {
            part: part.to_owned(),
            error: "it returned although nobody asked it to".to_owned(),
        }),
        Some(Err(error)) => {
            Err(OrchestratorError::Died { part: "service".to_owned(), error: error.to_string() })
        }
    }
}

async fn named(name: &'static str, part: impl Future<Output = ()>) -> &'static str {
    part.await;
    name
}

/// Pause before something that the bus refused is tried again: short enough not to be noticed, long enough not
/// to burn a core.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Repeats an operation on the bus until it succeeds; `None` when the service is to stop.
pub(crate) async fn until_it_works<T, F: Future<Output = Result<T, BusError>>>(
    what: &str,
    stop: &CancellationToken,
    mut operation: impl FnMut() -> F,
) -> Option<T> {
    let mut said = false;
    loop {
        let error = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            result = operation() => match result {
                Ok(value) => return Some(value),
                Err(error) => error,
            },
        };
        if !said {
            warn!(%error, "{what}: trying again until it works");
            said = true;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(RETRY_PAUSE) => {}
        }
    }
}
