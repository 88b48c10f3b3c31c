//! Makes a run anew from the log, beside whatever else its shard does meanwhile.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use mesh_bus::history::Stage;
use mesh_bus::topology::Stream;
use mesh_bus::{ConsumerSpec, History};
use mesh_core::{Action, Decision, Event, Fact, Plan, Replay, Run, Started};
use mesh_schemas::{RunId, StoredMessage, TaskVerb};
use tokio::sync::OnceCell;
use tracing::debug;

use super::cache::Cached;
use super::checkpoint::{Grown, Pace};
use super::read::{BEHIND_PAUSE, Log, Reading, plan};
use super::settle::{Decided, Verdict, no_room, objection};
use crate::lease::Lease;
use crate::log::{self, Events};
use crate::observe::{self, Out, Outcomes};
use crate::service::Shared;
use crate::store::{self, Of};
use crate::trace::Origins;

/// An older `started` may be that of a run which has ended and was archived.
const NEW: Duration = Duration::from_secs(30);
/// How often a signal may come before its run is there: about ten seconds.
const EARLY_SIGNALS: u64 = 5;
/// Events that are read or folded between two looks at what else there is to do: some milliseconds.
const AT_A_TIME: usize = 256;
/// From so many tasks on that may be missing, it is looked which are there before they are stored again.
const WIDE: usize = 64;

/// Loads a run.
pub(super) struct Loader {
    pub(super) shared: Arc<Shared>,
    pub(super) consumer: ConsumerSpec,
    /// The newest event that anyone had been given when this process took the shard over. Asked for when a run is
    /// first read.
    pub(super) taken_over: Arc<OnceCell<u64>>,
    /// The newest event that this process was given since.
    pub(super) given: u64,
}

impl Loader {
    /// The run up to the end of the log, with everything stored that may have been missing; and what is to become of
    /// the event, so many bytes long with what it refers to, for which it is loaded.
    pub(super) async fn load(
        &self,
        lease: &Lease,
        bytes: usize,
        event: &Event,
    ) -> (Option<Box<Cached>>, Verdict) {
        // The first that anybody hears of a run: nothing behind it was folded or decided yet.
        if let Fact::Started(started) = &event.fact
            && lease.delivered == 1
            && is_new(&self.shared, event)
        {
            return match plan(&self.shared, started).await {
                Ok(plan) => {
                    let (cached, verdict) = begin(&self.shared, event, bytes, started, plan);
                    (Some(Box::new(cached)), verdict)
                }
                Err(verdict) => (None, verdict),
            };
        }
        match self.read(lease, event).await {
            None | Some(Reading::Behind) => (None, Verdict::Later),
            Some(Reading::Unknown(verdict)) => (None, verdict),
            Some(Reading::Newer(why)) => (None, Verdict::Beyond(why)),
            Some(Reading::Nothing) => (None, self.of_no_run(lease, event).await),
            Some(Reading::Log(log)) => self.follow(lease, event, *log).await,
        }
    }

    /// What becomes of an event whose run does not stand in the log.
    async fn of_no_run(&self, lease: &Lease, event: &Event) -> Verdict {
        let Some(history) = self.history(lease, &event.run).await else { return Verdict::Later };
        if history.is_archived() {
            return Verdict::Archived(Box::new(history));
        }
        if event.is_signal() && lease.delivered < EARLY_SIGNALS {
            return Verdict::Later;
        }
        Verdict::OfNoRun(format!("the log has no run {}", event.run))
    }

    /// What is archived of a run. It is read after the log: what is missing in the log was archived before.
    async fn history(&self, lease: &Lease, run: &RunId) -> Option<History> {
        let bus = &self.shared.bus;
        let _turn = self.shared.reads.short_run().await;
        let messages = lease.until_read("the history", BEHIND_PAUSE, || bus.read_history(run)).await?;
        Some(History::read(bus.namespace(), &messages))
    }

    async fn follow(&self, lease: &Lease, event: &Event, log: Log) -> (Option<Box<Cached>>, Verdict) {
        let Log { started: first, mut bytes, saved, rest, end, places, _turn: turn } = log;
        let (bus, begin) = (&*self.shared.bus, first.sequence);
        let is_end = |stored: &&StoredMessage| Stage::of(bus.namespace(), stored) == Stage::End;
        let ended = rest.iter().find(is_end).map(|stored| stored.time);
        // Without an end, its beginning may have been stored again by who relays a request that came again.
        let Some(history) = self.history(lease, &event.run).await else { return (None, Verdict::Later) };
        if history.is_archived() {
            return (None, Verdict::Archived(Box::new(history)));
        }
        let Fact::Started(started) = &first.fact else { return (None, Verdict::Later) };
        let plan = match plan(&self.shared, started).await {
            Ok(plan) => plan,
            Err(verdict) => return (None, verdict),
        };
        if event.is_signal() && event.sequence < begin {
            return (None, Verdict::Resend);
        }
        let mut replay = match saved {
            Some(run) => Replay::resume(run),
            None => Replay::begin(&first, started, plan),
        };
        let lost = log::lost(bus.namespace(), &rest);
        let mut grown = Grown::default();
        for chunk in rest.chunks(AT_A_TIME) {
            let read = || log::events(bus, chunk, event, &lost);
            let Events { events, bytes: length } = match lease.until_read("the run", BEHIND_PAUSE, read).await
            {
                Some(Ok(events)) => events,
                // What is decided without it may not be what those decide who know it.
                Some(Err(newer)) => return (None, Verdict::Beyond(newer)),
                None => return (None, Verdict::Later),
            };
            bytes += length;
            grown.by(events.len(), length);
            events.iter().for_each(|event| replay.take(event));
            tokio::task::yield_now().await;
        }
        let outcomes = Outcomes::from(bus.namespace(), &rest, event.sequence);
        drop((rest, turn));
        let (run, decisions) = replay.finish();
        let letter = objection(event.defect.clone(), run.stray(event));
        let header = Box::new(run.header.clone());
        let decisions = self.missing(&run.header.run, decisions).await;
        let origins = Origins::of(&run, &decisions, &[]);
        // Stored before the run is cached: events up to `end` are then acknowledged without storing anything.
        let of = Of { header: &header, origins: &origins, hop: None, has_deadline: true };
        let stored = store::decisions(bus, lease, decisions, of).await;
        let Ok(too_large) = stored else { return (None, Verdict::Later) };
        let letter = letter.or_else(|| no_room(too_large));
        (self.shared.folded)(&run, end);
        let pace = Pace::new(self.shared.checkpoint_after, grown, places);
        if event.fact == Fact::Ended && lease.delivered == 1 {
            observe::ended(bus.namespace(), &run.header, &event.id, event.time);
        }
        observe::follows(run.header.workflow.as_ref());
        let out = Out::of(&run, outcomes);
        let cached = Cached { run, begin, upto: end, covered: end, pace, ended, bytes, out };
        let none = Origins::default();
        let decided = Decided { header, decisions: Vec::new(), origins: none, letter };
        (Some(Box::new(cached)), Verdict::Store(decided, None))
    }

    /// Without the tasks of a wide run that are there: asking once is cheaper than being refused ten thousand times.
    async fn missing(&self, run: &RunId, mut decisions: Vec<Decision>) -> Vec<Decision> {
        let is_task = |decision: &&Decision| matches!(decision.action, Action::Create(..));
        if decisions.iter().filter(is_task).count() < WIDE {
            return decisions;
        }
        let bus = &*self.shared.bus;
        let namespace = bus.namespace();
        let filter = format!("{namespace}.task.{}.*.*.{run}.>", TaskVerb::Created);
        match bus.list_subjects(Stream::Tasks, &filter).await {
            Ok(there) => decisions.retain(|decision| match &decision.action {
                Action::Create(key, _) => !there.contains(&key.subject(TaskVerb::Created).render(namespace)),
                _ => true,
            }),
            Err(error) => debug!(%run, %error, "storing all tasks of the run again"),
        }
        decisions
    }
}

/// Whether an event is so young that its run cannot have been archived. A consumer that somebody deleted and that was made
/// anew delivers old events as if for the first time.
pub(super) fn is_new(shared: &Shared, event: &Event) -> bool {
    is_young(shared.bus.now() - event.time, spared(shared, NEW))
}

/// Whether something is younger than this. By a clock that is far off, nothing is.
fn is_young(age: TimeDelta, than: TimeDelta) -> bool {
    age.abs() < than
}

/// This time or, if that is shorter, the one for which runs that have ended are left alone.
pub(super) fn spared(shared: &Shared, time: Duration) -> TimeDelta {
    let grace = if shared.pressure.may_have_filled(shared.bus.moment()) {
        Duration::ZERO
    } else {
        shared.retention.grace
    };
    TimeDelta::from_std(grace.min(time)).unwrap_or_default()
}

/// A run that begins, and what is to become of its first event.
pub(super) fn begin(
    shared: &Shared,
    event: &Event,
    bytes: usize,
    started: &Started,
    plan: Arc<Plan>,
) -> (Cached, Verdict) {
    let (run, step) = Run::start(event, started, plan);
    observe::follows(run.header.workflow.as_ref());
    let header = Box::new(run.header.clone());
    let origins = Origins::of(&run, &step.decisions, &[]);
    let sequence = event.sequence;
    (shared.folded)(&run, sequence);
    let mut pace = Pace::new(shared.checkpoint_after, Grown::default(), Vec::new());
    pace.folded(event, bytes, &run);
    let mut out = Out::default();
    out.decided(&step.decisions);
    let cached = Cached { run, begin: sequence, upto: sequence, covered: 0, pace, ended: None, bytes, out };
    (cached, Verdict::Store(Decided { header, decisions: step.decisions, origins, letter: None }, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_a_clock_that_is_far_off_nothing_is_young() {
        let (zero, second, spared) = (TimeDelta::zero(), TimeDelta::seconds(1), TimeDelta::seconds(30));
        assert!(is_young(second, spared) && is_young(-second, spared), "clocks differ a little");
        for (age, than) in [
            (TimeDelta::minutes(45), spared),
            (-TimeDelta::minutes(45), spared),
            (-second, zero),
            (zero, zero),
        ] {
            assert!(!is_young(age, than), "{age} {than}");
        }
    }
}
