//! Streams, buckets and consumers of a namespace, as data that every implementation follows.

use std::time::Duration;

use mesh_schemas::{Capability, Lane, MAX_CARRIED_BYTES, Namespace, Shards};

use crate::consume::ConsumerSpec;

/// Longest pull of an orchestrator on a shard. A third of [`PIN_TIMEOUT`], or the pin would be lost between pulls.
pub const SHARD_PULL_EXPIRES: Duration = Duration::from_millis(700);
/// How long the owner of a shard may be silent before another orchestrator takes the shard over.
pub const PIN_TIMEOUT: Duration = Duration::from_millis(2_100);
/// How long an orchestrator may take for one event; bounds how long its death delays a run.
pub const SHARD_ACK_WAIT: Duration = Duration::from_secs(3);
/// Events that one shard may have in hand: enough to keep two cores busy, few enough to redeliver in no time.
pub const SHARD_MAX_ACK_PENDING: u32 = 1_024;
/// How long a request or a due timer may be in hand.
pub const RELAY_ACK_WAIT: Duration = Duration::from_secs(5);
/// Requests and due timers that all relays together may have in hand.
pub const RELAY_MAX_ACK_PENDING: u32 = 4_096;
/// How long an agent may be silent about a task before another gets it.
pub const AGENT_ACK_WAIT: Duration = Duration::from_secs(30);
/// Tasks that all agents of one capability may have in hand: a bound on what a lost deployment redelivers.
pub const AGENT_MAX_ACK_PENDING: u32 = 20_000;
/// How long the end of a run may be in hand of a janitor that says nothing.
pub const JANITOR_ACK_WAIT: Duration = Duration::from_secs(30);
/// Ends that all janitors together may have in hand, for each of their two tasks. They come in order, so the oldest
/// ones are those that are waited for; enough of them to hide the round trips of each.
pub const JANITOR_MAX_ACK_PENDING: u32 = 128;
/// How long the history of an ended run is kept where nothing else is said: 30 days.
pub const HISTORY_MAX_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long advisory events and rejections are kept: 7 days.
pub const NOTES_MAX_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long an agent that says nothing stays in the registry.
pub const AGENT_TTL: Duration = Duration::from_secs(15);
/// How often an agent renews its entry in the registry: a third of [`AGENT_TTL`].
pub const AGENT_HEARTBEAT: Duration = Duration::from_secs(5);

/// How long the registry remembers that an agent is gone, for watchers that were away.
pub const GONE_AGENT_TTL: Duration = Duration::from_secs(10 * 60);
/// Largest body of a message in the inbox: the data of a request, and what the envelope may add to it.
pub const MAX_REQUEST_BYTES: usize = MAX_CARRIED_BYTES + 16 * 1024;

/// A stream of the namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Requests and schedules.
    Inbox,
    /// The log: everything that runs are folded from.
    Events,
    /// Work for agents.
    Tasks,
    /// Advisory events.
    Notes,
    /// Dead letters.
    Dead,
    /// What happened in runs that have ended and were removed from the log.
    History,
}

impl Stream {
    /// Every stream in the order in which they are made. The log comes first: if it has other shards, nothing else is
    /// touched.
    pub const ALL: [Self; 6] =
        [Self::Events, Self::Inbox, Self::Tasks, Self::History, Self::Notes, Self::Dead];

    /// Its short name, as in the subject of dead letters: `events`.
    #[must_use]
    pub fn short_name(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Events => "events",
            Self::Tasks => "tasks",
            Self::Notes => "notes",
            Self::Dead => "dead",
            Self::History => "history",
        }
    }

    /// Its name on the server: `MESH_EVENTS`.
    #[must_use]
    pub fn name(self, namespace: &Namespace) -> String {
        namespace.stream(&self.short_name().to_uppercase())
    }

    /// The subjects it stores. Only subjects of a shard that exists are stored, so that what nobody would read is
    /// refused instead of kept.
    #[must_use]
    pub fn subjects(self, namespace: &Namespace, shards: Shards) -> Vec<String> {
        let per_shard = |forms: &[&str]| -> Vec<String> {
            forms
                .iter()
                .flat_map(|form| shards.iter().map(move |shard| form.replace("{shard}", &shard.to_string())))
                .map(|form| format!("{namespace}.{form}"))
                .collect()
        };
        match self {
            Self::Inbox => {
                let mut subjects = vec![
                    format!("{namespace}.workflow.requested.*"),
                    format!("{namespace}.task.requested.*"),
                    cancelled_timers(namespace),
                ];
                subjects.extend(per_shard(&[
                    "workflow.called.*.-.{shard}.*.*.*",
                    "timer.set.-.-.{shard}.*.*",
                    "timer.due.-.-.{shard}.*.*",
                ]));
                subjects
            }
            Self::Events => per_shard(&[
                "workflow.*.*.-.{shard}.*",
                "workflow.signalled.*.-.{shard}.*.*.*",
                "workflow.checkpointed.*.-.{shard}.*.*",
                "workflow.paused.*.-.{shard}.*.*",
                "workflow.resumed.*.-.{shard}.*.*",
                "task.completed.*.*.{shard}.*.*.*",
                "task.failed.*.*.{shard}.*.*.*",
                "task.routed.-.-.{shard}.*.*.*",
                "timer.fired.-.-.{shard}.*.*",
            ]),
            Self::Tasks => per_shard(&["task.created.*.*.{shard}.*.*.*"]),
            Self::Notes => vec![
                format!("{namespace}.task.assigned.>"),
                format!("{namespace}.task.released.>"),
                format!("{namespace}.agent.registered.*"),
                format!("{namespace}.agent.deregistered.*"),
                format!("{namespace}.request.rejected.*.*"),
            ],
            Self::Dead => vec![format!("{namespace}.dead.*.*")],
            Self::History => per_shard(&["history.*.*.{shard}.*", "history.late.*.*.{shard}.*"]),
        }
    }
}

/// A key-value bucket of the namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// Definitions: `<name>` holds the digest that new runs follow, `<name>.<digest in hex>` a definition.
    Workflows,
    /// Agents that are alive: `<agent id>`, renewed by heartbeats, gone after [`AGENT_TTL`].
    Agents,
}

impl Bucket {
    /// Every bucket.
    pub const ALL: [Self; 2] = [Self::Workflows, Self::Agents];

    /// Its name on the server: `MESH_AGENTS`.
    #[must_use]
    pub fn name(self, namespace: &Namespace) -> String {
        namespace.stream(match self {
            Self::Workflows => "WORKFLOWS",
            Self::Agents => "AGENTS",
        })
    }
}

/// Bytes of an object that one message holds: half of what NATS allows a message by default, so that it fits a server that
/// is set a little lower, and a message on the same connection does not wait long behind it.
pub const OBJECT_CHUNK_BYTES: usize = 512 * 1024;

/// How a namespace is laid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Topology {
    /// Number of shards; fixed once the namespace exists.
    pub shards: Shards,
    /// Copies of every stream and bucket in a NATS cluster: 1, 3 or 5. A stream that has more keeps them.
    pub replicas: Replicas,
    /// What to write down of the servers: whether they force each write onto the disk before they confirm it
    /// (`sync_interval: always`), which no client can see. `None` leaves what was written.
    pub synced: Option<bool>,
    /// How much is kept.
    pub limits: Limits,
}

/// How much of the log and of what is archived is kept, in bytes on disk and in time. What is not said stays as the
/// streams have it; 0 bytes are no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that the log may take, and as many that the work of agents may take. When that is reached, nothing more is
    /// stored until there is room.
    pub log_bytes: Option<u64>,
    /// Bytes that the histories of ended runs may take. When that is reached, the oldest are dropped.
    pub history_bytes: Option<u64>,
    /// How long the history of an ended run is kept; [`HISTORY_MAX_AGE`] where a namespace is made and nothing is said.
    pub history_age: Option<Duration>,
}

/// Number of copies in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replicas(pub u8);

impl Default for Replicas {
    fn default() -> Self {
        Self(1)
    }
}

/// Where schedules are cancelled: by a message that names the schedule and is dropped a moment later.
#[must_use]
pub fn cancelled_timers(namespace: &Namespace) -> String {
    format!("{namespace}.timer.cancelled")
}

/// Name of the consumer of requests.
pub const RELAY: &str = "relay";
/// Name of the consumer of due timers, and of the requests of runs for other runs.
pub const TIMERS: &str = "timers";

/// The consumer that relays requests into the log, shared by all orchestrators.
#[must_use]
pub fn relay_consumer(namespace: &Namespace) -> ConsumerSpec {
    ConsumerSpec {
        stream: Stream::Inbox,
        name: RELAY.to_owned(),
        filters: vec![format!("{namespace}.workflow.requested.*"), format!("{namespace}.task.requested.*")],
        ack_wait: RELAY_ACK_WAIT,
        max_ack_pending: RELAY_MAX_ACK_PENDING,
        pinned: None,
    }
}

/// The consumer that relays due timers into the log, and the requests of runs for other runs, shared by all orchestrators. Apart
/// from that of requests, so that runs go on while requests have to wait.
#[must_use]
pub fn timer_consumer(namespace: &Namespace) -> ConsumerSpec {
    ConsumerSpec {
        name: TIMERS.to_owned(),
        filters: vec![format!("{namespace}.timer.due.>"), format!("{namespace}.workflow.called.>")],
        ..relay_consumer(namespace)
    }
}

/// What a janitor does with a run that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tidying {
    /// Move what happened in it to its history, all but its beginning and its end.
    Archive,
    /// Remove its beginning and its end, too.
    Forget,
}

impl Tidying {
    /// Both, in the order in which they happen to a run.
    pub const ALL: [Self; 2] = [Self::Archive, Self::Forget];
}

/// The consumer of the ends of runs for a janitor's task, shared by all orchestrators.
#[must_use]
pub fn janitor_consumer(namespace: &Namespace, tidying: Tidying) -> ConsumerSpec {
    let name = match tidying {
        Tidying::Archive => "janitor-archive",
        Tidying::Forget => "janitor-forget",
    };
    let end = |verb| format!("{namespace}.workflow.{verb}.*.-.*.*");
    ConsumerSpec {
        stream: Stream::Events,
        name: name.to_owned(),
        filters: ["completed", "failed", "cancelled"].map(end).to_vec(),
        ack_wait: JANITOR_ACK_WAIT,
        max_ack_pending: JANITOR_MAX_ACK_PENDING,
        pinned: None,
    }
}

/// The consumer of one shard of the log, owned by one orchestrator at a time.
#[must_use]
pub fn shard_consumer(namespace: &Namespace, shard: u32) -> ConsumerSpec {
    ConsumerSpec {
        stream: Stream::Events,
        name: format!("orchestrator-{shard}"),
        filters: vec![format!("{namespace}.*.*.*.*.{shard}.>")],
        ack_wait: SHARD_ACK_WAIT,
        max_ack_pending: SHARD_MAX_ACK_PENDING,
        pinned: Some(PIN_TIMEOUT),
    }
}

/// The consumer of one capability's lane, shared by all agents that have the capability.
#[must_use]
pub fn agent_consumer(namespace: &Namespace, capability: &Capability, lane: &Lane) -> ConsumerSpec {
    ConsumerSpec {
        stream: Stream::Tasks,
        name: format!("agent-{capability}-{lane}"),
        filters: vec![format!("{namespace}.task.created.{capability}.{lane}.>")],
        ack_wait: AGENT_ACK_WAIT,
        max_ack_pending: AGENT_MAX_ACK_PENDING,
        pinned: None,
    }
}
