//! What waits, for those who look again and again.

use async_nats::jetstream::consumer;
use serde_json::json;

use super::batch::Batch;
use super::bus::NatsBus;
use super::health::work;
use crate::error::BusError;
use crate::health::{Backlog, Role};
use crate::topology::{Stream, agent_consumer, shard_consumer};

impl NatsBus {
    pub(super) async fn look_before(&self, stream: Stream) -> Result<Vec<Backlog>, BusError> {
        let name = stream.name(&self.namespace);
        let mut backlogs = Vec::new();
        for (info, _) in self.list_consumers(&name).await? {
            let Some(role) = self.role_of(stream, &info) else { continue };
            let oldest = match &role {
                Role::Agents(capability, lane) if info.num_pending > 0 => {
                    let filter = agent_consumer(&self.namespace, capability, lane).filters.concat();
                    let from = info.delivered.stream_sequence + 1;
                    let what = json!({ "seq": from, "next_by_subj": filter });
                    self.direct_get(&name, &what, "look for the oldest task").await?.map(|oldest| oldest.time)
                }
                _ => None,
            };
            let (pending, in_hand) = (info.num_pending, info.num_ack_pending as u64);
            let asking = info.num_waiting as u64;
            backlogs.push(Backlog { role, pending, in_hand, asking, oldest });
        }
        backlogs.sort_by(|a, b| a.role.cmp(&b.role));
        Ok(backlogs)
    }

    fn role_of(&self, stream: Stream, info: &consumer::Info) -> Option<Role> {
        match stream {
            Stream::Events => {
                let shard = info.name.strip_prefix("orchestrator-")?.parse().ok()?;
                (shard_consumer(&self.namespace, shard).name == info.name).then_some(Role::Shard(shard))
            }
            Stream::Tasks => {
                let (capability, lane) = work(&self.namespace, &info.config)?;
                let spec = agent_consumer(&self.namespace, &capability, &lane);
                (spec.name == info.name).then_some(Role::Agents(capability, lane))
            }
            Stream::Inbox | Stream::Notes | Stream::Dead | Stream::History => None,
        }
    }

    pub(super) async fn messages_on(&self, stream: Stream, filter: &str) -> Result<u64, BusError> {
        let name = stream.name(&self.namespace);
        let operation = || format!("count messages on {filter}");
        let what = json!({ "seq": 1, "next_by_subj": filter, "batch": 1 });
        let mut first = 0;
        match self.api.batch(&name, &what, |_| first += 1).await {
            Ok(Batch::End { left, .. }) => Ok(first + left.unwrap_or_default()),
            Ok(Batch::NotFound | Batch::TooMany) => Ok(0),
            Err(super::api::Failure::NoResponders) => Err(self.why_nobody_reads(&name, &operation()).await),
            Err(failure) => Err(failure.during(operation())),
        }
    }
}
