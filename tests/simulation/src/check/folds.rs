//! What orchestrators keep in memory is what the log says, and what a prefix of the log decides, all of it keeps.

use std::sync::Arc;

use mesh_core::{Action, Decision, Event, Fact, Plan, Run, replay};
use mesh_schemas::{Namespace, StoredMessage};

/// Of a log of any length, about so many prefixes are looked at; of a short one, all.
const PREFIXES: usize = 12;

/// The run after each event, folded by the rules alone.
#[derive(Default)]
pub(super) struct Folds {
    plan: Option<Arc<Plan>>,
    /// Events that the rules can read.
    events: Vec<Event>,
    /// How many messages of the log were read.
    read: usize,
    /// The run after each of the events; none before it has started.
    runs: Vec<Option<Run>>,
    /// All that the events have led to.
    decisions: Vec<Decision>,
    /// How many of these each event and those before it have led to.
    counts: Vec<usize>,
}

impl Folds {
    /// Compares a run in memory with the log up to a sequence. Messages behind it may be there or not.
    pub(super) fn compare(
        &mut self,
        namespace: &Namespace,
        log: &[StoredMessage],
        run: &Run,
        upto: u64,
    ) -> Result<(), String> {
        self.extend(namespace, log, run)?;
        let known = self.events.iter().rposition(|event| event.sequence <= upto);
        let should_be = known.and_then(|known| self.runs[known].as_ref());
        match should_be {
            Some(should_be) if should_be == run => Ok(()),
            _ => Err(format!(
                "an orchestrator that has read up to {upto} thinks that of run {} the tasks are\n{:?}\nand they are\n{:?}",
                run.header.run,
                run.tasks(),
                should_be.map(Run::tasks)
            )),
        }
    }

    fn extend(&mut self, namespace: &Namespace, log: &[StoredMessage], run: &Run) -> Result<(), String> {
        for stored in &log[self.read..] {
            self.read += 1;
            let event = Event::read(namespace, stored).map_err(|error| error.to_string())?;
            let before = self.runs.last().cloned().flatten();
            let after = match (before, &event.fact) {
                (Some(mut run), _) => {
                    self.decisions.extend(run.apply(&event).decisions);
                    Some(run)
                }
                (None, Fact::Started(started)) => {
                    let plan = self.plan.get_or_insert_with(|| run.plan());
                    let (run, step) = Run::start(&event, started, Arc::clone(plan));
                    self.decisions.extend(step.decisions);
                    Some(run)
                }
                (None, _) => None,
            };
            self.events.push(event);
            self.runs.push(after);
            self.counts.push(self.decisions.len());
        }
        Ok(())
    }

    /// What the events up to a sequence have led to, of which the log must have everything once a checkpoint says so.
    /// Whoever writes a checkpoint has folded the run.
    pub(super) fn decided(
        &mut self,
        namespace: &Namespace,
        log: &[StoredMessage],
        upto: u64,
    ) -> Result<Vec<Decision>, String> {
        let run =
            self.runs.iter().flatten().next().cloned().ok_or("a checkpoint of a run that nobody folded")?;
        self.extend(namespace, log, &run)?;
        let known = self.events.partition_point(|event| event.sequence <= upto);
        let Some(last) = known.checked_sub(1) else { return Ok(Vec::new()) };
        // A timer that nobody waits for any more need not be there, nor a choice of something that is over, nor a pause that is.
        let is_idle = |decision: &Decision| {
            matches!(
                decision.action,
                Action::SetTimer(..) | Action::Route(..) | Action::Pause(..) | Action::Resume(_)
            ) && self.runs[last].as_ref().is_some_and(|run| !run.may_be_missing(decision))
        };
        Ok(self.decisions[..self.counts[last]]
            .iter()
            .filter(|decision| !is_idle(decision))
            .cloned()
            .collect())
    }

    /// Whoever reads any prefix of the log, and stores what it finds missing, stores nothing that all of the log does
    /// not lead to.
    pub(super) fn judge(&mut self, namespace: &Namespace, log: &[StoredMessage]) -> Result<(), String> {
        if let Some(run) = self.runs.iter().flatten().next().cloned() {
            self.extend(namespace, log, &run)?;
        }
        let Some(plan) = &self.plan else { return Ok(()) };
        let step = (self.events.len() / PREFIXES).max(1);
        for length in (1..=self.events.len()).step_by(step) {
            let Some((_, decisions)) = replay(plan, &self.events[..length]) else { continue };
            if let Some(lost) = decisions.iter().find(|decision| !self.decisions.contains(decision)) {
                return Err(format!("the first {length} events lead to what all of them do not: {lost:?}"));
            }
        }
        Ok(())
    }
}
