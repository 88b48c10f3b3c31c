//! Removing messages.

use async_nats::jetstream::ErrorCode;
use mesh_schemas::RunId;
use serde::de::IgnoredAny;
use serde_json::json;

use super::api::Failure;
use super::bus::NatsBus;
use crate::error::BusError;
use crate::topology::Stream;

impl NatsBus {
    pub(super) async fn remove_message(&self, stream: &str, sequence: u64) -> Result<bool, BusError> {
        let removed = self.delete_from(stream, sequence).await;
        removed
            .map_err(|failure| self.about_stream(failure, format!("remove message {sequence} of {stream}")))
    }

    pub(super) async fn forget_notes(&self, run: &RunId) -> Result<(), BusError> {
        let notes = Stream::Notes.name(&self.namespace);
        let filter = format!("{}.task.*.*.*.{run}.>", self.namespace);
        self.purge_from(&notes, &filter, &format!("remove the notes of run {run}")).await
    }

    /// Removes all messages of a stream on subjects that match.
    pub(super) async fn purge_from(
        &self,
        stream: &str,
        filter: &str,
        operation: &str,
    ) -> Result<(), BusError> {
        let purge = format!("STREAM.PURGE.{stream}");
        let purged = self.api.call::<IgnoredAny>(&purge, &json!({ "filter": filter })).await;
        purged.map(drop).map_err(|failure| self.about_stream(failure, operation.to_owned()))
    }

    async fn delete_from(&self, stream: &str, sequence: u64) -> Result<bool, Failure> {
        // Without `no_erase` the server overwrites the bytes with noise first, which is slow and serves no one here.
        let message = json!({ "seq": sequence, "no_erase": true });
        let delete = format!("STREAM.MSG.DELETE.{stream}");
        match self.api.call::<serde_json::Value>(&delete, &message).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.code() == Some(ErrorCode::SEQUENCE_NOT_FOUND) => Ok(false),
            // So it says of a sequence before the first or after the last message, and if its disk is full.
            Err(failure) if failure.code() == Some(ErrorCode::STREAM_MESSAGE_DELETE_FAILED) => {
                if self.api.leader_holds(stream, sequence).await? { Err(failure) } else { Ok(false) }
            }
            Err(failure) => Err(failure),
        }
    }
}
