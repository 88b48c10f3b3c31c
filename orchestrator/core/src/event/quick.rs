//! What most events say, if there is nothing unusual about them, without a tree of values in between.

use mesh_schemas::payload::WorkflowCompleted;
use mesh_schemas::{Envelope, Message, Namespace, RunId, Subject, TaskVerb, WorkflowVerb};

use super::{Fact, Started};

/// What the event says, and in which run; `None` if it is to be read the general way.
pub(super) fn read(namespace: &Namespace, message: &Message) -> Option<(RunId, Fact)> {
    let Message { subject, headers, payload } = message;
    match Subject::parse(namespace, subject).ok()? {
        Subject::Task { verb: TaskVerb::Completed, key } => {
            let (_, data) = Envelope::decode_with(headers, payload)?;
            Some((key.run, Fact::Completed(key, Box::new(data))))
        }
        Subject::Workflow { verb: WorkflowVerb::Started, workflow: workflow @ Some(_), run } => {
            let (event, data) = Envelope::decode_with(headers, payload)?;
            let (trace, correlation_id) = (event.trace(), event.correlationid().map(str::to_owned));
            let started = Started { workflow, data, lost: None, correlation_id, trace };
            Some((run, Fact::Started(Box::new(started))))
        }
        Subject::Workflow { verb: WorkflowVerb::Completed, run, .. } => {
            Envelope::decode_with::<WorkflowCompleted>(headers, payload)?;
            Some((run, Fact::Ended))
        }
        _ => None,
    }
}
