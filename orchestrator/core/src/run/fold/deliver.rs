//! How an event finds the task that it is about.

use mesh_schemas::payload::{TaskCompleted, TaskError};
use mesh_schemas::{Attempt, TaskKey};

use super::{At, Fold};
use crate::expression::{Around, Brings};
use crate::plan::{Recurring, Step};
use crate::run::state::{Failure, Frame, NodeState, Outcome, Stand};

/// The rest of the id of a task: ids and numbers, from the outside in.
pub(super) type Parts<'a> = std::str::Split<'a, char>;

/// What happened to a task.
pub(in crate::run) enum Hit<'a> {
    /// An attempt went well.
    Completed(&'a TaskKey, &'a TaskCompleted),
    /// An attempt did not go well.
    Failed(&'a TaskKey, &'a TaskError),
    /// An attempt went well, but what it made is lost.
    Lost(&'a TaskKey, &'a TaskError),
    /// The pause after an attempt is over.
    Retry(Attempt),
    /// Somebody has it tried again.
    Again,
    /// The time is over that it waits for the last of what it needs.
    Grace,
    /// It was chosen how many of its items are under way at a time.
    Routed(u32),
    /// The time is over that it waits for enough of what it needs.
    Join,
}

impl Fold<'_> {
    /// Hands an event to a task in a block; what the block comes to, if it is over.
    pub(super) fn deliver(
        &mut self,
        at: At<'_>,
        frame: &mut Frame,
        parts: &mut Parts<'_>,
        hit: &Hit<'_>,
    ) -> Option<Outcome> {
        let place = at.block.index(parts.next()?)?;
        let mut queue = Vec::new();
        if let Hit::Grace | Hit::Join = hit
            && let NodeState::Waiting(_) = &frame.nodes[place]
        {
            // What waits has nothing in it yet that another event could be for.
            if parts.next().is_some() {
                return None;
            }
            let result = self.wait_over(at, frame, &mut queue, place, hit);
            return self.settle(at, frame, queue, result);
        }
        let node = &at.block.nodes[place];
        let path = at.path(place);
        let around = Around { parent: at.around, brings: Brings::Tasks(&frame.ended) };
        let is_around_spare = self.is_spare;
        self.is_spare |= frame.released.contains(&place);
        let outcome = match (&mut frame.nodes[place], &node.recurring) {
            (NodeState::Once(stand), Recurring::Once) => {
                self.deliver_step(&node.step, stand, &path, &around, parts, hit)
            }
            (NodeState::Each(state), Recurring::Each(each))
                if let Hit::Routed(width) = hit
                    && parts.clone().next().is_none() =>
            {
                self.width_chosen(each, &node.step, state, &path, &around, *width)
            }
            (NodeState::Each(state), Recurring::Each(each)) => {
                self.deliver_item(each, &node.step, state, &path, &around, parts, hit)
            }
            (NodeState::Loop(state), Recurring::Loop(rule)) => {
                self.deliver_iteration(rule, node, state, &path, &around, parts, hit)
            }
            _ => None,
        };
        self.is_spare = is_around_spare;
        let result = self.over(at, frame, &mut queue, place, outcome?);
        self.settle(at, frame, queue, result)
    }

    /// Hands an event to what is done once.
    pub(super) fn deliver_step(
        &mut self,
        step: &Step,
        stand: &mut Stand,
        path: &str,
        around: &Around<'_>,
        parts: &mut Parts<'_>,
        hit: &Hit<'_>,
    ) -> Option<Outcome> {
        match (step, stand) {
            (Step::Work(work), stand) if parts.clone().next().is_none() => {
                self.work(work, stand, path, around, hit)
            }
            (Step::Work(work), Stand::Planned(planned)) => {
                self.deliver_planned(work, planned, path, around, parts, hit)
            }
            (Step::Group(block), Stand::Group(frame)) => {
                let prefix = format!("{path}:");
                let at = At { block, prefix: &prefix, around: Some(around) };
                let outcome = self.deliver(at, frame, parts, hit)?;
                Some(self.leave(at, frame, path, 0, outcome))
            }
            (Step::Switch(cases), Stand::Case(number, stand)) => {
                if parts.next()?.parse() != Ok(*number) {
                    return None;
                }
                let path = format!("{path}:{number}");
                let step = &cases[*number].step;
                let outcome = self.deliver_step(step, stand, &path, around, parts, hit)?;
                self.note_part(step, &path, &outcome);
                Some(outcome)
            }
            _ => None,
        }
    }

    /// Goes on with a block as far as it goes by itself; what it comes to, if it is over.
    pub(super) fn settle(
        &mut self,
        at: At<'_>,
        frame: &mut Frame,
        mut queue: Vec<usize>,
        mut result: Result<(), Failure>,
    ) -> Option<Outcome> {
        while result.is_ok()
            && let Some(place) = queue.pop()
        {
            result = self.tell(at, frame, &mut queue, place);
        }
        match result {
            Err(failure) => Some(Outcome::Failed(failure)),
            Ok(()) if frame.open > 0 => None,
            Ok(()) => Some(self.block_output(at, frame)),
        }
    }
}
