use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::StreamExt as _;
use mesh_bus::{Bus, BusError};
use mesh_schemas::{Capability, Headers, Message, RunId, StoredMessage, Subject, TaskVerb, WorkflowVerb};
use tokio::sync::watch;
use uuid::Uuid;

use super::event::Event;

/// Writes down what passes on a bus, in the order in which it passes.
///
/// The streams are stored one by one and do not tell their common order, least of all while the clock stands still. What
/// passes does; and in this process nothing is lost on the way.
#[derive(Debug)]
pub(super) struct Recorder {
    record: Mutex<Record>,
    grown: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Record {
    listens: bool,
    /// By the uuid of their run.
    events: BTreeMap<Uuid, Vec<Event>>,
    /// Subjects of events that are stored once.
    stored: BTreeSet<Subject>,
    /// Runs in the order in which they started.
    runs: Vec<RunId>,
    /// What was asked for, directly.
    requested: Vec<Capability>,
    /// How many marks were sent, and heard.
    marks: (u64, u64),
}

/// Behind the namespace, the subject of marks: nobody else listens to it, and no stream takes it.
const MARK: &str = "heard";

impl Recorder {
    pub(super) fn new() -> Self {
        Self { record: Mutex::new(Record::default()), grown: watch::Sender::new(()) }
    }

    /// Listens for as long as the connection lasts.
    pub(super) async fn listen(&self, bus: &dyn Bus) -> Result<(), BusError> {
        let mut heard = bus.subscribe(&format!("{}.>", bus.namespace())).await?;
        self.note(|record| record.listens = true);
        let mark = format!("{}.{MARK}", bus.namespace());
        while let Some(message) = heard.next().await {
            if message.subject == mark {
                self.note(|record| record.marks.1 += 1);
                continue;
            }
            match Subject::parse(bus.namespace(), &message.subject) {
                Ok(Subject::TaskRequested { capability }) => {
                    self.note(|record| record.requested.push(capability));
                }
                _ => {
                    // As whoever reads it sees it, with all of its data.
                    let stored = StoredMessage { message, sequence: 0, time: bus.now() };
                    let StoredMessage { message, time, .. } =
                        mesh_bus::whole(bus, stored.clone()).await.unwrap_or(stored);
                    if let Some(event) = Event::read(bus.namespace(), &message, time) {
                        self.note(|record| record.add(event));
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns when nothing that passes from now on is missed.
    pub(super) async fn is_listening(&self) {
        self.until(|record| record.listens.then_some(())).await;
    }

    /// Returns when everything that has passed until now is written down, if the server is there to pass it.
    pub(super) async fn catch_up(&self, bus: &dyn Bus) {
        if bus.shards().await.is_err() {
            return;
        }
        self.note(|record| record.marks.0 += 1);
        let sent = self.lock().marks.0;
        let subject = format!("{}.{MARK}", bus.namespace());
        let mark = Message { subject, headers: Headers::new(), payload: Bytes::new() };
        if bus.notify(mark).await.is_ok() {
            self.until(|record| (record.marks.1 >= sent).then_some(())).await;
        }
    }

    /// What has happened to a run so far.
    pub(super) fn of_run(&self, run: RunId) -> Vec<Event> {
        self.lock().events.get(&run.uuid()).cloned().unwrap_or_default()
    }

    /// Runs that have started, in that order.
    pub(super) fn runs(&self) -> Vec<RunId> {
        self.lock().runs.clone()
    }

    /// Waits for the first event of a run for which something can be said; each event is looked at once.
    pub(super) async fn await_event<T>(&self, run: RunId, mut found: impl FnMut(&Event) -> Option<T>) -> T {
        let mut seen = 0;
        self.until(|record| {
            let events = record.events.get(&run.uuid()).map(Vec::as_slice).unwrap_or_default();
            let new = &events[seen..];
            seen = events.len();
            new.iter().find_map(&mut found)
        })
        .await
    }

    /// Waits until somebody asks directly for a capability that `is_there` does not know.
    pub(super) async fn await_request(&self, is_there: impl Fn(&Capability) -> bool) -> Capability {
        self.until(|record| record.requested.iter().find(|capability| !is_there(capability)).cloned()).await
    }

    async fn until<T>(&self, mut found: impl FnMut(&Record) -> Option<T>) -> T {
        let mut grown = self.grown.subscribe();
        loop {
            grown.mark_unchanged();
            if let Some(found) = found(&self.lock()) {
                return found;
            }
            // The sender is here, so this does not fail.
            let _ = grown.changed().await;
        }
    }

    fn note(&self, note: impl FnOnce(&mut Record)) {
        note(&mut self.lock());
        self.grown.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn add(&mut self, mut event: Event) {
        let Some(uuid) = event.run_uuid() else { return };
        // What is published again is stored once.
        if is_stored_once(&event.subject) && !self.stored.insert(event.subject.clone()) {
            return;
        }
        let events = self.events.entry(uuid).or_default();
        if let Some(first) = events.first() {
            event.after = (event.at - first.at).to_std().unwrap_or_default();
        }
        if let Subject::Workflow { verb: WorkflowVerb::Started, run, .. } = event.subject {
            self.runs.push(run);
        }
        events.push(event);
    }
}

/// Whether the subject names one fact, for good.
fn is_stored_once(subject: &Subject) -> bool {
    match subject {
        Subject::Task { verb, .. } => {
            matches!(verb, TaskVerb::Created | TaskVerb::Completed | TaskVerb::Failed)
        }
        Subject::Workflow { .. } | Subject::Signalled { .. } | Subject::TimerFired { .. } => true,
        _ => false,
    }
}
