//! Buckets.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use mesh_schemas::{Headers, Message, StoredMessage};

use super::connection::MemoryBus;
use super::message as sent;
use super::read::along;
use super::state::{MARKER, OPERATION, State};
use crate::bus::{Entry, Publish, Stored, Watch};
use crate::error::{BusError, PublishError};
use crate::key;
use crate::topology::{Bucket, GONE_AGENT_TTL};

impl MemoryBus {
    pub(super) async fn get_key(&self, bucket: Bucket, key: &str) -> Result<Option<Entry>, BusError> {
        let operation = || format!("get {key:?} of a bucket");
        key::check(key, &operation())?;
        let stored =
            self.ask(operation, |state| Ok(self.there(state)?.log(bucket).last_on(key).cloned())).await?;
        Ok(stored.map(entry).filter(|entry| !entry.deleted))
    }

    pub(super) async fn put_key(
        &self,
        bucket: Bucket,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Result<u64, BusError> {
        self.write_key(bucket, key, Headers::new(), value, ttl).await
    }

    pub(super) async fn delete_key(&self, bucket: Bucket, key: &str) -> Result<(), BusError> {
        let headers = Headers::new().with(OPERATION, "DEL");
        let ttl = (bucket == Bucket::Agents).then_some(GONE_AGENT_TTL);
        self.write_key(bucket, key, headers, Bytes::new(), ttl).await.map(drop)
    }

    async fn write_key(
        &self,
        bucket: Bucket,
        key: &str,
        headers: Headers,
        payload: Bytes,
        ttl: Option<Duration>,
    ) -> Result<u64, BusError> {
        let operation = || format!("change {key:?} of a bucket");
        key::check(key, &operation())?;
        let message = Message { subject: key.to_owned(), headers, payload };
        sent::check(&message).map_err(|why| why.during(operation()))?;
        let publish = Publish { ttl, ..Publish::plain(message) };
        self.ask(operation, |state| match self.there(state)?.store(bucket.into(), publish) {
            Ok(Stored::Now(revision)) => Ok(revision),
            Ok(Stored::Already) => {
                Err(BusError::Refused { operation: operation(), error: "it is there already".to_owned() })
            }
            Err(PublishError::Retry(error)) => Err(BusError::Unavailable { operation: operation(), error }),
            Err(PublishError::TooLarge(error) | PublishError::Refused(error)) => {
                Err(BusError::Refused { operation: operation(), error })
            }
        })
        .await
    }

    pub(super) async fn all_entries(&self, bucket: Bucket) -> Result<Vec<Entry>, BusError> {
        let entries = self
            .ask(
                || "read a bucket".to_owned(),
                |state| {
                    Ok(self.there(state)?.log(bucket).all_after(0).cloned().map(entry).collect::<Vec<_>>())
                },
            )
            .await?;
        Ok(entries.into_iter().filter(|entry| !entry.deleted).collect())
    }

    pub(super) async fn watch_bucket(&self, bucket: Bucket) -> Result<Watch, BusError> {
        let grown = self
            .ask(|| "watch a bucket".to_owned(), |state| Ok(self.there(state)?.log(bucket).grown()))
            .await?;
        let changes = along(self, bucket.into(), Vec::new(), 0, grown);
        let changes = changes.map(|stored| Ok(stored.map(entry)));
        Ok(changes.boxed())
    }

    /// What the server holds, if the namespace is set up.
    pub(super) fn there<'a>(&self, state: &'a mut State) -> Result<&'a mut State, BusError> {
        if state.layout.is_some() { Ok(state) } else { Err(self.not_set_up()) }
    }
}

fn entry(stored: StoredMessage) -> Entry {
    let Message { subject: key, headers, payload } = stored.message;
    let deleted = headers.get(MARKER).is_some() || headers.get(OPERATION) == Some("DEL");
    Entry { key, value: payload, revision: stored.sequence, time: stored.time, deleted }
}
