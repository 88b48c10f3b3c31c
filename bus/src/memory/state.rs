use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesh_schemas::{Message, Namespace, Shards, StoredMessage};
use tokio::sync::mpsc::UnboundedSender;

use super::clock::Clock;
use super::consumer::Consumer;
use super::filter::Filter;
use super::ids::Ids;
use super::log::Log;
use super::place::Place;
use super::services::Process;
use crate::topology::{GONE_AGENT_TTL, HISTORY_MAX_AGE, Limits, NOTES_MAX_AGE, Stream};

/// The header by which a delivered schedule names the subject that it stood on.
const SCHEDULER: &str = "Nats-Scheduler";
/// The header that tells what becomes of the schedule.
const SCHEDULE_NEXT: &str = "Nats-Schedule-Next";
/// The header of a message that stands for one whose time is over.
pub(super) const MARKER: &str = "Nats-Marker-Reason";
/// The header of a message that removes a key.
pub(super) const OPERATION: &str = "KV-Operation";

/// Everything that a server holds.
#[derive(Debug)]
pub(super) struct State {
    pub(super) clock: Clock,
    pub(super) layout: Option<Layout>,
    logs: [Log; Place::ALL.len()],
    pub(super) consumers: Consumers,
    /// By the subject that they stand on.
    schedules: BTreeMap<String, Schedule>,
    /// The subjects of schedules by when they are due and the order in which they were made.
    agenda: BTreeMap<(Duration, u64), String>,
    pub(super) ids: Ids,
    /// When which message of which place is to be gone.
    expiries: [BTreeSet<(Duration, u64)>; Place::ALL.len()],
    pub(super) subscriptions: Vec<Listener>,
    /// By the connection that announced them and a number of their own.
    pub(super) services: BTreeMap<(u64, u64), Process>,
    /// Most messages that a stream takes.
    pub(super) limits: BTreeMap<Place, usize>,
    /// Whether a subject of the log and of the tasks holds any number of messages.
    pub(super) facts_repeat: bool,
    /// Up to which message of the log runs are read, if not up to the last.
    pub(super) read_up_to: Option<u64>,
    pub(super) is_up: bool,
    /// Since when it is not, and how often it was there again.
    pub(super) down_since: Option<Duration>,
    pub(super) returns: u64,
    /// What was written down of the disk; there is none.
    pub(super) synced: bool,
    numbers: u64,
}

/// Consumers by the place that they read and their name.
type Consumers = BTreeMap<(Place, String), Consumer>;

/// The consumers that read a place.
fn consumers_of(consumers: &mut Consumers, place: Place) -> impl Iterator<Item = &mut Consumer> {
    let from_there = consumers.range_mut((place, String::new())..);
    from_there.take_while(move |((of, _), _)| *of == place).map(|(_, consumer)| consumer)
}

/// How the namespace is cut up.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) shards: Shards,
    /// Which stream takes which subjects.
    subjects: Vec<(Filter, Stream)>,
    pub(super) limits: Limits,
}

#[derive(Debug)]
struct Schedule {
    due: Duration,
    target: String,
    sequence: u64,
}

/// One who hears messages as they pass.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) connection: u64,
    pub(super) filter: Filter,
    pub(super) hears: UnboundedSender<Message>,
}

impl State {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            layout: None,
            logs: Place::ALL.map(|_| Log::new()),
            consumers: BTreeMap::new(),
            schedules: BTreeMap::new(),
            agenda: BTreeMap::new(),
            ids: Ids::default(),
            expiries: Place::ALL.map(|_| BTreeSet::new()),
            subscriptions: Vec::new(),
            services: BTreeMap::new(),
            limits: BTreeMap::new(),
            facts_repeat: false,
            read_up_to: None,
            is_up: true,
            down_since: None,
            returns: 0,
            synced: false,
            numbers: 0,
        }
    }

    pub(super) fn lay_out(&mut self, namespace: &Namespace, shards: Shards, limits: Limits) {
        let of = |stream: Stream| {
            let subjects = stream.subjects(namespace, shards);
            subjects.into_iter().map(move |subject| (Filter::new(&subject), stream))
        };
        let subjects = Stream::ALL.into_iter().flat_map(of).collect();
        self.layout = Some(Layout { shards, subjects, limits });
    }

    /// A number that nothing else has.
    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn log(&self, place: impl Into<Place>) -> &Log {
        &self.logs[place.into() as usize]
    }

    fn log_mut(&mut self, place: Place) -> &mut Log {
        &mut self.logs[place as usize]
    }

    /// The stream that takes a subject.
    pub(super) fn stream_of(&self, subject: &str) -> Option<Stream> {
        let subjects = &self.layout.as_ref()?.subjects;
        subjects.iter().find(|(filter, _)| filter.matches(subject)).map(|(_, stream)| *stream)
    }

    /// Does everything that has come due.
    pub(super) fn advance(&mut self) {
        let now = self.clock.now();
        for place in Place::ALL {
            while let Some(&(time, sequence)) = self.expiries[place as usize].first()
                && time <= now
            {
                self.expiries[place as usize].pop_first();
                self.expire(place, sequence);
            }
        }
        while let Some((&(due, _), subject)) = self.agenda.first_key_value()
            && due <= now
        {
            let subject = subject.clone();
            self.fire(&subject);
        }
        let history_age = self.limits_set().history_age.unwrap_or(HISTORY_MAX_AGE);
        for (place, most) in [(Place::Notes, NOTES_MAX_AGE), (Place::History, history_age)] {
            while let Some(oldest) = self.log(place).first()
                && self.clock.time(oldest.time) + most <= now
            {
                let sequence = oldest.sequence;
                self.remove(place, sequence);
            }
        }
    }

    fn limits_set(&self) -> Limits {
        self.layout.as_ref().map(|layout| layout.limits).unwrap_or_default()
    }

    /// Bytes that a place may hold, if that is bounded.
    pub(super) fn limited_bytes(&self, place: Place) -> Option<u64> {
        let bytes = match place {
            Place::Events | Place::Tasks => self.limits_set().log_bytes,
            Place::History => self.limits_set().history_bytes,
            _ => None,
        };
        bytes.filter(|bytes| *bytes > 0)
    }

    /// Drops the oldest histories while there are more than may be kept.
    pub(super) fn drop_oldest(&mut self) {
        let Some(most) = self.limited_bytes(Place::History) else { return };
        while let Some(oldest) = self.log(Place::History).first().map(|stored| stored.sequence)
            && self.log(Place::History).bytes() > most
        {
            self.remove(Place::History, oldest);
        }
    }

    /// When something comes due that those who read a place wait for.
    pub(super) fn next_due(&self, place: Place) -> Option<Duration> {
        let expiry = self.expiries[place as usize].first().map(|(time, _)| *time);
        let schedules = (place == Place::Inbox).then_some(&self.agenda);
        let schedule = schedules.and_then(|agenda| agenda.first_key_value()).map(|((due, _), _)| *due);
        [expiry, schedule].into_iter().flatten().min()
    }

    /// Stores a message, whatever its place holds already.
    pub(super) fn append(&mut self, place: Place, message: Message, ttl: Option<Duration>) -> u64 {
        let now = self.clock.now();
        let sequence = self.log(place).next();
        let stored = StoredMessage { message, sequence, time: self.clock.date(now) };
        for consumer in consumers_of(&mut self.consumers, place) {
            consumer.appended(&stored);
        }
        self.log_mut(place).append(stored);
        if let Some(ttl) = ttl {
            self.expiries[place as usize].insert((now + ttl, sequence));
        }
        self.pump(place);
        sequence
    }

    pub(super) fn remove(&mut self, place: Place, sequence: u64) -> Option<StoredMessage> {
        let removed = self.log_mut(place).remove(sequence)?;
        for consumer in consumers_of(&mut self.consumers, place) {
            consumer.removed(sequence);
        }
        Some(removed)
    }

    /// Removes a message and, if it waits for a time, its schedule. Tells whether it was there.
    pub(super) fn remove_stored(&mut self, place: Place, sequence: u64) -> bool {
        let Some(removed) = self.remove(place, sequence) else { return false };
        let subject = &removed.message.subject;
        if self.schedules.get(subject).is_some_and(|schedule| schedule.sequence == sequence) {
            self.unschedule(subject);
        }
        // Those who hold as much as they may can be handed something else now.
        self.pump(place);
        true
    }

    /// Hands out what the consumers of a place can hand out.
    pub(super) fn pump(&mut self, place: Place) {
        let now = self.clock.now();
        if !self.is_up {
            return;
        }
        let log = &self.logs[place as usize];
        for consumer in consumers_of(&mut self.consumers, place) {
            consumer.pump(log, now);
        }
    }

    pub(super) fn schedule(&mut self, subject: String, due: Duration, target: String, sequence: u64) {
        self.agenda.insert((due, sequence), subject.clone());
        self.schedules.insert(subject, Schedule { due, target, sequence });
        consumers_of(&mut self.consumers, Place::Inbox).for_each(|consumer| consumer.wake_all());
    }

    pub(super) fn unschedule(&mut self, subject: &str) {
        if let Some(schedule) = self.schedules.remove(subject) {
            self.agenda.remove(&(schedule.due, schedule.sequence));
            self.remove(Place::Inbox, schedule.sequence);
        }
    }

    fn fire(&mut self, subject: &str) {
        let Some(schedule) = self.schedules.remove(subject) else { return };
        self.agenda.remove(&(schedule.due, schedule.sequence));
        let Some(stored) = self.remove(Place::Inbox, schedule.sequence) else { return };
        let headers = stored.message.headers.with(SCHEDULER, subject.to_owned()).with(SCHEDULE_NEXT, "purge");
        let message = Message { subject: schedule.target, headers, payload: stored.message.payload };
        // Those who listen to what passes hear nothing of it, as with NATS.
        self.append(Place::Inbox, message, None);
    }

    fn expire(&mut self, place: Place, sequence: u64) {
        let Some(gone) = self.remove(place, sequence) else { return };
        let is_marker = [MARKER, OPERATION].iter().any(|name| gone.message.headers.get(name).is_some());
        if place == Place::Agents && !is_marker {
            let headers = mesh_schemas::Headers::new().with(MARKER, "MaxAge");
            let marker = Message { subject: gone.message.subject, headers, payload: bytes::Bytes::new() };
            self.append(place, marker, Some(GONE_AGENT_TTL));
        }
    }

    /// Lets everyone hear a message who listens to its subject.
    pub(super) fn hear(&mut self, message: &Message) {
        self.subscriptions.retain(|listener| {
            !listener.filter.matches(&message.subject) || listener.hears.send(message.clone()).is_ok()
        });
    }
}
