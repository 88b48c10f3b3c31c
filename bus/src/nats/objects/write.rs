use bytes::Bytes;
use chrono::Utc;
use futures::{StreamExt as _, TryStreamExt as _};
use mesh_schemas::{Headers, Message, ObjectName, ObjectOwner};

use super::super::bus::NatsBus;
use super::description::Description;
use crate::bus::{Publish, Stored};
use crate::error::BusError;
use crate::object;
use crate::topology::OBJECT_CHUNK_BYTES;

/// Chunks under way at once: 4 MiB, so that a slow server still answers each within its time limit, and a distant one
/// is kept busy.
const IN_FLIGHT: usize = 8;
/// The message replaces all that its subject holds.
const ROLLUP: (&str, &str) = ("Nats-Rollup", "sub");

impl NatsBus {
    pub(in crate::nats) async fn store_object(
        &self,
        owner: &ObjectOwner,
        content: Bytes,
    ) -> Result<ObjectName, BusError> {
        let name = object::name(owner, &content)?;
        let operation = format!("store object {name}");
        if let Some((description, time)) = self.readable_description(&name, &operation).await?
            && self.is_whole(&description, &operation).await?
        {
            if object::is_to_be_renewed(time, Utc::now()) {
                self.describe(&name, &description, &operation).await?;
            }
            return Ok(name);
        }
        let nuid = format!("{name}.{}", self.token());
        let subject = format!("{}{nuid}", self.chunks());
        let sequences = match self.store_chunks(&subject, &content, &operation).await {
            Ok(sequences) => sequences,
            Err(error) => {
                // As far as that can be done: what stays goes with the owner, but each further try would add to it. Once a
                // description is sent that names them, others may rely on them.
                let _ = self.purge(subject, &operation).await;
                return Err(error);
            }
        };
        let (bucket, size, chunks) = (self.namespace.object_bucket(), content.len(), sequences.len());
        let first = sequences.first().copied().unwrap_or_default();
        let description = Description::of(&name, bucket, nuid, size, chunks, first, Utc::now());
        self.describe(&name, &description, &operation).await?;
        Ok(name)
    }

    /// Stores the parts of an object, and returns their sequences.
    async fn store_chunks(
        &self,
        subject: &str,
        content: &Bytes,
        operation: &str,
    ) -> Result<Vec<u64>, BusError> {
        let size = OBJECT_CHUNK_BYTES.min(self.api.client.server_info().max_payload).max(1);
        // Empty content is one empty chunk: by its chunks an owner's objects are found.
        let pieces = content.len().div_ceil(size).max(1);
        let chunks = (0..pieces).map(|piece| {
            let begin = piece * size;
            let chunk = content.slice(begin..content.len().min(begin + size));
            self.store_part(subject.to_owned(), Headers::new(), chunk, operation)
        });
        let stored = futures::stream::iter(chunks).buffered(IN_FLIGHT).try_collect().await;
        stored.and_then(|sequences: Vec<u64>| match sequences.is_sorted() {
            true => Ok(sequences),
            // Readers take them in the order of the stream.
            false => Err(BusError::Unavailable {
                operation: operation.to_owned(),
                error: "the server stored its parts in another order".to_owned(),
            }),
        })
    }

    async fn describe(
        &self,
        name: &ObjectName,
        description: &Description,
        operation: &str,
    ) -> Result<(), BusError> {
        let body = serde_json::to_vec(description).map_err(|error| BusError::Refused {
            operation: operation.to_owned(),
            error: error.to_string(),
        })?;
        let headers = Headers::new().with(ROLLUP.0, ROLLUP.1);
        self.store_part(self.description_of(name), headers, body.into(), operation).await.map(drop)
    }

    async fn store_part(
        &self,
        subject: String,
        headers: Headers,
        payload: Bytes,
        operation: &str,
    ) -> Result<u64, BusError> {
        let message = Message { subject: subject.clone(), headers, payload };
        match self.store(Publish::plain(message)).await {
            Ok(Stored::Now(sequence)) => Ok(sequence),
            Ok(Stored::Already) => {
                let (operation, error) = (operation.to_owned(), "a duplicate of an earlier part".to_owned());
                Err(BusError::Refused { operation, error })
            }
            Err(failed) => Err(self.not_written(failed, &subject, operation.to_owned())),
        }
    }

    /// A token that no other writer uses.
    fn token(&self) -> String {
        let inbox = self.api.client.new_inbox();
        inbox.rsplit('.').next().unwrap_or(&inbox).to_owned()
    }
}
