//! Several streams as one, in the order in which their messages were stored.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use futures::stream::{BoxStream, select_all};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, BusError, Follow, From};
use mesh_schemas::StoredMessage;
use tokio::time::Instant;

use super::selection::STREAMS;
use crate::follow::follow;

/// How long a new event waits for earlier ones of other streams. Streams are delivered apart from each other, and the
/// server has sent what it stored within a few milliseconds; what comes later than this is shown when it comes.
const WINDOW: Duration = Duration::from_millis(200);

/// An event with its place among those of all streams: its store time, then its stream, then its sequence there.
///
/// On one server an event is stored after what caused it, so this is an order of cause and effect. In a cluster
/// the streams may have leaders with different clocks, and then it is only as good as those.
pub(crate) struct Placed {
    pub(crate) stored: StoredMessage,
    stream: usize,
}

impl Placed {
    pub(super) fn new(stored: StoredMessage, stream: usize) -> Self {
        Self { stored, stream }
    }

    pub(crate) fn stream(&self) -> Stream {
        STREAMS[self.stream]
    }

    pub(super) fn place(&self) -> (DateTime<Utc>, usize, u64) {
        (self.stored.time, self.stream, self.stored.sequence)
    }
}

/// One of the streams.
struct Source {
    stream: usize,
    messages: Follow,
    /// The next message, read ahead.
    head: Option<Placed>,
    /// Whether what follows is no part of what was there.
    is_read: bool,
}

/// The streams, read as far as they went when they were opened.
pub(super) struct Merged {
    sources: Vec<Source>,
    /// Store time of the newest message of all streams then. What is newer is left out, or effects would be shown of
    /// causes in a stream that is read already.
    until: Option<DateTime<Utc>>,
}

impl Merged {
    /// Opens the streams that anything is wanted of.
    pub(super) async fn new(bus: &dyn Bus, filters: &[Vec<String>; 4], from: From) -> Result<Self, BusError> {
        let everything = format!("{}.>", bus.namespace());
        let mut until = None;
        for stream in STREAMS {
            until = until.max(bus.last(stream, &everything).await?.map(|last| last.time));
        }
        let mut sources = Vec::new();
        for (stream, filters) in filters.iter().enumerate().filter(|(_, filters)| !filters.is_empty()) {
            let messages = follow(bus, STREAMS[stream], filters.clone(), from).await?;
            sources.push(Source { stream, messages, head: None, is_read: false });
        }
        Ok(Self { sources, until })
    }

    /// The next event that was there; `None` after the last.
    pub(super) async fn present(&mut self) -> Result<Option<Placed>, BusError> {
        for source in &mut self.sources {
            source.read_ahead(self.until).await?;
        }
        let present = self
            .sources
            .iter_mut()
            .filter(|source| source.head.as_ref().is_some_and(|head| Some(head.stored.time) <= self.until));
        let first = present.min_by_key(|source| source.head.as_ref().map(Placed::place));
        Ok(first.and_then(|source| source.head.take()))
    }

    /// The events that come after those that were there.
    pub(super) fn live(self) -> Live {
        let mut waiting = BTreeMap::new();
        let mut streams = Vec::new();
        for Source { stream, messages, head, .. } in self.sources {
            waiting.extend(head.map(|head| (head.place(), (Instant::now(), head))));
            streams.push(messages.map(move |message| (stream, message)).boxed());
        }
        Live { messages: select_all(streams).boxed(), waiting }
    }
}

impl Source {
    async fn read_ahead(&mut self, until: Option<DateTime<Utc>>) -> Result<(), BusError> {
        if self.head.is_some() || self.is_read {
            return Ok(());
        }
        match self.messages.next().await.transpose()?.flatten() {
            Some(stored) => {
                self.is_read = Some(stored.time) > until;
                self.head = Some(Placed { stored, stream: self.stream });
            }
            None => self.is_read = true,
        }
        Ok(())
    }
}

/// A stream's message, and which stream's.
type Message = (usize, Result<Option<StoredMessage>, BusError>);

/// The streams, as they go on.
pub(super) struct Live {
    messages: BoxStream<'static, Message>,
    /// Events by place, with when they came.
    waiting: BTreeMap<(DateTime<Utc>, usize, u64), (Instant, Placed)>,
}

impl Live {
    /// The next event.
    pub(super) async fn next(&mut self) -> Result<Placed, BusError> {
        loop {
            let due = self.waiting.first_key_value().map(|(_, (came, _))| *came + WINDOW);
            tokio::select! {
                Some((stream, message)) = self.messages.next() => {
                    if let Some(stored) = message? {
                        let event = Placed { stored, stream };
                        self.waiting.insert(event.place(), (Instant::now(), event));
                    }
                }
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if let Some((_, (_, event))) = self.waiting.pop_first() {
                        return Ok(event);
                    }
                }
            }
        }
    }
}
