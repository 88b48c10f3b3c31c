//! What is archived of runs that have ended: written by janitors, read together with the log by everyone.

mod audit;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use mesh_schemas::payload::{self, Archived, Chain};
use mesh_schemas::{Envelope, Headers, Message, Namespace, RunId, StoredMessage, Subject, WorkflowVerb};

use crate::bus::Bus;
use crate::error::BusError;
use crate::topology::Stream;
pub use audit::{Audit, Fault, audit};

/// Most bytes of events in one part of a history at first: with the envelope well below the 1 MiB that servers take by
/// default. Where that is too large, half of it is tried, and so on.
pub const PART_BYTES: usize = 512 * 1024;
/// Fewer bytes than this are not tried: less than any event takes.
pub const LEAST_PART_BYTES: usize = 1024;
/// With this header the server stores a message once, even if it is sent twice within its window of two minutes.
const MESSAGE_ID: &str = "Nats-Msg-Id";

/// All that is archived of one run.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Where it stands; none if there is nothing.
    pub subject: Option<Subject>,
    /// Whether its last part is there, behind which only late events come.
    is_complete: bool,
    /// Number of its last part so far.
    pub parts: u32,
    /// How many of its parts are there.
    there: u32,
    /// Sequences of the first and the last part that are there; 0 if there is none.
    pub first: u64,
    /// See [`History::first`].
    pub last: u64,
    /// Events and work, by stream and sequence. A subject stands for one fact, so what was stored on it again, after it
    /// had been removed from the log, is not among them.
    events: BTreeMap<(Stream, u64), StoredMessage>,
    subjects: BTreeSet<(Stream, String)>,
    /// How many of them came late.
    late: usize,
    /// Every piece that is archived.
    pieces: BTreeSet<(String, u64, u64)>,
    /// The chain of its pieces, if it has begun.
    chain: Option<Chain>,
}

impl History {
    /// Makes sense of the messages of a run in the stream of histories. What cannot be read is left out.
    #[must_use]
    pub fn read(namespace: &Namespace, messages: &[StoredMessage]) -> Self {
        let mut history = Self::default();
        let mut pieces: BTreeMap<(Stream, u64), Vec<Archived>> = BTreeMap::new();
        let mut late = BTreeSet::new();
        for stored in messages {
            let Some((subject, data)) = part(namespace, stored) else {
                tracing::warn!(subject = stored.message.subject, sequence = stored.sequence, "no history");
                continue;
            };
            if let Subject::LateHistory { workflow, outcome, run } = subject {
                let here = data.events.iter().filter_map(key);
                late.extend(here.filter(|key| !pieces.contains_key(key)));
                let main = Subject::History { workflow, outcome, run };
                history.subject.get_or_insert(main);
            } else {
                history.is_complete |= data.complete;
                history.parts = data.part.max(history.parts);
                history.there += 1;
                history.last = stored.sequence;
                if history.first == 0 {
                    history.first = stored.sequence;
                }
                history.subject = Some(subject);
            }
            for piece in data.events {
                if let Some(link) = piece.link.as_ref().filter(|_| piece.number > 0) {
                    history.chain = Some(Chain { length: piece.number, head: link.to_string() });
                }
                let Some(key) = key(&piece) else { continue };
                history.pieces.insert((piece.stream.clone(), piece.sequence, piece.offset));
                pieces.entry(key).or_default().push(piece);
            }
        }
        // A run that begins again once its history is gone may find what came late for the one before.
        let (late_pieces, pieces): (Vec<_>, Vec<_>) =
            pieces.into_iter().partition(|(key, _)| late.contains(key));
        for ((stream, sequence), pieces) in pieces.into_iter().chain(late_pieces) {
            let Some(stored) = Archived::join(pieces) else { continue };
            if history.subjects.insert((stream, stored.message.subject.clone())) {
                history.late += usize::from(late.contains(&(stream, sequence)));
                history.events.insert((stream, sequence), stored);
            }
        }
        history
    }

    /// Whether there is nothing of the run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.subject.is_none()
    }

    /// Whether the run was archived, whole, so that what it tells of may be gone from the log: what comes now comes late.
    /// What came late does not outlive that.
    #[must_use]
    pub fn is_archived(&self) -> bool {
        self.is_complete && self.there == self.parts
    }

    /// Whether this very message is archived, whole.
    #[must_use]
    pub fn holds(&self, stream: Stream, sequence: u64) -> bool {
        self.events.contains_key(&(stream, sequence))
    }

    /// Whether what a subject stands for is archived.
    #[must_use]
    pub fn knows(&self, stream: Stream, subject: &str) -> bool {
        self.subjects.contains(&(stream, subject.to_owned()))
    }

    /// The archived messages of a stream, in order.
    pub fn of(&self, stream: Stream) -> impl Iterator<Item = &StoredMessage> {
        self.events.range((stream, 0)..=(stream, u64::MAX)).map(|(_, stored)| stored)
    }

    /// How many events came after the run was archived.
    #[must_use]
    pub fn late(&self) -> usize {
        self.late
    }

    /// The chain of its pieces.
    #[must_use]
    pub fn chain(&self, run: &RunId) -> Chain {
        self.chain.clone().unwrap_or_else(|| Chain::of(run))
    }

    /// The parts, of about so many bytes, that are missing for these messages to be archived, each made when it is its turn.
    /// The last of them completes the history.
    pub fn missing<'a>(
        &'a self,
        run: RunId,
        messages: &'a [(Stream, &'a StoredMessage)],
        part_bytes: usize,
    ) -> impl Iterator<Item = payload::History> + 'a {
        let mut pieces = messages
            .iter()
            .filter(|(stream, stored)| !self.holds(*stream, stored.sequence))
            .flat_map(move |(stream, stored)| Archived::pieces(stream.short_name(), stored, part_bytes / 2))
            .filter(|piece| !self.pieces.contains(&(piece.stream.clone(), piece.sequence, piece.offset)))
            .peekable();
        let (mut part, mut complete) = (self.parts, false);
        let mut chain = self.chain(&run);
        std::iter::from_fn(move || {
            if complete {
                return None;
            }
            let (mut events, mut bytes) = (Vec::new(), 0);
            while let Some(piece) = pieces.peek() {
                let size = piece.size();
                if bytes > 0 && bytes + size > part_bytes {
                    break;
                }
                bytes += size;
                events.extend(pieces.next().map(|piece| chain.add(piece)));
            }
            (part, complete) = (part + 1, pieces.peek().is_none());
            Some(payload::History { run, part, complete, events })
        })
    }
}

fn key(piece: &Archived) -> Option<(Stream, u64)> {
    let streams = [Stream::Events, Stream::Tasks];
    let stream = streams.into_iter().find(|stream| stream.short_name() == piece.stream)?;
    Some((stream, piece.sequence))
}

fn part(namespace: &Namespace, stored: &StoredMessage) -> Option<(Subject, payload::History)> {
    let subject = Subject::parse(namespace, &stored.message.subject).ok()?;
    let decoded = Envelope::decode(&stored.message.headers, &stored.message.payload).ok()?;
    Some((subject, decoded.envelope()?.data().ok()?))
}

/// The message that holds a part of a history.
#[must_use]
pub fn archive(bus: &dyn Bus, subject: &Subject, part: &payload::History) -> Message {
    message(bus, subject, format!("history/{}/{}", part.run, part.part), part)
}

/// The messages, of about so many bytes, that hold an event that came late for an archived run. Sending them again is safe.
#[must_use]
pub fn late(
    bus: &dyn Bus,
    history: &History,
    run: RunId,
    stream: Stream,
    stored: &StoredMessage,
    part_bytes: usize,
) -> Vec<Message> {
    let Some(Subject::History { workflow, outcome, .. }) = &history.subject else { return Vec::new() };
    let subject = Subject::LateHistory { workflow: workflow.clone(), outcome: *outcome, run };
    let chain = history.chain(&run);
    let pieces = Archived::pieces(stream.short_name(), stored, part_bytes / 2).into_iter();
    pieces
        .map(|piece| {
            let id = format!("late/{}/{}", piece.subject, piece.offset);
            let data = payload::History { run, part: 0, complete: false, events: vec![chain.beside(piece)] };
            let mut message = message(bus, &subject, id.clone(), &data);
            message.headers.set(MESSAGE_ID, id);
            message
        })
        .collect()
}

fn message(bus: &dyn Bus, subject: &Subject, id: String, data: &payload::History) -> Message {
    let namespace = bus.namespace();
    let value = serde_json::to_value(data).unwrap_or_default();
    let mut event = Envelope::new(id, format!("/{namespace}/orchestrator"), subject.event_type(), value);
    event.time = Some(bus.now());
    event.correlationid = Some(data.run.to_string());
    // It is made of text and numbers, so encoding cannot fail.
    let (headers, body): (Headers, _) = event.encode().unwrap_or_default();
    Message { subject: subject.render(namespace), headers, payload: body.into() }
}

/// Where the history of a run stands whose events these are, if its end is among them.
#[must_use]
pub fn subject<'a>(
    namespace: &Namespace,
    events: impl IntoIterator<Item = &'a StoredMessage>,
) -> Option<Subject> {
    events.into_iter().find_map(|stored| match Subject::parse(namespace, &stored.message.subject) {
        Ok(Subject::Workflow { verb, workflow, run }) if is_end(verb) => {
            Some(Subject::History { workflow, outcome: verb, run })
        }
        _ => None,
    })
}

/// Whether a run has ended with this.
#[must_use]
pub fn is_end(verb: WorkflowVerb) -> bool {
    match verb {
        WorkflowVerb::Completed | WorkflowVerb::Failed | WorkflowVerb::Cancelled => true,
        WorkflowVerb::Started => false,
    }
}

/// Where in its run an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It is the beginning.
    Beginning,
    /// It is one of all the others.
    Between,
    /// It is the end.
    End,
}

impl Stage {
    /// Where an event stands, by its subject.
    #[must_use]
    pub fn of(namespace: &Namespace, stored: &StoredMessage) -> Self {
        match Subject::parse(namespace, &stored.message.subject) {
            Ok(Subject::Workflow { verb: WorkflowVerb::Started, .. }) => Self::Beginning,
            Ok(Subject::Workflow { verb, .. }) if is_end(verb) => Self::End,
            _ => Self::Between,
        }
    }
}

/// Filters for the subjects that hold what is archived of a run, and what came late for it.
#[must_use]
pub fn subjects_of(namespace: &Namespace, run: &RunId) -> [String; 2] {
    ["history", "history.late"].map(|kind| format!("{namespace}.{kind}.*.*.{run}"))
}

/// A filter for the subjects of what came late for any run.
pub(crate) fn late_histories(namespace: &Namespace) -> String {
    format!("{namespace}.history.late.*.*.*.*")
}

/// A run as it is in the log and in its history together.
#[derive(Debug, Clone, Default)]
pub struct WholeRun {
    /// Its events in order, each once.
    pub events: Vec<StoredMessage>,
    /// What is archived of it.
    pub history: History,
}

/// Whether a message is a checkpoint of a run: a cache of what others say.
#[must_use]
pub fn is_checkpoint(namespace: &Namespace, stored: &StoredMessage) -> bool {
    matches!(Subject::parse(namespace, &stored.message.subject), Ok(Subject::Checkpointed { .. }))
}

/// Reads a run from the log, but for its checkpoints, and, if it may have been archived, from its history. What is removed
/// from the log while it is read was archived before, and the history is read after the log: so nothing is missing.
///
/// # Errors
/// [`BusError`] if the bus cannot be reached.
pub async fn read_whole_run(bus: &dyn Bus, run: &RunId) -> Result<WholeRun, BusError> {
    let mut log = bus.read_run(run).await?;
    let namespace = bus.namespace();
    log.events.retain(|stored| !is_checkpoint(namespace, stored));
    let has = |place| log.events.iter().any(|stored| Stage::of(namespace, stored) == place);
    if has(Stage::Beginning) && !has(Stage::End) {
        return Ok(WholeRun { events: log.events, history: History::default() });
    }
    let history = History::read(namespace, &bus.read_history(run).await?);
    let archived = history.of(Stream::Events).cloned();
    let mut events: Vec<StoredMessage> = archived.chain(log.events).collect();
    events.sort_by_key(|stored| stored.sequence);
    let mut subjects = BTreeSet::new();
    events.retain(|stored| subjects.insert(stored.message.subject.clone()));
    Ok(WholeRun { events, history })
}

/// What is archived of a run, if that is all of it. Whether it may be is told by little of the log.
///
/// # Errors
/// As [`read_whole_run`].
pub async fn archived(bus: &dyn Bus, run: &RunId) -> Result<Option<History>, BusError> {
    let itself = bus.read_run_itself(run).await?.events;
    let namespace = bus.namespace();
    let has = |place| itself.iter().any(|stored| Stage::of(namespace, stored) == place);
    if has(Stage::Beginning) && !has(Stage::End) {
        return Ok(None);
    }
    let history = History::read(namespace, &bus.read_history(run).await?);
    Ok(Some(history).filter(History::is_archived))
}
