//! What waits, for those who look again and again.

use super::connection::MemoryBus;
use super::filter::Filter;
use super::place::Place;
use crate::clock::BootInstant;
use crate::error::BusError;
use crate::health::{Backlog, Connection, Role};
use crate::topology::Stream;

impl MemoryBus {
    pub(super) fn look_at_connection(&self) -> Connection {
        let state = self.server.lock();
        Connection { lost: state.down_since.map(BootInstant::at), returns: state.returns }
    }

    pub(super) async fn look_before(&self, stream: Stream) -> Result<Vec<Backlog>, BusError> {
        let place = Place::from(stream);
        self.ask(
            || "look before consumers".to_owned(),
            |state| {
                let now = state.clock.now();
                let of_stream = state.consumers.iter().filter(|((of, _), _)| *of == place);
                let mut backlogs: Vec<Backlog> = of_stream
                    .filter_map(|((_, name), consumer)| {
                        let role = role_of(stream, name)?;
                        let look = consumer.look(now);
                        let is_work = matches!(role, Role::Agents(..));
                        let oldest = consumer.oldest().filter(|_| is_work);
                        let oldest = oldest.and_then(|sequence| state.log(place).at(sequence));
                        Some(Backlog {
                            role,
                            pending: look.fresh as u64,
                            in_hand: look.pending as u64,
                            asking: look.waiting as u64,
                            oldest: oldest.map(|stored| stored.time),
                        })
                    })
                    .collect();
                backlogs.sort_by(|a, b| a.role.cmp(&b.role));
                Ok(backlogs)
            },
        )
        .await
    }

    pub(super) async fn messages_on(&self, stream: Stream, filter: &str) -> Result<u64, BusError> {
        let wanted = Filter::new(filter);
        self.ask(
            || format!("count messages on {filter}"),
            |state| {
                self.there(state)?;
                let subjects = state.log(Place::from(stream)).subjects();
                Ok(subjects.filter(|subject| wanted.matches(subject)).count() as u64)
            },
        )
        .await
    }
}

fn role_of(stream: Stream, name: &str) -> Option<Role> {
    match stream {
        Stream::Events => name.strip_prefix("orchestrator-")?.parse().ok().map(Role::Shard),
        Stream::Tasks => {
            let (capability, lane) = name.strip_prefix("agent-")?.rsplit_once('-')?;
            Some(Role::Agents(capability.parse().ok()?, lane.parse().ok()?))
        }
        Stream::Inbox | Stream::Notes | Stream::Dead | Stream::History => None,
    }
}
