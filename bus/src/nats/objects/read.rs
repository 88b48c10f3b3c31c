use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use mesh_schemas::{Digest, MAX_OBJECT_BYTES, ObjectName, StoredMessage};
use serde_json::json;

use super::super::api::Failure;
use super::super::batch::Batch;
use super::super::bus::NatsBus;
use super::description::Description;
use crate::error::BusError;

/// Bytes that one request is answered with at most: what a server holds back for one client before it takes it for too
/// slow is 64 MiB.
const PAGE_BYTES: usize = 8 * 1024 * 1024;

impl NatsBus {
    pub(in crate::nats) async fn read_object(&self, name: &ObjectName) -> Result<Option<Bytes>, BusError> {
        let operation = format!("read object {name}");
        let Some((description, _)) = self.description(name, &operation).await? else {
            return self.is_missing(name, operation).await.map(|()| None);
        };
        if description.deleted {
            return Ok(None);
        }
        let damaged = |error: String| BusError::Damaged { name: name.to_string(), error };
        let size = usize::try_from(description.size).unwrap_or(usize::MAX);
        if size > MAX_OBJECT_BYTES {
            return Err(damaged(format!("it has {size} bytes, and at most {MAX_OBJECT_BYTES} are allowed")));
        }
        let content = self.content(&description, size, &operation).await?;
        if content.len() < size {
            // A server that is behind may lack what the others have.
            if self.is_whole(&description, &operation).await? {
                let error = "the answering server does not have all of it yet".to_owned();
                return Err(BusError::Unavailable { operation, error });
            }
            return Err(damaged(format!("{} of its {size} bytes are there", content.len())));
        }
        if Digest::of(&content) != *name.digest() {
            return Err(damaged("its content is another than its name says".to_owned()));
        }
        Ok(Some(content))
    }

    /// What is written down of an object, and when it was, as the answering server knows it.
    pub(super) async fn description(
        &self,
        name: &ObjectName,
        operation: &str,
    ) -> Result<Option<(Description, DateTime<Utc>)>, BusError> {
        let subject = self.description_of(name);
        let Some(stored) = self.last_on(&self.object_stream(), &subject, operation).await? else {
            return Ok(None);
        };
        let description =
            serde_json::from_slice(&stored.message.payload).map_err(|error| BusError::Damaged {
                name: name.to_string(),
                error: format!("its description is unreadable: {error}"),
            })?;
        Ok(Some((description, stored.time)))
    }

    /// The same, where one that cannot be read is as good as none.
    pub(super) async fn readable_description(
        &self,
        name: &ObjectName,
        operation: &str,
    ) -> Result<Option<(Description, DateTime<Utc>)>, BusError> {
        match self.description(name, operation).await {
            Err(BusError::Damaged { .. }) => Ok(None),
            description => description,
        }
    }

    /// Succeeds if an object that a server does not know is not there: the leader of the stream knows.
    async fn is_missing(&self, name: &ObjectName, operation: String) -> Result<(), BusError> {
        match self.api.leader_last(&self.object_stream(), &self.description_of(name)).await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => {
                let error = "the answering server does not have it yet".to_owned();
                Err(BusError::Unavailable { operation, error })
            }
            Err(failure) => Err(self.about_stream(failure, operation)),
        }
    }

    /// Whether all chunks of an object are there, by the leader of the stream.
    pub(super) async fn is_whole(
        &self,
        description: &Description,
        operation: &str,
    ) -> Result<bool, BusError> {
        let subject = format!("{}{}", self.chunks(), description.nuid);
        let held = self.subjects(&subject, operation).await?.into_values().sum::<u64>();
        Ok(!description.deleted && held == description.chunks)
    }

    /// The subjects that match a filter and how many messages each holds, by the leader of the stream.
    pub(super) async fn subjects(
        &self,
        filter: &str,
        operation: &str,
    ) -> Result<BTreeMap<String, u64>, BusError> {
        let subjects = self.api.subjects(&self.object_stream(), filter).await;
        subjects.map_err(|failure| self.about_stream(failure, operation.to_owned()))
    }

    /// As much of the content of an object as the answering server has, in order.
    async fn content(
        &self,
        description: &Description,
        size: usize,
        operation: &str,
    ) -> Result<Bytes, BusError> {
        let subject = format!("{}{}", self.chunks(), description.nuid);
        let (mut content, mut from) = (BytesMut::with_capacity(size), description.first());
        while content.len() < size {
            match self.page_of_object(&subject, from, description.chunks, &mut content).await {
                Ok(Some(last)) => from = last + 1,
                Ok(None) => break,
                Err(Failure::NoResponders) => {
                    return Err(self.why_nobody_reads(&self.object_stream(), operation).await);
                }
                Err(failure) => return Err(failure.during(operation)),
            }
        }
        Ok(content.freeze())
    }

    /// Adds the content of chunks from a sequence on; returns the sequence of the last, if there was one.
    async fn page_of_object(
        &self,
        subject: &str,
        from: u64,
        batch: u64,
        content: &mut BytesMut,
    ) -> Result<Option<u64>, Failure> {
        let request =
            json!({ "next_by_subj": subject, "seq": from, "batch": batch, "max_bytes": PAGE_BYTES });
        let mut last = None;
        let take = |chunk: StoredMessage| {
            content.extend_from_slice(&chunk.message.payload);
            last = Some(chunk.sequence);
        };
        match self.api.batch(&self.object_stream(), &request, take).await? {
            Batch::End { .. } | Batch::NotFound => Ok(last),
            Batch::TooMany => Err(Failure::Invalid("the server takes no request for one subject".to_owned())),
        }
    }
}
