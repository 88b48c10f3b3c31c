use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use mesh_schemas::Headers;

use super::place::Place;

/// With this header a message is stored once, even if it is sent twice within a while.
const MESSAGE_ID: &str = "Nats-Msg-Id";
/// How long an id is remembered: as long as NATS does unless it is told otherwise.
const WINDOW: Duration = Duration::from_secs(2 * 60);

/// The ids of the messages that were stored of late.
#[derive(Debug, Default)]
pub(super) struct Ids {
    known: BTreeSet<(Place, String)>,
    by_age: VecDeque<(Duration, Place, String)>,
}

impl Ids {
    /// Whether a message with this id was stored in the place a while ago.
    pub(super) fn knows(&mut self, place: Place, headers: &Headers, now: Duration) -> bool {
        while self.by_age.front().is_some_and(|(time, ..)| *time + WINDOW <= now) {
            if let Some((_, place, id)) = self.by_age.pop_front() {
                self.known.remove(&(place, id));
            }
        }
        headers.get(MESSAGE_ID).is_some_and(|id| self.known.contains(&(place, id.to_owned())))
    }

    /// Notes that a message is stored.
    pub(super) fn note(&mut self, place: Place, headers: &Headers, now: Duration) {
        if let Some(id) = headers.get(MESSAGE_ID) {
            self.known.insert((place, id.to_owned()));
            self.by_age.push_back((now, place, id.to_owned()));
        }
    }
}
