//! What follows when a task is over.

use chrono::{DateTime, Utc};
use mesh_schemas::Attempt;
use mesh_schemas::definition::OnFailure;
use serde_json::{Value, json};

use super::joins::release;
use super::{At, Fold, output};
use crate::expression::{Around, Brings, Ended, Measure, Measures, Status};
use crate::plan::{Node, Recurring, Step};
use crate::run::state::{Failure, Frame, NodeState, Outcome, Stand};

impl Fold<'_> {
    /// A task is over. An error if its block fails with it.
    pub(super) fn over(
        &mut self,
        at: At<'_>,
        frame: &mut Frame,
        queue: &mut Vec<usize>,
        place: usize,
        outcome: Outcome,
    ) -> Result<(), Failure> {
        let node = &at.block.nodes[place];
        let attempt = frame.nodes[place].attempt();
        self.count(node, &frame.nodes[place], &outcome);
        let iterations = match &mut frame.nodes[place] {
            NodeState::Loop(state) if node.keeps_iterations => {
                Some(Box::new(Value::Array(std::mem::take(&mut state.outputs))))
            }
            _ => None,
        };
        let measures = self.measures(node, frame, place, &outcome);
        match outcome {
            Outcome::Done(output) => {
                let ended = Ended { output, status: Status::Done, error: None, iterations, measures };
                self.finish(at, frame, queue, place, NodeState::Done(attempt), ended);
            }
            Outcome::Skipped => {
                let ended = Ended { status: Status::Skipped, ..Ended::default() };
                if let Some(failure) = unrescued(node, frame) {
                    frame.nodes[place] = NodeState::Skipped;
                    remember(node, frame, place, ended);
                    return Err(failure);
                }
                self.finish(at, frame, queue, place, NodeState::Skipped, ended);
            }
            Outcome::Failed(failure) => {
                let error = Some(Box::new(json!({ "code": failure.code, "message": failure.message })));
                let ended =
                    Ended { output: Value::Null, status: Status::Failed, error, iterations, measures };
                let tolerated = node.on_failure == OnFailure::Continue || frame.released.contains(&place);
                if tolerated {
                    self.finish(at, frame, queue, place, NodeState::Failed(attempt), ended);
                } else if node.rescuer.is_some() {
                    frame.nodes[place] = NodeState::Recovering(Box::new(failure), attempt);
                    // The one that stands in for it may ask what went wrong.
                    remember(node, frame, place, ended);
                    self.note(&at.path(place), &node.step, "failed", None);
                    queue.push(place);
                } else {
                    frame.nodes[place] = NodeState::Failed(attempt);
                    // So may what is done finally.
                    remember(node, frame, place, ended);
                    self.note(&at.path(place), &node.step, "failed", None);
                    return Err(failure);
                }
            }
        }
        Ok(())
    }

    /// A task has ended for good, and not as one that is taken over.
    fn finish(
        &mut self,
        at: At<'_>,
        frame: &mut Frame,
        queue: &mut Vec<usize>,
        place: usize,
        state: NodeState,
        ended: Ended,
    ) {
        self.compare(at, place, ended.status);
        self.note_end(at, frame, queue, place, state, ended);
    }

    /// Notes how a task ended for good, and that those behind it are to be told.
    pub(super) fn note_end(
        &mut self,
        at: At<'_>,
        frame: &mut Frame,
        queue: &mut Vec<usize>,
        place: usize,
        state: NodeState,
        ended: Ended,
    ) {
        let node = &at.block.nodes[place];
        let output = node.rescues.map(|_| ended.output.clone());
        self.note(&at.path(place), &node.step, ended.status.as_str(), None);
        if let Some(kept) = self.kept.as_mut().filter(|_| at.is_run()) {
            kept.insert(node.id.clone(), ended.clone());
        }
        frame.nodes[place] = state;
        if !frame.released.remove(&place) {
            frame.open -= 1;
        }
        remember(node, frame, place, ended);
        for &used in &node.uses {
            frame.readers[used] -= 1;
            if frame.readers[used] == 0 {
                frame.ended.remove(&at.block.nodes[used].id);
            }
        }
        queue.push(place);
        if let Some((failed, (failure, attempt))) = recovering(node, frame) {
            let error = Some(Box::new(json!({ "code": failure.code, "message": failure.message })));
            let output = output.unwrap_or_default();
            let ended = Ended { output, status: Status::Failed, error, ..Ended::default() };
            self.finish(at, frame, queue, failed, NodeState::Failed(attempt), ended);
        }
    }

    /// Tells those behind a task that it is over.
    pub(super) fn tell(
        &mut self,
        at: At<'_>,
        frame: &mut Frame,
        queue: &mut Vec<usize>,
        place: usize,
    ) -> Result<(), Failure> {
        let node = &at.block.nodes[place];
        if let (NodeState::Recovering(..), Some(rescuer)) = (&frame.nodes[place], node.rescuer) {
            self.arrive(at, frame, queue, rescuer, false)?;
            self.time_called(at, frame, rescuer);
            return Ok(());
        }
        if let Some(rescuer) = node.rescuer
            && let NodeState::Waiting(_) = &frame.nodes[rescuer]
        {
            self.over(at, frame, queue, rescuer, Outcome::Skipped)?;
            release(at, frame, rescuer);
        }
        let went_well = matches!(frame.nodes[place], NodeState::Done(_));
        for &dependent in &node.dependents {
            self.arrive(at, frame, queue, dependent, went_well)?;
        }
        Ok(())
    }

    /// What a block of which all is over comes to.
    pub(super) fn block_output(&self, at: At<'_>, frame: &Frame) -> Outcome {
        let around = Around { parent: at.around, brings: Brings::Tasks(&frame.ended) };
        match at.block.output.render(&self.scope(&around, None)) {
            Ok(output) => output::checked(at.block.schema.as_deref(), output, "output_schema"),
            Err(error) => Outcome::Failed(Failure {
                task: None,
                code: error.code().to_owned(),
                message: format!("output: {error}"),
                retryable: false,
            }),
        }
    }

    /// How good and how fast a task was that is over, if anybody asks for it.
    fn measures(
        &self,
        node: &Node,
        frame: &mut Frame,
        place: usize,
        outcome: &Outcome,
    ) -> Option<Box<Measures>> {
        let began = frame.began.remove(&place);
        if !node.is_measured || !matches!(outcome, Outcome::Done(_)) {
            return None;
        }
        let stand = match &mut frame.nodes[place] {
            NodeState::Each(state) => {
                return Some(Box::new(Measures::Items(std::mem::take(&mut state.measures))));
            }
            NodeState::Once(stand) => Some(&*stand),
            NodeState::Loop(state) => Some(&state.stand),
            _ => None,
        };
        let quality = self.quality(&node.step, stand);
        Some(Box::new(Measures::One(self.measure(quality, began))))
    }

    pub(super) fn measure(&self, quality: Option<f64>, began: Option<DateTime<Utc>>) -> Measure {
        let took = began.map_or(0, |began| (self.time - began).num_milliseconds());
        Measure { quality, millis: u64::try_from(took).unwrap_or_default(), order: self.sequence }
    }

    /// The quality of what has just been done, if its agent says it or a merge has reckoned it.
    pub(super) fn quality(&self, step: &Step, stand: Option<&Stand>) -> Option<f64> {
        match (step, stand) {
            (Step::Work(_), Some(Stand::Active(_))) => self.quality,
            (Step::Switch(cases), Some(Stand::Case(number, stand))) => {
                self.quality(&cases[*number].step, Some(stand))
            }
            // A merge is over at once, also as a case.
            (Step::Merge(_) | Step::Switch(_), _) => self.merged,
            _ => None,
        }
    }

    /// Counts work, and what never began; what is made of other tasks is counted by those.
    fn count(&mut self, node: &Node, state: &NodeState, outcome: &Outcome) {
        let counts = match (&node.recurring, state) {
            (_, NodeState::Waiting(_)) => true,
            (Recurring::Once, NodeState::Once(stand)) => is_work(&node.step, stand),
            _ => false,
        };
        if counts {
            self.count_one(outcome);
        }
    }

    pub(super) fn count_one(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Done(_) => self.counts.done += 1,
            Outcome::Failed(_) => self.counts.failed += 1,
            Outcome::Skipped => self.counts.skipped += 1,
        }
    }
}

/// Keeps how a task ended, if anybody may ask for it.
fn remember(node: &Node, frame: &mut Frame, place: usize, ended: Ended) {
    if frame.readers[place] > 0 {
        frame.ended.insert(node.id.clone(), ended);
    }
}

/// Whether something under way is work, if only by its case.
pub(super) fn is_work(step: &Step, stand: &Stand) -> bool {
    match (step, stand) {
        (Step::Work(_), _) => true,
        (Step::Switch(cases), Stand::Case(number, stand)) => is_work(&cases[*number].step, stand),
        _ => false,
    }
}

/// The failure that a task should have made up for.
fn unrescued(node: &Node, frame: &Frame) -> Option<Failure> {
    recovering(node, frame).map(|(_, (failure, _))| failure)
}

/// The task whose failure a task is for, if it did fail and that is not settled.
fn recovering(node: &Node, frame: &Frame) -> Option<(usize, (Failure, Option<Attempt>))> {
    let failed = node.rescues?;
    match &frame.nodes[failed] {
        NodeState::Recovering(failure, attempt) => Some((failed, ((**failure).clone(), *attempt))),
        _ => None,
    }
}
