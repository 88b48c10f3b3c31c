//! Storing messages.

use std::time::Duration;

use mesh_schemas::{Message, RunId};

use super::connection::MemoryBus;
use super::message::{self, Unsendable};
use super::place::{Keeps, Place};
use super::state::State;
use crate::bus::{Publish, Stored};
use crate::error::{BusError, PublishError};
use crate::topology::{MAX_REQUEST_BYTES, Stream};

impl MemoryBus {
    pub(super) async fn store(&self, publish: Publish) -> Result<Stored, PublishError> {
        self.line.is_there().await;
        message::check(&publish.message).map_err(Unsendable::for_publisher)?;
        let mut state = self.server.lock();
        if !state.is_up {
            return Err(PublishError::Retry("the server is away".to_owned()));
        }
        state.hear(&publish.message);
        let subject = &publish.message.subject;
        let stream = state
            .stream_of(subject)
            .ok_or_else(|| PublishError::Refused(format!("no stream takes the subject {subject:?}")))?;
        state.store(stream.into(), publish)
    }

    pub(super) async fn send(&self, message: Message) -> Result<(), BusError> {
        self.line.is_there().await;
        message::check(&message).map_err(|why| why.during(format!("send to {}", message.subject)))?;
        // What nobody takes is lost, as is what is sent while the server is away.
        let mut state = self.server.lock();
        if state.is_up {
            state.hear(&message);
            if let Some(stream) = state.stream_of(&message.subject) {
                // Whether it is stored, nobody is told.
                drop(state.store(stream.into(), Publish::plain(message)));
            }
        }
        Ok(())
    }

    pub(super) async fn cancel_schedule(&self, subject: &str) -> Result<(), BusError> {
        self.line.is_there().await;
        let mut state = self.server.lock();
        if state.is_up {
            state.unschedule(subject);
        }
        Ok(())
    }

    pub(super) async fn forget_notes(&self, run: &RunId) -> Result<(), BusError> {
        let run = run.to_string();
        let operation = || format!("remove the notes of run {run}");
        self.ask(operation, |state| {
            let state = self.there(state)?;
            let gone: Vec<u64> = state.log(Place::Notes).of_run(&run).map(|stored| stored.sequence).collect();
            gone.into_iter().for_each(|sequence| drop(state.remove(Place::Notes, sequence)));
            Ok(())
        })
        .await
    }

    pub(super) async fn remove_message(&self, stream: Stream, sequence: u64) -> Result<bool, BusError> {
        let operation = || format!("remove message {sequence}");
        self.ask(operation, |state| Ok(self.there(state)?.remove_stored(stream.into(), sequence))).await
    }
}

impl State {
    /// Stores a message by the rules of its place.
    pub(super) fn store(&mut self, place: Place, publish: Publish) -> Result<Stored, PublishError> {
        let Publish { message, once, follows, schedule, ttl } = publish;
        let size = message::size(&message);
        if place == Place::Inbox && size > MAX_REQUEST_BYTES {
            let error = format!("{size} bytes, and at most {MAX_REQUEST_BYTES} are allowed here");
            return Err(PublishError::TooLarge(error));
        }
        if ttl.is_some() && !place.allows_ttl() {
            return Err(PublishError::Refused("the stream does not take messages that end".to_owned()));
        }
        if schedule.is_some() && place != Place::Inbox {
            return Err(PublishError::Refused("the stream takes no schedules".to_owned()));
        }
        if let Some((_, target)) = &schedule
            && self.stream_of(target) != Some(Stream::Inbox)
        {
            let error = format!("what is scheduled stays in its stream, which does not take {target:?}");
            return Err(PublishError::Refused(error));
        }
        let now = self.clock.now();
        if self.ids.knows(place, &message.headers, now) {
            return Ok(Stored::Already);
        }
        let taken = self.log(place).holds(&message.subject);
        if taken && once {
            return Ok(Stored::Already);
        }
        if let Some(follows) = follows
            && self.log(place).on(&message.subject).last().unwrap_or_default() != follows
        {
            return Ok(Stored::Already);
        }
        if taken && place.keeps() == Keeps::First && !self.facts_repeat {
            return Err(PublishError::Retry("maximum messages per subject exceeded".to_owned()));
        }
        let replaces = place.keeps() == Keeps::Last || schedule.is_some();
        let is_full = self.limits.get(&place).is_some_and(|most| self.log(place).len() >= *most);
        if is_full && !(taken && replaces) {
            return Err(PublishError::Retry("maximum messages exceeded".to_owned()));
        }
        let room = self.limited_bytes(place).map(|most| most.saturating_sub(self.log(place).bytes()));
        if place != Place::History && room.is_some_and(|room| room < size as u64) {
            return Err(PublishError::Retry("maximum bytes exceeded".to_owned()));
        }
        if taken && replaces {
            self.unschedule(&message.subject);
            let replaced: Vec<u64> = self.log(place).on(&message.subject).collect();
            replaced.into_iter().for_each(|sequence| drop(self.remove(place, sequence)));
        }
        self.ids.note(place, &message.headers, now);
        let subject = message.subject.clone();
        let sequence = self.append(place, message, ttl.map(whole_seconds));
        self.drop_oldest();
        if let Some((due, target)) = schedule {
            let due = self.clock.time(due);
            self.schedule(subject, due, target, sequence);
        }
        Ok(Stored::Now(sequence))
    }
}

/// A time to live as servers take it: whole seconds, at least one.
fn whole_seconds(ttl: Duration) -> Duration {
    Duration::from_secs((ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0)).max(1))
}
