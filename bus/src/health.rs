//! How a bus is, for people who look for what is wrong.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use mesh_schemas::{Capability, Lane, Shards};
use serde_json::Value;

use crate::clock::BootInstant;
use crate::topology::Tidying;

/// What a look at the bus found.
#[derive(Debug, Clone)]
pub struct Health {
    /// The server that we are connected to.
    pub server: Server,
    /// What the account stores, and may store.
    pub usage: Usage,
    /// How far the server's clock is ahead of ours, and how far off that may be; `None` while no stream is there that
    /// could tell.
    pub clock: Option<(TimeDelta, Duration)>,
    /// Number of shards, if the log is there and says it.
    pub shards: Option<Shards>,
    /// Whether it was written down that the servers force each write onto the disk (see
    /// [`Topology::synced`](crate::topology::Topology::synced)).
    pub synced: bool,
    /// Every stream that the namespace should have: the log first, the streams of the buckets last.
    pub streams: Vec<StreamHealth>,
    /// The consumers that the namespace should have, and those of agents that are there.
    pub consumers: Vec<ConsumerHealth>,
    /// For how many archived runs events came afterwards, of the histories that are kept. How many events those are is told
    /// by what they say only, as one may take several messages.
    pub late_runs: u64,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// What it calls itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The cluster that it belongs to, if it belongs to one.
    pub cluster: Option<String>,
    /// Largest message that it takes, headers included, in bytes.
    pub max_payload: usize,
}

/// What an account stores. Limits of the server itself cannot be seen by a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes on disk.
    pub storage: Share,
    /// Number of streams.
    pub streams: Share,
    /// Number of consumers.
    pub consumers: Share,
}

/// A part of what is allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// How much is used.
    pub used: u64,
    /// How much is allowed; `None` if nothing is said.
    pub limit: Option<u64>,
}

impl Share {
    /// How many thousandths of what is allowed are used; 0 if nothing is said, 1 000 if all is.
    #[must_use]
    pub fn thousandths(&self) -> u64 {
        match self.limit {
            None => 0,
            Some(0) => 1_000,
            Some(limit) => {
                u64::try_from(u128::from(self.used) * 1_000 / u128::from(limit)).unwrap_or(u64::MAX)
            }
        }
    }
}

/// How full something is that bounds the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    /// What it is: a stream, or the account.
    pub what: String,
    /// How much of it is used.
    pub share: Share,
}

/// A stream that the namespace should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamHealth {
    /// Its name on the server.
    pub name: String,
    /// What is there; `None` if it is missing.
    pub found: Option<StreamState>,
}

/// A stream that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamState {
    /// How many messages it holds.
    pub messages: u64,
    /// How many bytes they take.
    pub bytes: Share,
    /// How many servers are to hold a copy.
    pub copies: usize,
    /// Servers that should hold a copy and are away, or have not caught up.
    pub behind: Vec<String>,
    /// How it differs from what the mesh relies on.
    pub difference: Option<String>,
}

/// What a consumer is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It brings requests into the log.
    Relay,
    /// It brings due timers into the log.
    Timers,
    /// It gives the ends of runs to janitors.
    Janitor(Tidying),
    /// It gives the events of this shard to its orchestrator.
    Shard(u32),
    /// It gives work of this capability, in this lane, to agents.
    Agents(Capability, Lane),
}

/// A consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerHealth {
    /// What it is for.
    pub role: Role,
    /// Its name on the server.
    pub name: String,
    /// What is there; `None` if it is missing.
    pub found: Option<ConsumerState>,
}

/// A consumer that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerState {
    /// Messages that it has not delivered yet.
    pub pending: u64,
    /// Messages that are delivered and not acknowledged.
    pub in_hand: u64,
    /// Of those in hand, the ones that were delivered more than once.
    pub repeated: u64,
    /// How many requests for messages wait at it: if none does, nobody asks, or all who would are busy.
    pub waiting: u64,
    /// The pinning of the client that it delivers to; `None` while nothing has been delivered to a client that still
    /// asks, and for consumers that pin nobody.
    pub pin: Option<String>,
    /// When it last delivered a message.
    pub last_delivery: Option<DateTime<Utc>>,
    /// When the server said all this, by its clock.
    pub at: DateTime<Utc>,
    /// How it differs from what the mesh relies on.
    pub difference: Option<String>,
}

impl ConsumerState {
    /// Whether somebody asks for messages, or did a moment ago.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.waiting > 0 || self.pin.is_some()
    }
}

/// What a consumer of a shard or of agents has before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// What it is for.
    pub role: Role,
    /// Messages that it has not delivered yet.
    pub pending: u64,
    /// Messages that are delivered and not acknowledged.
    pub in_hand: u64,
    /// Requests for messages that wait for one.
    pub asking: u64,
    /// When the oldest of those was stored that it has not delivered yet; only told of work for agents.
    pub oldest: Option<DateTime<Utc>>,
}

/// How the connection to the bus is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connection {
    /// Since when it is lost; `None` while it is there.
    pub lost: Option<BootInstant>,
    /// How often it was lost and is there again.
    pub returns: u64,
}

impl Connection {
    /// That it is lost, in words for people; `None` while it is there.
    #[must_use]
    pub fn problem(&self, now: BootInstant) -> Option<String> {
        let lost = self.lost?;
        Some(format!("no connection to NATS for {} s", now.since(lost).as_secs()))
    }
}

/// A process that is visible as a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Names the process.
    pub id: String,
    /// Its version.
    pub version: String,
    /// How it says that it is; null if it says nothing.
    pub report: Value,
}
