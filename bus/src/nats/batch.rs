//! What the server tells of a stream: many messages by one direct get, its subjects, and where they end.

use std::collections::BTreeMap;

use async_nats::StatusCode;
use async_nats::jetstream::ErrorCode;
use futures::StreamExt as _;
use mesh_schemas::StoredMessage;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;

use super::api::{Api, Failure, TIME_LIMIT, status, to_json};
use super::wire;

/// Status of a request that matches more subjects than the server hands out at once (1 024).
const TOO_MANY: u16 = 413;
/// Status of the message after the last one.
const END: u16 = 204;

/// How the answers to a direct get end.
pub(super) enum Batch {
    /// With all that there are.
    End {
        /// Last sequence of the stream that the answering server knew; only where the request is of that kind.
        up_to: Option<u64>,
        /// So many more match.
        left: Option<u64>,
    },
    /// There is nothing, or nothing more.
    NotFound,
    /// It matches more subjects than may be asked for at once.
    TooMany,
}

impl Api {
    /// Asks for several messages of a stream, whichever server answers, and shows each.
    pub(super) async fn batch(
        &self,
        stream: &str,
        request: &impl Serialize,
        mut each: impl FnMut(StoredMessage) + Send,
    ) -> Result<Batch, Failure> {
        let link = self.link();
        let inbox = self.client.new_inbox();
        let subscribed = self.client.subscribe(inbox.clone()).await;
        let mut answers = subscribed.map_err(|error| Failure::Unavailable(error.to_string()))?;
        let get = format!("$JS.API.DIRECT.GET.{stream}");
        self.send(get, Some(inbox), None, to_json(request)?).await?;
        loop {
            // No need to watch the connection: an answer that is lost is the last for a while.
            let answer = timeout(TIME_LIMIT, answers.next()).await.ok().flatten().ok_or_else(|| {
                let lost = link.has_changed().unwrap_or(true);
                Failure::Unavailable(if lost { "the connection was lost" } else { "no answer" }.to_owned())
            })?;
            match status(&answer) {
                None => each(wire::from_direct_get(answer).ok_or_else(unreadable)?),
                Some(StatusCode::NOT_FOUND) => return Ok(Batch::NotFound),
                Some(StatusCode::NO_RESPONDERS) => return Err(Failure::NoResponders),
                Some(status) if status.as_u16() == TOO_MANY => return Ok(Batch::TooMany),
                Some(status) if status.as_u16() == END => {
                    let number = |name| wire::server_number(&answer, name);
                    let (up_to, left) = (number("Nats-UpTo-Sequence"), number("Nats-Num-Pending"));
                    return Ok(Batch::End { up_to, left });
                }
                Some(status) => return Err(unexpected(status, &answer)),
            }
        }
    }

    /// Sequence of the last message on a subject by the stream's leader, which is never behind.
    pub(super) async fn leader_last(&self, stream: &str, subject: &str) -> Result<Option<u64>, Failure> {
        #[derive(Deserialize)]
        struct Found {
            message: Place,
        }
        #[derive(Deserialize)]
        struct Place {
            seq: u64,
        }
        let get = format!("STREAM.MSG.GET.{stream}");
        match self.call::<Found>(&get, &json!({ "last_by_subj": subject })).await {
            Ok(found) => Ok(Some(found.message.seq)),
            Err(failure) if failure.code() == Some(ErrorCode::NO_MESSAGE_FOUND) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Whether a message is there by the stream's leader, which is never behind.
    pub(super) async fn leader_holds(&self, stream: &str, sequence: u64) -> Result<bool, Failure> {
        // A request for sequence 0 is one for no message at all.
        if sequence == 0 {
            return Ok(false);
        }
        let get = format!("STREAM.MSG.GET.{stream}");
        match self.call::<serde_json::Value>(&get, &json!({ "seq": sequence })).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.code() == Some(ErrorCode::NO_MESSAGE_FOUND) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Whether the server is one of several, which may have copies of a stream: one of them may be behind.
    pub(super) fn is_clustered(&self) -> bool {
        self.client.server_info().cluster.is_some_and(|cluster| !cluster.is_empty())
    }

    /// The same of several subjects, which may have wildcards.
    pub(super) async fn last_of(&self, stream: &str, subjects: &[String]) -> Result<Option<u64>, Failure> {
        let all = subjects.iter().map(|subject| self.leader_last(stream, subject));
        Ok(futures::future::try_join_all(all).await?.into_iter().flatten().max())
    }

    /// The subjects of a stream that match a filter and how many messages each holds, by the leader of the stream.
    pub(super) async fn subjects(
        &self,
        stream: &str,
        filter: &str,
    ) -> Result<BTreeMap<String, u64>, Failure> {
        #[derive(Deserialize)]
        struct Info {
            /// How many there are in all; the server tells some of them at a time.
            #[serde(default)]
            total: usize,
            state: State,
        }
        #[derive(Deserialize)]
        struct State {
            #[serde(default)]
            subjects: Option<BTreeMap<String, u64>>,
        }
        let info = format!("STREAM.INFO.{stream}");
        let (mut all, mut read) = (BTreeMap::new(), 0);
        loop {
            let arguments = json!({ "subjects_filter": filter, "offset": read });
            let page: Info = self.call(&info, &arguments).await?;
            let subjects = page.state.subjects.unwrap_or_default();
            read += subjects.len();
            let is_last = subjects.is_empty() || read >= page.total;
            all.extend(subjects);
            if is_last {
                return Ok(all);
            }
        }
    }
}

pub(super) fn unreadable() -> Failure {
    Failure::Invalid("the answer to a direct get cannot be read".to_owned())
}

pub(super) fn unexpected(status: StatusCode, answer: &async_nats::Message) -> Failure {
    let text = answer.description.as_deref().unwrap_or_default();
    Failure::Unavailable(format!("status {status} {text}"))
}
