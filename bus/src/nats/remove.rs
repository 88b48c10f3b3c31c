//! Removing messages.

use async_nats::jetstream::ErrorCode;
use serde_json::json;

use super::api::Failure;
use super::bus::NatsBus;
use crate::error::BusError;

impl NatsBus {
    pub(super) async fn remove_message(&self, stream: &str, sequence: u64) -> Result<bool, BusError> {
        let removed = self.delete_from(stream, sequence).await;
        removed
            .map_err(|failure| self.about_stream(failure, format!("remove message {sequence} of {stream}")))
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
                if self.leader_holds(stream, sequence).await? { Err(failure) } else { Ok(false) }
            }
            Err(failure) => Err(failure),
        }
    }

    /// Whether a message is there by the stream's leader, which is never behind.
    async fn leader_holds(&self, stream: &str, sequence: u64) -> Result<bool, Failure> {
        // A request for sequence 0 is one for no message at all.
        if sequence == 0 {
            return Ok(false);
        }
        let get = format!("STREAM.MSG.GET.{stream}");
        match self.api.call::<serde_json::Value>(&get, &json!({ "seq": sequence })).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.code() == Some(ErrorCode::NO_MESSAGE_FOUND) => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}
