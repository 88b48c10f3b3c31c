//! Looking at everything.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use mesh_schemas::Namespace;

use super::connection::MemoryBus;
use super::consumer::Consumer;
use super::filter::Filter;
use super::message::MAX_PAYLOAD;
use super::place::Place;
use super::state::State;
use crate::error::BusError;
use crate::health::{
    ConsumerHealth, ConsumerState, Fill, Health, Role, Server, Share, StreamHealth, StreamState, Usage,
};
use crate::history::late_histories;
use crate::topology::{
    Bucket, Stream, Tidying, janitor_consumer, relay_consumer, shard_consumer, timer_consumer,
};

impl MemoryBus {
    pub(super) async fn look_at_everything(&self) -> Result<Health, BusError> {
        let namespace = self.server.namespace();
        self.ask(|| "look at everything".to_owned(), |state| Ok(look(state, namespace))).await
    }

    pub(super) async fn fullest(&self) -> Result<Option<Fill>, BusError> {
        let namespace = self.server.namespace();
        let fills = |state: &mut State| {
            self.there(state)?;
            let fills = [Stream::Events, Stream::Tasks].into_iter().flat_map(|stream| {
                let (place, log) = (Place::from(stream), state.log(stream));
                let messages = state.limits.get(&place).map(|most| *most as u64);
                let bytes = Share { used: log.bytes(), limit: state.limited_bytes(place) };
                [bytes, Share { used: log.len() as u64, limit: messages }]
                    .map(|share| Fill { what: stream.name(namespace), share })
            });
            Ok(fills.filter(|fill| fill.share.limit.is_some()).max_by_key(|fill| fill.share.thousandths()))
        };
        self.ask(|| "look how full the log is".to_owned(), fills).await
    }

    pub(super) async fn limit_of(&self, stream: Stream) -> Result<Option<u64>, BusError> {
        let limit = |state: &mut State| {
            self.there(state)?;
            Ok(state.limited_bytes(Place::from(stream)))
        };
        self.ask(|| format!("look at stream {}", stream.name(self.server.namespace())), limit).await
    }
}

fn look(state: &State, namespace: &Namespace) -> Health {
    let shards = state.layout.as_ref().map(|layout| layout.shards);
    let exact = (TimeDelta::zero(), Duration::ZERO);
    let used = |used: usize| Share { used: used as u64, limit: None };
    let there = state.layout.is_some();
    Health {
        server: Server {
            name: "memory".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cluster: None,
            max_payload: MAX_PAYLOAD,
        },
        usage: Usage {
            storage: Share {
                used: Place::ALL.iter().map(|place| state.log(*place).bytes()).sum(),
                limit: None,
            },
            streams: used(if there { Place::ALL.len() } else { 0 }),
            consumers: used(state.consumers.len()),
        },
        clock: there.then_some(exact),
        shards,
        synced: state.synced,
        streams: streams(state, namespace),
        consumers: consumers(state, namespace),
        late_runs: late_runs(state, namespace),
    }
}

fn late_runs(state: &State, namespace: &Namespace) -> u64 {
    let late = Filter::new(&late_histories(namespace));
    let subjects = state.log(Stream::History).subjects();
    subjects.filter(|subject| late.matches(subject)).collect::<BTreeSet<_>>().len() as u64
}

fn streams(state: &State, namespace: &Namespace) -> Vec<StreamHealth> {
    let streams = Stream::ALL.map(|stream| (stream.name(namespace), Place::from(stream)));
    let buckets = Bucket::ALL.map(|bucket| (format!("KV_{}", bucket.name(namespace)), Place::from(bucket)));
    let objects = (format!("OBJ_{}", namespace.object_bucket()), Place::Objects);
    let look = |(name, place): (String, Place)| {
        let log = state.log(place);
        let found = state.layout.is_some().then(|| StreamState {
            messages: log.len() as u64,
            bytes: Share { used: log.bytes(), limit: state.limited_bytes(place) },
            copies: 1,
            behind: Vec::new(),
            difference: None,
        });
        StreamHealth { name, found }
    };
    streams.into_iter().chain(buckets).chain([objects]).map(look).collect()
}

fn consumers(state: &State, namespace: &Namespace) -> Vec<ConsumerHealth> {
    let shards = state.layout.as_ref().into_iter().flat_map(|layout| layout.shards.iter());
    let mut wanted =
        vec![(Role::Relay, relay_consumer(namespace)), (Role::Timers, timer_consumer(namespace))];
    wanted.extend(Tidying::ALL.map(|tidying| (Role::Janitor(tidying), janitor_consumer(namespace, tidying))));
    wanted.extend(shards.map(|shard| (Role::Shard(shard), shard_consumer(namespace, shard))));
    let mut seen: Vec<ConsumerHealth> = wanted
        .into_iter()
        .map(|(role, spec)| {
            let found = state.consumers.get(&(spec.stream.into(), spec.name.clone()));
            ConsumerHealth { role, name: spec.name, found: found.map(|consumer| how(state, consumer)) }
        })
        .collect();
    for ((place, name), consumer) in &state.consumers {
        if *place == Place::Tasks
            && let Some((capability, lane)) =
                name.strip_prefix("agent-").and_then(|rest| rest.rsplit_once('-'))
            && let (Ok(capability), Ok(lane)) = (capability.parse(), lane.parse())
        {
            let role = Role::Agents(capability, lane);
            seen.push(ConsumerHealth { role, name: name.clone(), found: Some(how(state, consumer)) });
        }
    }
    seen.sort_by(|a, b| a.role.cmp(&b.role));
    seen
}

fn how(state: &State, consumer: &Consumer) -> ConsumerState {
    let look = consumer.look(state.clock.now());
    ConsumerState {
        pending: look.fresh as u64,
        in_hand: look.pending as u64,
        repeated: look.repeated as u64,
        waiting: look.waiting as u64,
        pin: look.pin,
        last_delivery: look.last_delivery.map(|time| state.clock.date(time)),
        at: state.clock.date(state.clock.now()),
        difference: None,
    }
}
