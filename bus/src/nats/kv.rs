//! Buckets: streams with one message for each key, laid out as NATS clients expect (ADR-8).

use std::time::Duration;

use async_nats::jetstream::consumer::DeliverPolicy;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use mesh_schemas::{Headers, Message, StoredMessage};

use super::bus::NatsBus;
use super::publish::NotStored;
use super::reader::Reader;
use crate::bus::{Entry, Publish, Stored, Watch};
use crate::error::{BusError, PublishError};
use crate::key;
use crate::topology::{Bucket, GONE_AGENT_TTL};

/// Tells that a message removes its key.
const OPERATION: &str = "KV-Operation";
/// The server wrote the message when the value's time was over or it was removed.
const MARKER: &str = "Nats-Marker-Reason";
/// Pause before a watch tries again to reach the bucket.
const WATCH_PAUSE: Duration = Duration::from_millis(250);

/// Name of the stream that holds a bucket.
pub(super) fn stream_of(bucket: &str) -> String {
    format!("KV_{bucket}")
}

/// What the subjects of a bucket begin with.
pub(super) fn prefix_of(bucket: &str) -> String {
    format!("$KV.{bucket}.")
}

impl NatsBus {
    pub(super) async fn get_key(&self, bucket: Bucket, key: &str) -> Result<Option<Entry>, BusError> {
        let name = bucket.name(&self.namespace);
        let operation = format!("get {key:?} of bucket {name}");
        let prefix = prefix_of(&name);
        key::check(key, &operation)?;
        let subject = format!("{prefix}{key}");
        let stored = self.last_on(&stream_of(&name), &subject, &operation).await?;
        Ok(stored.map(|stored| entry(&prefix, stored)).filter(|entry| !entry.deleted))
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
        // The mark of a key that is gone is itself forgotten where values are.
        let ttl = (bucket == Bucket::Agents).then_some(GONE_AGENT_TTL);
        let headers = Headers::new().with(OPERATION, "DEL");
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
        let name = bucket.name(&self.namespace);
        let operation = format!("change {key:?} of bucket {name}");
        key::check(key, &operation)?;
        let subject = format!("{}{key}", prefix_of(&name));
        let message = Message { subject: subject.clone(), headers, payload };
        let publish = Publish { ttl, ..Publish::plain(message) };
        match self.store(publish).await {
            Ok(Stored::Now(revision)) => Ok(revision),
            Ok(Stored::Already) => {
                Err(BusError::Refused { operation, error: "a duplicate of an earlier change".to_owned() })
            }
            Err(failed) => Err(self.not_written(failed, &subject, operation)),
        }
    }

    /// Why a part of a bucket was not written.
    pub(super) fn not_written(&self, failed: NotStored, subject: &str, operation: String) -> BusError {
        if matches!(failed, NotStored::NoStream) {
            return BusError::NotSetUp(self.namespace.to_string());
        }
        match failed.for_publisher(subject) {
            PublishError::Retry(error) => BusError::Unavailable { operation, error },
            PublishError::TooLarge(error) | PublishError::Refused(error) => {
                BusError::Refused { operation, error }
            }
        }
    }

    pub(super) async fn all_entries(&self, bucket: Bucket) -> Result<Vec<Entry>, BusError> {
        let present = self.watch_bucket(bucket).await?;
        let present = present.try_take_while(|entry| std::future::ready(Ok(entry.is_some())));
        let entries: Vec<Option<Entry>> = present.try_collect().await?;
        Ok(entries.into_iter().flatten().filter(|entry| !entry.deleted).collect())
    }

    pub(super) async fn watch_bucket(&self, bucket: Bucket) -> Result<Watch, BusError> {
        let name = bucket.name(&self.namespace);
        let operation = format!("watch bucket {name}");
        let prefix = prefix_of(&name);
        let filters = vec![format!("{prefix}>")];
        let mut reader =
            Reader::new(self.api.clone(), stream_of(&name), filters, DeliverPolicy::LastPerSubject);
        reader.open().await.map_err(|failure| self.about_stream(failure, operation.clone()))?;
        let changes = futures::stream::unfold(Some(reader), move |reader| {
            let (prefix, operation) = (prefix.clone(), operation.clone());
            async move {
                let mut reader = reader?;
                loop {
                    match reader.next().await {
                        Ok(received) => {
                            let entry = received.map(|received| entry(&prefix, received.stored));
                            return Some((Ok(entry), Some(reader)));
                        }
                        Err(failure) => {
                            let error = failure.during(operation.clone());
                            if !error.is_retryable() {
                                return Some((Err(error), None));
                            }
                            tracing::debug!(%error, "a watch tries again");
                            tokio::time::sleep(WATCH_PAUSE).await;
                        }
                    }
                }
            }
        });
        Ok(changes.boxed())
    }
}

fn entry(prefix: &str, stored: StoredMessage) -> Entry {
    let Message { subject, headers, payload } = stored.message;
    let deleted = headers.get(MARKER).is_some() || matches!(headers.get(OPERATION), Some("DEL" | "PURGE"));
    let key = subject.strip_prefix(prefix).unwrap_or(&subject).to_owned();
    let value = if deleted { Bytes::new() } else { payload };
    Entry { key, value, revision: stored.sequence, time: stored.time, deleted }
}
