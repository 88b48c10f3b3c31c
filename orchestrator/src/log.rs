//! The log of a run with what its events refer to.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _};
use mesh_bus::{Bus, BusError, ReferenceError};
use mesh_core::{Content, Event, Unreadable, given_up_as_lost};
use mesh_schemas::{DataRef, Namespace, StoredMessage, Subject, TaskKey, TaskVerb};
use tracing::warn;

/// Objects of one run that are read at once: each may take a hundred megabytes of memory.
const AT_ONCE: usize = 4;

/// The events of a run.
pub(crate) struct Events {
    /// In the order of the log.
    pub(crate) events: Vec<Event>,
    /// The length of all of it as it is stored, with what the events refer to.
    pub(crate) bytes: usize,
}

/// The events among the messages of a run, with what they refer to, or what of it this mesh is too old for; `known` is one
/// of them that was read already, and the results of the `lost` attempts are not looked for. Messages that are no events
/// are left out.
///
/// # Errors
/// [`BusError`] if something cannot be read now.
pub(crate) async fn events(
    bus: &dyn Bus,
    log: &[StoredMessage],
    known: &Event,
    lost: &BTreeSet<TaskKey>,
) -> Result<Result<Events, String>, BusError> {
    let namespace = bus.namespace();
    let mut bytes = log.iter().map(|stored| stored.message.payload.len()).sum();
    let mut read = BTreeMap::new();
    let mut elsewhere = Vec::new();
    for stored in log {
        match Event::read(namespace, stored) {
            Ok(event) => drop(read.insert(stored.sequence, event)),
            Err(Unreadable::Elsewhere(reference)) => elsewhere.push((stored, reference)),
            Err(Unreadable::Newer(newer)) => return Ok(Err(newer)),
            Err(Unreadable::Malformed(_) | Unreadable::UnknownType(_)) => {}
        }
    }
    if elsewhere.is_empty() {
        return Ok(Ok(Events { events: read.into_values().collect(), bytes }));
    }
    let fetches = elsewhere.into_iter().map(|(stored, reference)| {
        let is_lost = is_lost(namespace, stored, lost);
        async move {
            let (content, bytes) = match is_lost {
                true => (Content::Lost("nobody found it when it was looked for".to_owned()), 0),
                false if stored.sequence == known.sequence => return Ok((Ok(known.clone()), 0)),
                false => content(bus, &reference).await?,
            };
            Ok((Event::read_with(namespace, stored, content), bytes))
        }
    });
    let fetches: Vec<_> = fetches.collect();
    let fetched: Vec<_> = futures::stream::iter(fetches).buffered(AT_ONCE).try_collect().await?;
    for (event, length) in fetched {
        bytes += length;
        read.extend(event.ok().map(|event| (event.sequence, event)));
    }
    Ok(Ok(Events { events: read.into_values().collect(), bytes }))
}

/// The attempts whose results are lost by the word of these messages; see [`given_up_as_lost`].
pub(crate) fn lost(namespace: &Namespace, log: &[StoredMessage]) -> BTreeSet<TaskKey> {
    let is_failure = |stored: &&StoredMessage| {
        let subject = Subject::parse(namespace, &stored.message.subject);
        matches!(subject, Ok(Subject::Task { verb: TaskVerb::Failed, .. }))
    };
    let failures = log.iter().filter(is_failure).filter_map(|stored| Event::read(namespace, stored).ok());
    given_up_as_lost(&failures.collect::<Vec<_>>())
}

/// Whether a message is an outcome whose result somebody looked for in vain.
fn is_lost(namespace: &Namespace, stored: &StoredMessage, lost: &BTreeSet<TaskKey>) -> bool {
    match Subject::parse(namespace, &stored.message.subject) {
        Ok(Subject::Task { verb: TaskVerb::Completed, key }) => lost.contains(&key),
        _ => false,
    }
}

/// The messages of a run as if each carried its data itself. What refers to something that is lost is left as it is.
///
/// # Errors
/// [`BusError`] if something cannot be read now.
pub async fn whole(bus: &dyn Bus, log: Vec<StoredMessage>) -> Result<Vec<StoredMessage>, BusError> {
    let read = log.iter().filter_map(|stored| Event::read(bus.namespace(), stored).ok());
    let events: Vec<Event> = read.collect();
    let lost = given_up_as_lost(&events);
    let fetches = log.into_iter().map(|stored| {
        let is_lost = is_lost(bus.namespace(), &stored, &lost);
        async move { if is_lost { Ok(stored) } else { whole_message(bus, stored).await } }
    });
    let fetches: Vec<_> = fetches.collect();
    futures::stream::iter(fetches).buffered(AT_ONCE).try_collect().await
}

/// A message as if it carried its data itself, or as it is if that is lost.
///
/// # Errors
/// [`BusError`] if that cannot be told now.
pub async fn whole_message(bus: &dyn Bus, stored: StoredMessage) -> Result<StoredMessage, BusError> {
    match mesh_bus::whole(bus, stored.clone()).await {
        Ok(whole) => Ok(whole),
        Err(ReferenceError::Lost(error)) => {
            warn!(subject = stored.message.subject, error, "data of an event is lost");
            Ok(stored)
        }
        Err(ReferenceError::Bus(error)) => Err(error),
    }
}

/// What an event refers to, and its length as JSON.
///
/// # Errors
/// [`BusError`] if that cannot be told now.
pub(crate) async fn content(bus: &dyn Bus, reference: &DataRef) -> Result<(Content, usize), BusError> {
    match mesh_bus::fetch(bus, reference).await {
        Ok((value, bytes)) => Ok((Content::Found(value), bytes)),
        Err(ReferenceError::Lost(error)) => Ok((Content::Lost(error), 0)),
        Err(ReferenceError::Bus(error)) => Err(error),
    }
}
