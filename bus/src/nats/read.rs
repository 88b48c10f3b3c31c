use std::collections::BTreeSet;

use async_nats::StatusCode;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::stream;
use mesh_schemas::{RunId, StoredMessage};
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;

use super::api::{Failure, TIME_LIMIT, status, to_json};
use super::batch::{Batch, unexpected, unreadable};
use super::bus::NatsBus;
use super::reader::Reader;
use super::wire;
use crate::bus::{RunLog, too_many_subjects};
use crate::error::BusError;
use crate::history;
use crate::topology::Stream;

/// That something is not there is only known from the leader of a stream: whoever answers may have a copy that is behind.
fn refuse_if_behind(is_behind: Result<bool, Failure>, operation: &str) -> Result<(), BusError> {
    match is_behind {
        Ok(false) => Ok(()),
        Ok(true) => {
            Err(Failure::Unavailable("the server that answered is behind".to_owned()).during(operation))
        }
        Err(failure) => Err(failure.during(operation)),
    }
}

#[derive(Serialize)]
struct MultiLast<'a> {
    multi_last: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    up_to_seq: Option<u64>,
}

/// What was read by direct gets.
enum Read {
    /// Everything.
    All(RunLog),
    /// The answering server knows of nothing. It may be behind.
    None,
    /// Nothing: there is more than may be asked for in this way.
    TooMany,
}

impl NatsBus {
    pub(super) async fn last_on(
        &self,
        stream: &str,
        subject: &str,
        operation: &str,
    ) -> Result<Option<StoredMessage>, BusError> {
        let found = self.direct_get(stream, &json!({ "last_by_subj": subject }), operation).await?;
        if found.is_none() && self.api.is_clustered() {
            let last = self.api.leader_last(stream, subject).await;
            refuse_if_behind(last.map(|last| last.is_some()), operation)?;
        }
        Ok(found)
    }

    pub(super) async fn each_last(
        &self,
        stream: Stream,
        filters: &[String],
    ) -> Result<Vec<StoredMessage>, BusError> {
        let operation = || format!("read the last messages on {} subjects", filters.len());
        let last = match self.direct(stream, filters, operation).await? {
            Read::All(log) => log.events,
            Read::None => Vec::new(),
            Read::TooMany => {
                return Err(too_many_subjects(operation()));
            }
        };
        let newest = last.last().map(|message| message.sequence);
        let is_behind = self.is_behind(&stream.name(&self.namespace), filters, newest).await;
        refuse_if_behind(is_behind, &operation())?;
        Ok(last)
    }

    pub(super) async fn message_at(
        &self,
        stream: &str,
        sequence: u64,
    ) -> Result<Option<StoredMessage>, BusError> {
        let operation = format!("read message {sequence} of {stream}");
        let found = self.direct_get(stream, &json!({ "seq": sequence }), &operation).await?;
        if found.is_none() && self.api.is_clustered() {
            refuse_if_behind(self.api.leader_holds(stream, sequence).await, &operation)?;
        }
        Ok(found)
    }

    pub(super) async fn direct_get(
        &self,
        stream: &str,
        what: &serde_json::Value,
        operation: &str,
    ) -> Result<Option<StoredMessage>, BusError> {
        let failed = |failure: Failure| failure.during(operation);
        let payload = to_json(what).map_err(failed)?;
        let answer = match self.api.request(format!("$JS.API.DIRECT.GET.{stream}"), None, payload).await {
            Ok(answer) => answer,
            Err(Failure::NoResponders) => return Err(self.why_nobody_reads(stream, operation).await),
            Err(failure) => return Err(failed(failure)),
        };
        match status(&answer) {
            Some(StatusCode::NOT_FOUND) => Ok(None),
            Some(status) => Err(failed(unexpected(status, &answer))),
            None => wire::from_direct_get(answer).map(Some).ok_or_else(|| failed(unreadable())),
        }
    }

    /// Direct gets are not answered when the stream is not there or JetStream is not ready yet.
    pub(super) async fn why_nobody_reads(&self, stream: &str, operation: &str) -> BusError {
        match self.stream_info(stream).await {
            Ok(_) => Failure::NoResponders.during(operation),
            Err(failure) => self.about_stream(failure, operation.to_owned()),
        }
    }

    pub(super) async fn stream_info(&self, stream: &str) -> Result<stream::Info, Failure> {
        self.api.call(&format!("STREAM.INFO.{stream}"), &json!({})).await
    }

    pub(super) async fn events_of(&self, run: &RunId) -> Result<RunLog, BusError> {
        let operation = || format!("read run {run}");
        match self.direct(Stream::Events, &self.of_run("*.*.*.*", run), operation).await? {
            Read::All(log) => Ok(log),
            Read::None | Read::TooMany => self.events_after(run, 0).await,
        }
    }

    pub(super) async fn short_run(&self, run: &RunId, at_most: usize) -> Result<Option<RunLog>, BusError> {
        let operation = || format!("read run {run}");
        let log = match self.direct(Stream::Events, &self.of_run("*.*.*.*", run), operation).await? {
            Read::TooMany => return Ok(None),
            // A run of which the answering server knows nothing is asked for with everybody else.
            Read::None => self.events_after(run, 0).await?,
            Read::All(log) => log,
        };
        Ok(Some(log).filter(|log| log.events.len() <= at_most))
    }

    pub(super) async fn events_of_itself(&self, run: &RunId) -> Result<RunLog, BusError> {
        let begin = format!("{}.workflow", self.namespace);
        let filters = [format!("{begin}.*.*.-.{run}"), format!("{begin}.checkpointed.*.-.{run}.*")];
        let operation = || format!("read run {run}");
        match self.direct(Stream::Events, &filters, operation).await? {
            Read::All(log) => Ok(log),
            Read::None => Ok(RunLog { events: Vec::new(), end: 0 }),
            Read::TooMany => {
                let stream = Stream::Events.name(&self.namespace);
                let read = self.read_by_consumer(stream, filters, 0).await;
                read.map_err(|failure| self.about_stream(failure, operation()))
            }
        }
    }

    pub(super) async fn events_after(&self, run: &RunId, after: u64) -> Result<RunLog, BusError> {
        let (stream, filters) = (Stream::Events.name(&self.namespace), self.of_run("*.*.*.*", run));
        let read = self.read_by_consumer(stream, filters, after).await;
        read.map_err(|failure| self.about_stream(failure, format!("read run {run}")))
    }

    pub(super) async fn work_of(&self, run: &RunId) -> Result<Vec<StoredMessage>, BusError> {
        let operation = || format!("read the work of run {run}");
        let (stream, filters) = (Stream::Tasks.name(&self.namespace), self.of_run("task.created.*.*", run));
        let work = match self.direct(Stream::Tasks, &filters, operation).await? {
            Read::All(log) => Some(log.events),
            Read::None => Some(Vec::new()),
            Read::TooMany => None,
        };
        if let Some(work) = work {
            let last = work.last().map(|task| task.sequence);
            let is_behind = self.is_behind(&stream, &filters, last).await;
            if !is_behind.map_err(|failure| self.about_stream(failure, operation()))? {
                return Ok(work);
            }
        }
        let read = self.read_up_to_the_last(stream, filters, 0).await;
        read.map_err(|failure| self.about_stream(failure, operation()))
    }

    /// Whether there is more on these subjects than a server told, up to this sequence, that may have a copy only.
    async fn is_behind(&self, stream: &str, filters: &[String], read: Option<u64>) -> Result<bool, Failure> {
        Ok(self.api.is_clustered() && self.api.last_of(stream, filters).await? > read)
    }

    pub(super) async fn history_of(&self, run: &RunId) -> Result<Vec<StoredMessage>, BusError> {
        let stream = Stream::History.name(&self.namespace);
        let filters = history::subjects_of(&self.namespace, run);
        let read = self.read_up_to_the_last(stream, filters, 0).await;
        read.map_err(|failure| self.about_stream(failure, format!("read the history of run {run}")))
    }

    /// Filters for all subjects of a run that begin so.
    fn of_run(&self, words: &str, run: &RunId) -> [String; 2] {
        let prefix = format!("{}.{words}.{run}", self.namespace);
        [format!("{prefix}.>"), prefix]
    }

    /// Reads the last message of every matching subject, from whichever server answers: as a subject holds one message,
    /// all messages.
    async fn direct(
        &self,
        stream: Stream,
        filters: &[String],
        operation: impl Fn() -> String,
    ) -> Result<Read, BusError> {
        let stream = stream.name(&self.namespace);
        let mut events = Vec::new();
        let (mut from, mut end) = (None, None);
        loop {
            let request = MultiLast { multi_last: filters, seq: from, up_to_seq: end };
            match self.api.batch(&stream, &request, |event| events.push(event)).await {
                Ok(Batch::End { up_to: Some(up_to), left: Some(left) }) => {
                    let end = *end.get_or_insert(up_to);
                    events.sort_unstable_by_key(|event| event.sequence);
                    if left == 0 {
                        return Ok(Read::All(RunLog { events, end }));
                    }
                    let next = events.last().map(|event| event.sequence + 1);
                    if next == from {
                        return Err(unreadable().during(operation()));
                    }
                    from = next;
                }
                Ok(Batch::End { .. }) => return Err(unreadable().during(operation())),
                // What was left of a page that was read in part may have been removed meanwhile.
                Ok(Batch::NotFound) if from.is_some() => {
                    return Ok(Read::All(RunLog { events, end: end.unwrap_or_default() }));
                }
                Ok(Batch::NotFound) => return Ok(Read::None),
                Ok(Batch::TooMany) => return Ok(Read::TooMany),
                Err(Failure::NoResponders) => return Err(self.why_nobody_reads(&stream, &operation()).await),
                Err(failure) => return Err(failure.during(operation())),
            }
        }
    }

    /// Reads a run that is long, or that seems to have no events, behind a sequence: the leader of the stream says which
    /// event is the last, and a consumer delivers up to there, whichever server it lives on.
    async fn read_by_consumer(
        &self,
        stream: String,
        filters: [String; 2],
        after: u64,
    ) -> Result<RunLog, Failure> {
        // Asked for before the events, so that none up to there is missing.
        let end = self.stream_info(&stream).await?.state.last_sequence;
        let events = self.read_up_to_the_last(stream, filters, after).await?;
        let last = events.last().map_or(0, |event| event.sequence);
        Ok(RunLog { events, end: end.max(last) })
    }

    async fn read_up_to_the_last(
        &self,
        stream: String,
        filters: [String; 2],
        after: u64,
    ) -> Result<Vec<StoredMessage>, Failure> {
        let Some(last) = self.api.last_of(&stream, &filters).await?.filter(|last| *last > after) else {
            return Ok(Vec::new());
        };
        let begin = DeliverPolicy::ByStartSequence { start_sequence: after + 1 };
        let mut reader = Reader::new(self.api.clone(), stream, filters.to_vec(), begin).up_to(last);
        let mut events = Vec::new();
        loop {
            let next = timeout(TIME_LIMIT, reader.next()).await;
            let next = next.map_err(|_| Failure::Unavailable("the events do not come".to_owned()))??;
            match next {
                Some(received) => events.push(received.stored),
                None => {
                    reader.close().await;
                    return Ok(events);
                }
            }
        }
    }

    pub(super) async fn subjects_on(
        &self,
        stream: Stream,
        filter: &str,
    ) -> Result<BTreeSet<String>, BusError> {
        let subjects = self.api.subjects(&stream.name(&self.namespace), filter).await;
        let about = |failure| self.about_stream(failure, format!("read the subjects on {filter}"));
        Ok(subjects.map_err(about)?.into_keys().collect())
    }
}
