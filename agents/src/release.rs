//! Giving work back in order, and telling that from dying with it.
//!
//! NATS counts every delivery, those too that were given back. So whoever gives one back leaves a note, and each note
//! says how many deliveries before it were lost: the last note of an attempt is all that has to be read.

use std::time::Duration;

use mesh_bus::topology::Stream;
use mesh_bus::{Bus, BusError, Publish};
use mesh_schemas::payload::TaskReleased;
use mesh_schemas::{Decoded, Envelope, Subject, TaskKey};
use tracing::debug;

use crate::context::Inner;

/// How long a note may take to be stored. An agent that stops has little time, and without the note the delivery
/// only counts as lost.
const TIME: Duration = Duration::from_secs(1);

/// How many deliveries of the attempt before this one had neither an outcome nor a release.
pub(crate) async fn lost_before(bus: &dyn Bus, key: &TaskKey, delivered: u64) -> Result<u64, BusError> {
    if delivered <= 1 {
        return Ok(0);
    }
    let note = bus.last(Stream::Notes, &key.released(bus.namespace())).await?;
    let released =
        note.and_then(|note| match Envelope::decode(&note.message.headers, &note.message.payload) {
            Ok(Decoded::Event(event)) => event.data().ok(),
            _ => None,
        });
    Ok(count(released.as_ref(), delivered))
}

fn count(last: Option<&TaskReleased>, delivered: u64) -> u64 {
    let (released, lost) = last.map_or((0, 0), |note| (note.delivery, note.lost));
    lost.saturating_add(delivered.saturating_sub(released.saturating_add(1)))
}

/// Notes that a delivery is given back, if that can be done soon.
pub(crate) async fn note(context: &Inner) {
    let noted = tokio::time::timeout(TIME, try_note(context)).await;
    match noted.map_err(|_| "it takes too long".to_owned()) {
        Ok(Ok(())) => {}
        Ok(Err(error)) | Err(error) => debug!(error, "a release was not noted: it counts as a lost delivery"),
    }
}

async fn try_note(context: &Inner) -> Result<(), String> {
    let (bus, key, delivery) = (&*context.common.bus, &context.key, context.delivery);
    let lost = lost_before(bus, key, delivery).await.map_err(|error| error.to_string())?;
    let data = TaskReleased { agent: context.common.agent.clone(), delivery, lost };
    let note = context.event(&Subject::TaskReleased { key: key.clone(), delivery }, &data);
    bus.publish(Publish::plain(note)).await.map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lost_deliveries_count() {
        let note = |delivery, lost| {
            let agent = mesh_schemas::AgentId::new("a").expect("a name");
            TaskReleased { agent, delivery, lost }
        };
        assert_eq!(count(None, 1), 0);
        assert_eq!(count(None, 6), 5);
        assert_eq!(count(Some(&note(5, 0)), 6), 0);
        assert_eq!(count(Some(&note(3, 1)), 6), 3);
        // A zombie gave back what had been delivered to another meanwhile.
        assert_eq!(count(Some(&note(7, 2)), 6), 2);
    }
}
