//! Which events are wanted: as subjects, so that the server picks them, and by a look at each where subjects do not
//! tell.

use std::collections::BTreeSet;

use futures::TryStreamExt as _;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, BusError, From};
use mesh_schemas::generate::catalogue::EventType;
use mesh_schemas::{Envelope, Namespace, RunId, Subject, WorkflowName, WorkflowVerb};

use super::merge::Placed;
use super::types::kept;
use crate::follow::present;

/// The streams that are merged. Of events of the same time, those of an earlier stream go first.
pub(super) const STREAMS: [Stream; 4] = [Stream::Events, Stream::Tasks, Stream::Notes, Stream::Dead];

/// What is wanted of the events.
pub(super) struct Selection {
    run: Option<RunId>,
    /// All, if nothing is said.
    types: Option<Vec<&'static EventType>>,
    workflow: Option<OfWorkflow>,
}

/// Events of one workflow.
pub(crate) struct OfWorkflow {
    name: WorkflowName,
    /// Its runs: the subjects of tasks and timers do not name the workflow.
    runs: BTreeSet<RunId>,
}

impl Selection {
    /// Learns the runs of the workflow that began so far, if only one workflow is wanted.
    pub(super) async fn new(
        bus: &dyn Bus,
        run: Option<RunId>,
        types: Option<Vec<&'static EventType>>,
        workflow: Option<WorkflowName>,
    ) -> Result<Self, BusError> {
        let workflow = match workflow {
            Some(name) => Some(OfWorkflow::learn(bus, name).await?),
            None => None,
        };
        Ok(Self { run, types, workflow })
    }

    /// The subjects to read of each of [`STREAMS`]; none where nothing is wanted of it.
    pub(super) fn filters(&self, namespace: &Namespace) -> [Vec<String>; 4] {
        if self.run.is_none() && self.types.is_none() && self.workflow.is_none() {
            return std::array::from_fn(|_| vec![format!("{namespace}.>")]);
        }
        STREAMS.map(|stream| {
            let name = stream.short_name().to_uppercase();
            let types = kept().filter(|event| event.stream == Some(name.as_str()));
            types
                .filter(|event| self.wants(event))
                .filter_map(|event| self.subject(namespace, event))
                .collect()
        })
    }

    fn wants(&self, event: &EventType) -> bool {
        // New runs of the workflow are learned from their beginning, shown or not.
        let learns = self.workflow.is_some() && event.name == "workflow.started";
        learns || self.is_of_type(event.name)
    }

    fn is_of_type(&self, name: &str) -> bool {
        self.types.as_ref().is_none_or(|types| types.iter().any(|event| event.name == name))
    }

    /// The subjects of a type of event, as narrow as they can be; none if they have nothing to do with the run.
    fn subject(&self, namespace: &Namespace, event: &EventType) -> Option<String> {
        let is_of_runs = ["{run}", "{uuid}"].iter().any(|token| event.subject.contains(token));
        if (self.run.is_some() || self.workflow.is_some()) && !is_of_runs && event.name != "dead" {
            return None;
        }
        let (shard, uuid) = match &self.run {
            Some(run) => (run.shard().to_string(), run.uuid().to_string()),
            None => ("*".to_owned(), "*".to_owned()),
        };
        let workflow = self.workflow.as_ref().map_or("*", |workflow| workflow.name.as_str());
        let tokens = event.subject.split('.').map(|token| match token {
            "{shard}" => shard.as_str(),
            "{run}" | "{uuid}" => uuid.as_str(),
            // Signals may leave the workflow out.
            "{workflow}" if event.name == "workflow.signalled" => "*",
            "{workflow}" | "{target}" => workflow,
            token if token.starts_with('{') => "*",
            token => token,
        });
        Some(format!("{namespace}.{}", tokens.collect::<Vec<_>>().join(".")))
    }

    /// Whether an event is wanted. Ask in the order of the events: runs are learned from those that begin them.
    pub(super) fn takes(&mut self, namespace: &Namespace, event: &Placed) -> bool {
        let message = &event.stored.message;
        let mut subject = Subject::parse(namespace, &message.subject).ok();
        let is_of_type = subject.as_ref().is_none_or(|subject| self.is_of_type(&subject.event_type()));
        if let Some(Subject::Dead { .. }) = subject {
            // A dead letter belongs to what the message in it belongs to.
            let letter = Envelope::decode(&message.headers, b"").ok();
            let found_on = letter.and_then(|letter| letter.envelope()?.subject.clone());
            subject = found_on.and_then(|found_on| Subject::parse(namespace, &found_on).ok());
        }
        if let Some(run) = &self.run
            && !is_of_run(subject.as_ref(), run)
        {
            return false;
        }
        let is_of_workflow = self.workflow.as_mut().is_none_or(|workflow| workflow.has(subject.as_ref()));
        is_of_type && is_of_workflow
    }
}

impl OfWorkflow {
    /// Learns which runs of it began so far.
    pub(crate) async fn learn(bus: &dyn Bus, name: WorkflowName) -> Result<Self, BusError> {
        let filter = format!("{}.workflow.started.{name}.-.*.*", bus.namespace());
        let mut started = present(bus, Stream::Events, vec![filter], From::Begin).await?;
        let mut runs = BTreeSet::new();
        while let Some(stored) = started.try_next().await? {
            runs.extend(run_of(bus.namespace(), &stored.message.subject));
        }
        Ok(Self { name, runs })
    }

    /// Whether an event is of the workflow. Ask in the order of the events: runs are learned from those that begin them.
    pub(crate) fn has(&mut self, subject: Option<&Subject>) -> bool {
        match subject {
            Some(Subject::Workflow { verb: WorkflowVerb::Started, workflow, run })
                if workflow.as_ref() == Some(&self.name) =>
            {
                self.runs.insert(*run);
                true
            }
            Some(Subject::WorkflowRequested { workflow }) => *workflow == self.name,
            Some(Subject::RequestRejected { name, .. }) => name.as_ref() == Some(&self.name),
            subject => subject.and_then(Subject::run).is_some_and(|run| self.runs.contains(&run)),
        }
    }
}

fn is_of_run(subject: Option<&Subject>, run: &RunId) -> bool {
    match subject {
        Some(Subject::RequestRejected { id, .. }) => *id == run.uuid(),
        subject => subject.and_then(Subject::run) == Some(*run),
    }
}

fn run_of(namespace: &Namespace, subject: &str) -> Option<RunId> {
    Subject::parse(namespace, subject).ok()?.run()
}
