//! A run made anew from its log.

use std::collections::BTreeSet;
use std::sync::Arc;

use mesh_schemas::TaskKey;

use crate::decision::Decision;
use crate::event::{Event, Fact, Started};
use crate::plan::Plan;
use crate::run::Run;

/// Decisions that are held before it is looked which of them are still wanted.
const HELD: usize = 1_024;

/// Folds a log event by event, so that whoever does it may pause. What it holds does not grow with the log, but with
/// the run's open tasks.
#[derive(Debug)]
pub struct Replay {
    run: Run,
    decisions: Vec<Decision>,
    /// So many were wanted when it was looked last.
    wanted: usize,
}

impl Replay {
    /// Begins with the first event of a run.
    #[must_use]
    pub fn begin(event: &Event, started: &Started, plan: Arc<Plan>) -> Self {
        let (run, step) = Run::start(event, started, plan);
        Self { run, wanted: step.decisions.len(), decisions: step.decisions }
    }

    /// [`Replay::begin`], for a run that keeps what another may take over from it: see [`Run::taken_over`].
    #[must_use]
    pub fn keeping(event: &Event, started: &Started, plan: Arc<Plan>) -> Self {
        let (run, step) = Run::start_keeping(event, started, plan);
        Self { run, wanted: step.decisions.len(), decisions: step.decisions }
    }

    /// Goes on with a run all of whose decisions are known to be stored.
    #[must_use]
    pub fn resume(run: Run) -> Self {
        Self { run, decisions: Vec::new(), wanted: 0 }
    }

    /// Takes the next event.
    pub fn take(&mut self, event: &Event) {
        self.decisions.extend(self.run.apply(event).decisions);
        // What is not wanted any more will not be wanted again.
        if self.decisions.len() > 2 * self.wanted + HELD {
            self.sort_out();
        }
    }

    /// The run, and the decisions that may be missing from the log: storing them all makes up for whatever was not
    /// stored when the events were first handled.
    #[must_use]
    pub fn finish(mut self) -> (Run, Vec<Decision>) {
        self.sort_out();
        (self.run, self.decisions)
    }

    fn sort_out(&mut self) {
        let run = &self.run;
        self.decisions.retain(|decision| run.may_be_missing(decision));
        self.wanted = self.decisions.len();
    }
}

/// Folds a log from its beginning; see [`Replay::finish`] for what is returned.
///
/// `None` if there is no `started` among the events. Events before `started` are not part of the run.
#[must_use]
pub fn replay(plan: &Arc<Plan>, events: &[Event]) -> Option<(Run, Vec<Decision>)> {
    let begin = events.iter().position(|event| matches!(event.fact, Fact::Started(_)))?;
    let (first, rest) = events[begin..].split_first()?;
    let Fact::Started(started) = &first.fact else { return None };
    let mut replay = Replay::begin(first, started, Arc::clone(plan));
    rest.iter().for_each(|event| replay.take(event));
    Some(replay.finish())
}

/// The attempts whose results are lost by the word of the log: somebody looked for one, did not find it, and gave the
/// attempt up. Whatever is found in its place is not to be read any more, or it would be decided otherwise than it was:
/// [`Fact::Lost`] is what such an attempt came to.
#[must_use]
pub fn given_up_as_lost<'a>(events: impl IntoIterator<Item = &'a Event>) -> BTreeSet<TaskKey> {
    let lost = events.into_iter().filter_map(Event::gives_up_as_lost);
    lost.cloned().collect()
}
