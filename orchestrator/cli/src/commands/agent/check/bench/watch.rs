//! What the agent does, as it can be seen on NATS.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use mesh_bus::nats::{NatsBus, Settlement, Word};
use mesh_bus::topology::{Stream, agent_consumer};
use mesh_bus::{Bus as _, From, without_large};
use mesh_schemas::{Capability, Decoded, Envelope, Lane, Message, Namespace, StoredMessage, TaskVerb};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::task::{MARK, Task};

/// Something that was seen.
#[derive(Debug, Clone)]
pub(in super::super) struct Seen {
    pub(in super::super) at: Instant,
    pub(in super::super) what: What,
}

/// What was seen.
#[derive(Debug, Clone)]
pub(in super::super) enum What {
    /// A task that an orchestrator made.
    Created(StoredMessage),
    /// An outcome that stands in the log.
    Stored(StoredMessage),
    /// Something about tasks on its way, whether or not it is stored.
    Published(Message),
    /// A word about a delivery.
    Settled(Settlement),
    /// A dead letter about the message on this subject.
    Letter(String),
}

/// An outcome of a task that stands in the log, written by an agent or an orchestrator.
#[derive(Debug, Clone)]
pub(in super::super) struct Outcome {
    pub(in super::super) verb: TaskVerb,
    pub(in super::super) stored: StoredMessage,
    pub(in super::super) at: Instant,
}

impl Outcome {
    /// What it says, if it can be read; null stands for what it refers to.
    pub(in super::super) fn decoded(&self) -> Result<Decoded, String> {
        let namespace = self.stored.message.subject.split('.').next().unwrap_or_default();
        let namespace = namespace.parse::<Namespace>().map_err(|error| error.to_string())?;
        let message = &without_large(&namespace, &self.stored).message;
        Envelope::decode(&message.headers, &message.payload).map_err(|error| error.to_string())
    }
}

/// How much is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// What stands in streams, and what is said about deliveries.
    Stored,
    /// Also everything about tasks on its way. Who watches that listens on its subjects, so that whoever publishes there
    /// when no stream takes it is not told that nobody listens.
    Everything,
    /// In a mesh that others use: what is about the capability, tasks that orchestrators make included.
    Capability,
}

#[derive(Default)]
struct Log {
    seen: Mutex<Vec<Seen>>,
    grown: watch::Sender<()>,
}

impl Log {
    fn add(&self, what: What) {
        self.seen().push(Seen { at: Instant::now(), what });
        self.grown.send_replace(());
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that was seen since it began.
pub(in super::super) struct Watch {
    log: Arc<Log>,
    _feeds: JoinSet<()>,
}

impl Watch {
    /// Begins to watch the tasks of a capability.
    pub(super) async fn begin(bus: &NatsBus, capability: &Capability, scope: Scope) -> anyhow::Result<Self> {
        let log = Arc::new(Log::default());
        let mut feeds = JoinSet::new();
        let namespace = bus.namespace();
        let of_tasks = |verb: &str| format!("{namespace}.task.{verb}.{capability}.>");
        let outcomes = vec![of_tasks("completed"), of_tasks("failed")];
        let stored = bus.follow(Stream::Events, outcomes, From::Now).await?;
        feed(&mut feeds, &log, stored.filter_map(|event| ready(event.ok().flatten().map(What::Stored))));
        let letters = bus.follow(Stream::Dead, vec![format!("{namespace}.dead.tasks.>")], From::Now).await?;
        feed(&mut feeds, &log, letters.filter_map(|letter| ready(letter.ok().flatten().and_then(about))));
        let spec = agent_consumer(namespace, capability, &Lane::Normal);
        feed(&mut feeds, &log, bus.settlements(&spec).await?.map(What::Settled));
        let on_its_way = match scope {
            Scope::Stored => None,
            Scope::Everything => Some(format!("{namespace}.task.>")),
            Scope::Capability => Some(of_tasks("*")),
        };
        if let Some(filter) = on_its_way {
            feed(&mut feeds, &log, bus.subscribe(&filter).await?.map(What::Published));
        }
        if scope == Scope::Capability {
            let created = bus.follow(Stream::Tasks, vec![of_tasks("created")], From::Now).await?;
            let created = created.filter_map(|event| ready(event.ok().flatten().map(What::Created)));
            feed(&mut feeds, &log, created);
        }
        Ok(Self { log, _feeds: feeds })
    }

    /// Waits until something can be found in what was seen, for a time at most.
    pub(super) async fn until<T>(&self, limit: Duration, find: &impl Fn(&[Seen]) -> Option<T>) -> Option<T> {
        let mut grown = self.log.grown.subscribe();
        let look = async {
            loop {
                if let Some(found) = find(&self.log.seen()) {
                    return found;
                }
                if grown.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(limit, look).await.ok()
    }

    /// Looks at what was seen so far.
    pub(in super::super) fn look<T>(&self, find: impl FnOnce(&[Seen]) -> T) -> T {
        find(&self.log.seen())
    }
}

fn ready<T>(value: T) -> std::future::Ready<T> {
    std::future::ready(value)
}

fn feed(feeds: &mut JoinSet<()>, log: &Arc<Log>, things: impl futures::Stream<Item = What> + Send + 'static) {
    let log = Arc::clone(log);
    feeds.spawn(things.for_each(move |what| {
        log.add(what);
        ready(())
    }));
}

/// The subject of the message that a dead letter is about.
fn about(letter: StoredMessage) -> Option<What> {
    match Envelope::decode(&letter.message.headers, &letter.message.payload) {
        Ok(Decoded::Event(event)) => event.subject.map(What::Letter),
        _ => None,
    }
}

/// The outcomes of a task that the agent stored, in order.
pub(in super::super) fn outcomes(seen: &[Seen], task: &Task) -> Vec<Outcome> {
    let read = |seen: &Seen| match &seen.what {
        What::Stored(stored) if !is_ours(&stored.message) => {
            let verb = task.outcome_verb(&stored.message.subject)?;
            Some(Outcome { verb, stored: stored.clone(), at: seen.at })
        }
        _ => None,
    };
    seen.iter().filter_map(read).collect()
}

/// The outcomes of a task that the agent sent, whether or not they were stored.
pub(in super::super) fn attempts(seen: &[Seen], task: &Task) -> Vec<(TaskVerb, Instant)> {
    let read = |seen: &Seen| match &seen.what {
        What::Published(message) if !is_ours(message) => {
            Some((task.outcome_verb(&message.subject)?, seen.at))
        }
        _ => None,
    };
    seen.iter().filter_map(read).collect()
}

/// What was said about the deliveries of a task, in order.
pub(in super::super) fn words(seen: &[Seen], task: &Task) -> Vec<(Word, Instant)> {
    let read = |seen: &Seen| match &seen.what {
        What::Settled(said) if said.sequence == task.sequence => Some((said.word, seen.at)),
        _ => None,
    };
    seen.iter().filter_map(read).collect()
}

/// Whether the check itself wrote a message.
fn is_ours(message: &Message) -> bool {
    message.headers.get(MARK).is_some()
}

/// Whether an agent sent what may be the outcome of a task somewhere else than where it belongs.
pub(super) fn is_stray_outcome(message: &Message, task: &Task) -> bool {
    let is_outcome = message.subject.contains(".completed.") || message.subject.contains(".failed.");
    is_outcome && !is_ours(message) && !task.is_outcome_of_any(&message.subject)
}
