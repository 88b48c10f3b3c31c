//! Reading a stream in order without leaving a mark on it.

use std::time::Duration;

use async_nats::jetstream::consumer::IntoConsumerConfig as _;
use async_nats::jetstream::consumer::{self, AckPolicy, DeliverPolicy, pull};
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::api::{Api, Failure};
use super::pull::Pull;
use super::wire::Received;
use crate::consume::Flow;

/// Messages under way to a reader: enough that it never waits for the next request.
const IN_FLIGHT: usize = 256;
/// How long the server keeps the consumer of a reader that went away.
const INACTIVE: Duration = Duration::from_secs(30);
/// After so long without a message, while some are expected, a new consumer is asked how many there are.
const SILENCE: Duration = Duration::from_secs(1);

/// Reads the messages of a stream in order, each once, with a consumer of its own that it makes anew whenever it
/// is lost.
#[derive(Debug)]
pub(super) struct Reader {
    api: Api,
    stream: String,
    filters: Vec<String>,
    begin: DeliverPolicy,
    headers_only: bool,
    pull: Option<Pull>,
    /// Up to which stream sequence everything is read, once that is known.
    last: Option<u64>,
    /// The last message of those that were there. How many are pending, as the server counts them for a consumer, is not
    /// reliable while messages are removed; for a new one it counts anew.
    end: Option<u64>,
    /// Consumer sequence of the last message.
    position: u64,
    caught_up: bool,
    announce: bool,
}

/// Whoever stops reading somewhere in the middle leaves no consumer behind either, if there is time for that.
impl Drop for Reader {
    fn drop(&mut self) {
        if let (Some(pull), Ok(runtime)) = (self.pull.take(), Handle::try_current()) {
            runtime.spawn(take_away(self.api.clone(), self.stream.clone(), pull));
        }
    }
}

async fn take_away(api: Api, stream: String, pull: Pull) {
    let delete = format!("CONSUMER.DELETE.{stream}.{}", pull.consumer());
    drop(pull);
    if let Err(failure) = api.call::<IgnoredAny>(&delete, &json!({})).await {
        tracing::debug!(?failure, "the server takes the consumer of a reader away by itself");
    }
}

impl Reader {
    pub(super) fn new(api: Api, stream: String, filters: Vec<String>, begin: DeliverPolicy) -> Self {
        let (caught_up, announce) = (false, false);
        let (headers_only, pull, last, end, position) = (false, None, None, None, 0);
        Self { api, stream, filters, begin, headers_only, pull, last, end, position, caught_up, announce }
    }

    /// Says which message is the last of those that are there, by the leader of the stream.
    pub(super) fn up_to(mut self, end: u64) -> Self {
        self.end = Some(end);
        self
    }

    /// Leaves the bodies of messages out.
    pub(super) fn headers_only(mut self) -> Self {
        self.headers_only = true;
        self
    }

    /// Makes the consumer. The first message comes after this.
    ///
    /// # Errors
    /// What the server says, or that it says nothing.
    pub(super) async fn open(&mut self) -> Result<(), Failure> {
        if !self.caught_up && self.end.is_none() && self.begin != DeliverPolicy::New {
            // Asked for before the consumer is made, which so has all messages up to there.
            self.end = Some(self.api.last_of(&self.stream, &self.filters).await?.unwrap_or_default());
        }
        let deliver_policy = match self.last {
            None => self.begin,
            Some(last) => DeliverPolicy::ByStartSequence { start_sequence: last + 1 },
        };
        let config = pull::Config {
            ack_policy: AckPolicy::None,
            deliver_policy,
            filter_subjects: self.filters.clone(),
            headers_only: self.headers_only,
            inactive_threshold: INACTIVE,
            num_replicas: 1,
            memory_storage: true,
            ..Default::default()
        }
        .into_consumer_config();
        let arguments = json!({ "stream_name": self.stream, "config": config });
        let info: consumer::Info =
            self.api.call(&format!("CONSUMER.CREATE.{}", self.stream), &arguments).await?;
        let (api, stream) = (self.api.clone(), self.stream.clone());
        // Nobody shares the consumer, and nothing is acknowledged.
        let pull = Pull::start(api, stream, info.name, INACTIVE, false, Flow::Continuous(IN_FLIGHT));
        self.pull = Some(pull.await.map_err(|error| Failure::Unavailable(error.to_string()))?);
        self.position = 0;
        if self.begin == DeliverPolicy::New && self.last.is_none() {
            // From here on, new is what comes after this, also for a consumer that is made later.
            self.last = Some(info.delivered.stream_sequence);
        }
        if info.num_pending == 0 {
            self.look_whether_all_is_read().await?;
        }
        Ok(())
    }

    /// The consumer has nothing more: it is all there is, or the consumer lives with a copy of the stream that is behind.
    async fn look_whether_all_is_read(&mut self) -> Result<(), Failure> {
        if self.caught_up || self.end.is_none() || self.last >= self.end || !self.api.is_clustered() {
            self.catch_up();
            return Ok(());
        }
        // What was the last message may have been removed meanwhile.
        self.end = Some(self.api.last_of(&self.stream, &self.filters).await?.unwrap_or_default());
        if self.last.unwrap_or_default() >= self.end.unwrap_or_default() {
            self.catch_up();
        }
        Ok(())
    }

    fn catch_up(&mut self) {
        if !self.caught_up {
            (self.caught_up, self.announce) = (true, true);
        }
    }

    /// Takes the consumer away, which the server would keep for a while: who reads often would make too many.
    pub(super) async fn close(mut self) {
        if let Some(pull) = self.pull.take() {
            take_away(self.api.clone(), self.stream.clone(), pull).await;
        }
    }

    /// The next message, or `None` once, when everything that was there is read.
    ///
    /// # Errors
    /// As [`Reader::open`], when the consumer has to be made anew. May be called again.
    pub(super) async fn next(&mut self) -> Result<Option<Received>, Failure> {
        loop {
            if std::mem::take(&mut self.announce) {
                return Ok(None);
            }
            let Some(pull) = &mut self.pull else {
                self.open().await?;
                continue;
            };
            let next = match self.caught_up {
                true => Ok(pull.next().await),
                false => timeout(SILENCE, pull.next()).await,
            };
            match next {
                Ok(Ok((received, _))) if received.place.consumer_sequence == self.position + 1 => {
                    self.position += 1;
                    self.last = Some(received.place.stream_sequence);
                    if self.last >= self.end {
                        self.catch_up();
                    }
                    return Ok(Some(received));
                }
                // A message was lost on the way, or the consumer is gone, or the last message was removed.
                Ok(Ok(_) | Err(_)) | Err(_) => self.pull = None,
            }
        }
    }
}
