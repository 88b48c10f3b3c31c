//! Looking at everything of a namespace without changing anything.

use std::time::{Duration, Instant};

use async_nats::jetstream::account::Account;
use async_nats::jetstream::stream::{Config, Info};
use async_nats::jetstream::{ErrorCode, consumer};
use chrono::{DateTime, TimeDelta, Utc};
use mesh_schemas::{Capability, Lane, Namespace};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{Failure, answer_of, to_json};
use super::bus::NatsBus;
use super::{consumer as consumers, topology};
use crate::bus::Bus as _;
use crate::consume::ConsumerSpec;
use crate::error::BusError;
use crate::health::{
    ConsumerHealth, ConsumerState, Fill, Health, Role, Server, Share, StreamHealth, StreamState, Usage,
};
use crate::history::late_histories;
use crate::topology::{
    Bucket, Stream, Tidying, Topology, agent_consumer, janitor_consumer, relay_consumer, shard_consumer,
    timer_consumer,
};

/// What the client leaves out of the answers about streams and consumers.
#[derive(Deserialize)]
pub(super) struct Times {
    /// When the server answered, by its clock.
    ts: DateTime<Utc>,
    #[serde(default)]
    delivered: Delivered,
}

#[derive(Deserialize, Default)]
struct Delivered {
    last_active: Option<DateTime<Utc>>,
}

/// One page of the list of a stream's consumers.
#[derive(Deserialize)]
struct Page {
    total: usize,
    consumers: Option<Vec<Value>>,
}

/// A stream that was looked at.
struct Look {
    info: Info,
    /// How far the server's clock is ahead of ours, and how far off that may be.
    clock: (TimeDelta, Duration),
}

impl NatsBus {
    pub(super) async fn look_at_everything(&self) -> Result<Health, BusError> {
        let account: Result<Account, Failure> = self.api.call("INFO", &json!({})).await;
        let usage = usage(&account.map_err(|failure| failure.during("look at the account"))?);
        let log = self.look_at(&Stream::Events.name(&self.namespace)).await?;
        let shards = log.as_ref().and_then(|log| topology::shards_of(&log.info.config).ok());
        let synced = log.as_ref().is_some_and(|log| topology::is_synced(&log.info.config));
        let mut clock = log.as_ref().map(|log| log.clock);
        let topology = Topology { shards: shards.unwrap_or_default(), ..Topology::default() };
        let wanted = self.stream_config(Stream::Events, &topology);
        let mut streams = vec![stream_health(&wanted, log.map(|log| log.info))];
        let others = Stream::ALL.into_iter().filter(|stream| *stream != Stream::Events);
        let others = others.map(|stream| self.stream_config(stream, &topology));
        let buckets = Bucket::ALL.map(|bucket| self.bucket_config(bucket, &topology));
        for wanted in others.chain(buckets).chain([self.objects_config(&topology)]) {
            let look = self.look_at(&wanted.name).await?;
            // The quicker the answer, the surer is what it says about the clock.
            clock = clock.into_iter().chain(look.as_ref().map(|look| look.clock)).min_by_key(|clock| clock.1);
            streams.push(stream_health(&wanted, look.map(|look| look.info)));
        }
        let shards_there = shards.into_iter().flat_map(|shards| shards.iter());
        let namespace = &self.namespace;
        let inbox =
            [(Role::Relay, relay_consumer(namespace)), (Role::Timers, timer_consumer(namespace))].to_vec();
        let mut consumers = self.consumers_of(Stream::Inbox, inbox).await?;
        let shards_there = shards_there.map(|shard| (Role::Shard(shard), shard_consumer(namespace, shard)));
        let janitors =
            Tidying::ALL.map(|tidying| (Role::Janitor(tidying), janitor_consumer(namespace, tidying)));
        let log = shards_there.chain(janitors).collect();
        consumers.extend(self.consumers_of(Stream::Events, log).await?);
        consumers.extend(self.consumers_of(Stream::Tasks, Vec::new()).await?);
        let late_runs = self.late_runs().await?;
        Ok(Health { server: self.server(), usage, clock, shards, synced, streams, consumers, late_runs })
    }

    pub(super) async fn fullest(&self) -> Result<Option<Fill>, BusError> {
        let mut fills = Vec::new();
        for stream in [Stream::Events, Stream::Tasks] {
            let name = stream.name(&self.namespace);
            let info = self.info_of(stream).await?;
            let (bytes, messages) = (limit(info.config.max_bytes), limit(info.config.max_messages));
            let bytes = Share { used: info.state.bytes, limit: bytes };
            let messages = Share { used: info.state.messages, limit: messages };
            fills.extend([bytes, messages].map(|share| Fill { what: name.clone(), share }));
        }
        // Not everyone may look at the account; what the streams may hold counts all the same.
        match self.api.call::<Account>("INFO", &json!({})).await {
            Ok(account) => {
                fills.push(Fill { what: "the account".to_owned(), share: usage(&account).storage });
            }
            Err(Failure::Denied(error)) => tracing::debug!(error, "how full the account is cannot be seen"),
            Err(failure) => return Err(failure.during("look at the account")),
        }
        let limited = fills.into_iter().filter(|fill| fill.share.limit.is_some());
        Ok(limited.max_by_key(|fill| fill.share.thousandths()))
    }

    pub(super) async fn limit_of(&self, stream: Stream) -> Result<Option<u64>, BusError> {
        Ok(limit(self.info_of(stream).await?.config.max_bytes))
    }

    async fn info_of(&self, stream: Stream) -> Result<Info, BusError> {
        let name = stream.name(&self.namespace);
        let info = self.stream_info(&name).await;
        info.map_err(|failure| self.about_stream(failure, format!("look at stream {name}")))
    }

    /// For how many archived runs something is kept that came late. Each has a subject.
    async fn late_runs(&self) -> Result<u64, BusError> {
        let name = Stream::History.name(&self.namespace);
        match self.api.subjects(&name, &late_histories(&self.namespace)).await {
            Ok(subjects) => Ok(subjects.len() as u64),
            Err(failure) if failure.code() == Some(ErrorCode::STREAM_NOT_FOUND) => Ok(0),
            Err(failure) => Err(failure.during("count runs with late events")),
        }
    }

    fn server(&self) -> Server {
        let info = self.api.client.server_info();
        Server {
            name: info.server_name,
            version: info.version,
            cluster: info.cluster.filter(|name| !name.is_empty()),
            max_payload: info.max_payload,
        }
    }

    async fn look_at(&self, stream: &str) -> Result<Option<Look>, BusError> {
        let operation = || format!("look at stream {stream}");
        let asked = (Instant::now(), self.now());
        let arguments = to_json(&json!({})).map_err(|failure| failure.during(operation()))?;
        let answer = self.api.request(format!("$JS.API.STREAM.INFO.{stream}"), None, arguments).await;
        let took = asked.0.elapsed();
        let answer = answer.map_err(|failure| failure.during(operation()))?;
        let info: Info = match answer_of(&answer) {
            Ok(info) => info,
            Err(failure) if failure.code() == Some(ErrorCode::STREAM_NOT_FOUND) => return Ok(None),
            Err(failure) => return Err(failure.during(operation())),
        };
        let times: Times = answer_of(&answer).map_err(|failure| failure.during(operation()))?;
        // The server looked at its clock somewhere between our asking and its answer: in the middle, by and large.
        let half = took / 2;
        let ours = asked.1 + TimeDelta::from_std(half).unwrap_or_default();
        Ok(Some(Look { info, clock: (times.ts - ours, half) }))
    }

    /// The consumers of a stream that should be there, and those of agents, which may be.
    async fn consumers_of(
        &self,
        stream: Stream,
        wanted: Vec<(Role, ConsumerSpec)>,
    ) -> Result<Vec<ConsumerHealth>, BusError> {
        let name = stream.name(&self.namespace);
        let mut seen = self.list_consumers(&name).await?;
        let mut consumers = Vec::new();
        for (role, spec) in wanted {
            let place = seen.iter().position(|(info, _)| info.name == spec.name);
            let found = place.map(|place| seen.swap_remove(place));
            let found = found.map(|(info, times)| consumer_state(&spec, info, &times));
            consumers.push(ConsumerHealth { role, name: spec.name, found });
        }
        for (info, times) in seen {
            let Some((capability, lane)) = work(&self.namespace, &info.config) else { continue };
            let spec = agent_consumer(&self.namespace, &capability, &lane);
            // Somebody's own consumer on the same work is none that agents bind to.
            if info.name == spec.name {
                let found = Some(consumer_state(&spec, info, &times));
                consumers.push(ConsumerHealth {
                    role: Role::Agents(capability, lane),
                    name: spec.name,
                    found,
                });
            }
        }
        consumers.sort_by(|a, b| a.role.cmp(&b.role));
        Ok(consumers)
    }

    pub(super) async fn list_consumers(
        &self,
        stream: &str,
    ) -> Result<Vec<(consumer::Info, Times)>, BusError> {
        let failed = |failure: Failure| failure.during(format!("list the consumers of {stream}"));
        let mut seen = Vec::new();
        loop {
            let arguments = json!({ "offset": seen.len() });
            let page: Page = match self.api.call(&format!("CONSUMER.LIST.{stream}"), &arguments).await {
                Ok(page) => page,
                Err(failure) if failure.code() == Some(ErrorCode::STREAM_NOT_FOUND) => return Ok(seen),
                Err(failure) => return Err(failed(failure)),
            };
            let consumers = page.consumers.unwrap_or_default();
            if consumers.is_empty() {
                return Ok(seen);
            }
            for value in consumers {
                let unreadable = |error: serde_json::Error| failed(Failure::Invalid(error.to_string()));
                let times = Times::deserialize(&value).map_err(unreadable)?;
                seen.push((serde_json::from_value(value).map_err(unreadable)?, times));
            }
            if seen.len() >= page.total {
                return Ok(seen);
            }
        }
    }
}

/// What a stream may hold; 0 and less are no limit.
fn limit(limit: i64) -> Option<u64> {
    u64::try_from(limit).ok().filter(|limit| *limit > 0)
}

fn usage(account: &Account) -> Usage {
    // An account whose limits are set per number of copies has them in tiers; those add up.
    let tiers = account.tiers.values();
    let (mut storage, mut streams, mut consumers) =
        (account.limits.max_storage, account.limits.max_streams, account.limits.max_consumers);
    if !account.tiers.is_empty() {
        storage = tiers.clone().map(|tier| tier.limits.max_storage).sum();
        streams = tiers.clone().map(|tier| tier.limits.max_streams).sum();
        consumers = tiers.map(|tier| tier.limits.max_consumers).sum();
    }
    let share =
        |used: u64, limit: Option<i64>| Share { used, limit: limit.and_then(|limit| limit.try_into().ok()) };
    Usage {
        storage: share(account.storage, storage),
        streams: share(account.streams as u64, streams),
        consumers: share(account.consumers as u64, consumers),
    }
}

fn stream_health(wanted: &Config, found: Option<Info>) -> StreamHealth {
    let found = found.map(|info| {
        let peers = info.cluster.map(|cluster| cluster.replicas).unwrap_or_default();
        StreamState {
            messages: info.state.messages,
            bytes: Share {
                used: info.state.bytes,
                limit: u64::try_from(info.config.max_bytes).ok().filter(|limit| *limit > 0),
            },
            copies: info.config.num_replicas,
            behind: peers
                .into_iter()
                .filter(|peer| !peer.current || peer.offline)
                .map(|peer| peer.name)
                .collect(),
            difference: topology::difference(wanted, &info.config),
        }
    });
    StreamHealth { name: wanted.name.clone(), found }
}

fn consumer_state(spec: &ConsumerSpec, info: consumer::Info, times: &Times) -> ConsumerState {
    let difference = consumers::difference(&consumers::config(spec), &info.config);
    ConsumerState {
        pending: info.num_pending,
        in_hand: info.num_ack_pending as u64,
        repeated: info.num_redelivered as u64,
        waiting: info.num_waiting as u64,
        pin: consumers::pin_of(info),
        last_delivery: times.delivered.last_active,
        at: times.ts,
        difference,
    }
}

/// The work that a consumer delivers, if it is of one capability and lane.
pub(super) fn work(namespace: &Namespace, config: &consumer::Config) -> Option<(Capability, Lane)> {
    let filters = consumers::filters(config);
    let filter = filters.first().filter(|_| filters.len() == 1)?;
    let created = filter.strip_prefix(namespace.as_str())?.strip_prefix(".task.created.")?;
    let (capability, lane) = created.strip_suffix(".>")?.split_once('.')?;
    Some((capability.parse().ok()?, lane.parse().ok()?))
}
