//! Storing messages.

use std::time::Duration;

use mesh_schemas::Message;

use super::connection::MemoryBus;
use super::place::{Keeps, Place};
use super::state::State;
use crate::bus::{Publish, Stored};
use crate::error::{BusError, PublishError};
use crate::topology::MAX_REQUEST_BYTES;

/// Largest message, headers included, in bytes: as NATS has it unless it is told otherwise.
pub(super) const MAX_PAYLOAD: usize = 1024 * 1024;
/// What NATS puts before and after the headers of a message.
const HEADER_FRAME: usize = "NATS/1.0\r\n\r\n".len();
/// What NATS puts around one header.
const HEADER_LINE: usize = ": \r\n".len();

impl MemoryBus {
    pub(super) async fn store(&self, publish: Publish) -> Result<Stored, PublishError> {
        self.line.is_there().await;
        let mut state = self.server.lock();
        if !state.is_up {
            return Err(PublishError::Retry("the server is away".to_owned()));
        }
        let size = size(&publish.message);
        if size > MAX_PAYLOAD {
            return Err(PublishError::TooLarge(format!(
                "{size} bytes, and at most {MAX_PAYLOAD} are allowed"
            )));
        }
        state.hear(&publish.message);
        let subject = &publish.message.subject;
        let stream = state
            .stream_of(subject)
            .ok_or_else(|| PublishError::Refused(format!("no stream takes the subject {subject:?}")))?;
        state.store(stream.into(), publish)
    }

    pub(super) async fn send(&self, message: Message) -> Result<(), BusError> {
        // What nobody takes is lost, as is what is sent while the server is away.
        self.line.is_there().await;
        let mut state = self.server.lock();
        if state.is_up {
            state.hear(&message);
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
}

impl State {
    /// Stores a message by the rules of its place.
    pub(super) fn store(&mut self, place: Place, publish: Publish) -> Result<Stored, PublishError> {
        let Publish { message, once, schedule, ttl } = publish;
        if place == Place::Inbox && message.payload.len() > MAX_REQUEST_BYTES {
            let error =
                format!("{} bytes, and at most {MAX_REQUEST_BYTES} are allowed here", message.payload.len());
            return Err(PublishError::TooLarge(error));
        }
        if ttl.is_some() && !place.allows_ttl() {
            return Err(PublishError::Refused("the stream does not take messages that end".to_owned()));
        }
        if schedule.is_some() && place != Place::Inbox {
            return Err(PublishError::Refused("the stream takes no schedules".to_owned()));
        }
        let taken = self.log(place).holds(&message.subject);
        if taken && once {
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
        if self.is_duplicate(place, &message) {
            return Ok(Stored::Already);
        }
        if taken && replaces {
            self.unschedule(&message.subject);
            let replaced: Vec<u64> = self.log(place).on(&message.subject).collect();
            replaced.into_iter().for_each(|sequence| drop(self.remove(place, sequence)));
        }
        let subject = message.subject.clone();
        let sequence = self.append(place, message, ttl.map(whole_seconds));
        if let Some((due, target)) = schedule {
            let due = self.clock.time(due);
            self.schedule(subject, due, target, sequence);
        }
        Ok(Stored::Now(sequence))
    }
}

/// Bytes of headers and body, as NATS counts them.
fn size(message: &Message) -> usize {
    let lines: usize =
        message.headers.iter().map(|(name, value)| name.len() + value.len() + HEADER_LINE).sum();
    message.payload.len() + if lines > 0 { lines + HEADER_FRAME } else { 0 }
}

/// A time to live as servers take it: whole seconds, at least one.
fn whole_seconds(ttl: Duration) -> Duration {
    Duration::from_secs((ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0)).max(1))
}
