use std::collections::{BTreeMap, BTreeSet};

use async_nats::jetstream::consumer::DeliverPolicy;
use chrono::{DateTime, Utc};
use mesh_schemas::{Digest, ObjectName, ObjectOwner, StoredMessage};
use tokio::time::timeout;

use super::super::api::{Failure, TIME_LIMIT};
use super::super::bus::NatsBus;
use super::super::reader::Reader;
use super::description;
use crate::bus::OwnedObjects;
use crate::error::BusError;

/// What was seen of an owner.
#[derive(Default)]
struct Seen {
    newest: DateTime<Utc>,
    described: BTreeSet<Digest>,
    /// Of these there are chunks that we put.
    held: BTreeSet<Digest>,
}

impl NatsBus {
    pub(in crate::nats) async fn list_objects(&self) -> Result<Vec<OwnedObjects>, BusError> {
        let operation = || "list all objects".to_owned();
        let stream = self.object_stream();
        let filters = vec![format!("{}>", self.chunks()), format!("{}>", self.descriptions())];
        // Each subject once, and only when its last message was stored: not what is in it.
        let reader = Reader::new(self.api.clone(), stream, filters, DeliverPolicy::LastPerSubject);
        let mut reader = reader.headers_only();
        let mut owners = BTreeMap::new();
        loop {
            let next = timeout(TIME_LIMIT, reader.next()).await;
            let next =
                next.unwrap_or_else(|_| Err(Failure::Unavailable("the objects do not come".to_owned())));
            match next.map_err(|failure| self.about_stream(failure, operation()))? {
                Some(received) => self.note(received.stored, &mut owners),
                None => {
                    reader.close().await;
                    return Ok(owners.into_iter().map(owned).collect());
                }
            }
        }
    }

    fn note(&self, stored: StoredMessage, owners: &mut BTreeMap<ObjectOwner, Seen>) {
        let subject = &stored.message.subject;
        let described = subject.strip_prefix(&self.descriptions()).and_then(description::decode);
        let is_described = described.is_some();
        let Some(name) = described.or_else(|| self.put_as(subject)) else { return };
        let seen = owners.entry(name.owner().clone()).or_default();
        seen.newest = seen.newest.max(stored.time);
        let digests = if is_described { &mut seen.described } else { &mut seen.held };
        digests.insert(name.digest().clone());
    }
}

fn owned((owner, seen): (ObjectOwner, Seen)) -> OwnedObjects {
    let strays = seen.described.difference(&seen.held);
    let strays = strays.map(|digest| ObjectName::new(owner.clone(), digest.clone())).collect();
    OwnedObjects { owner, newest: seen.newest, strays }
}
