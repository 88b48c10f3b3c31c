//! How tasks wait for others.

use mesh_schemas::Timer;
use mesh_schemas::definition::{Join, Quorum, Quota};
use mesh_schemas::payload::code;

use super::deliver::Hit;
use super::{At, Fold, task_id};
use crate::decision::Action;
use crate::plan::Node;
use crate::run::state::{Failure, Frame, NodeState, Outcome, Waiting};

impl Fold<'_> {
    /// One of the tasks that a task waits for is over.
    pub(super) fn arrive(
        &mut self,
        at: At<'_>,
        frame: &mut Frame,
        queue: &mut Vec<usize>,
        place: usize,
        went_well: bool,
    ) -> Result<(), Failure> {
        let NodeState::Waiting(waiting) = &mut frame.nodes[place] else { return Ok(()) };
        waiting.missing -= 1;
        waiting.arrived += u32::from(went_well);
        let waiting = *waiting;
        let node = &at.block.nodes[place];
        let Some(quorum) = quorum(node) else {
            return if waiting.missing == 0 { self.begin(at, frame, queue, place) } else { Ok(()) };
        };
        if waiting.missing == 0 {
            let skipped = node.needs.iter().all(|need| frame.nodes[*need] == NodeState::Skipped);
            return if has_enough(node, quorum, waiting) || skipped {
                self.begin(at, frame, queue, place)
            } else {
                self.missed(at, frame, queue, place)
            };
        }
        if !has_enough(node, quorum, waiting) || waiting.in_grace {
            return Ok(());
        }
        match quorum.grace.map(|grace| grace.get()).filter(|grace| !grace.is_zero()) {
            None => self.go_on(at, frame, queue, place),
            Some(grace) => {
                if let NodeState::Waiting(waiting) = &mut frame.nodes[place] {
                    waiting.in_grace = true;
                }
                let timer = Timer::Grace(task_id(&at.path(place)));
                self.decide(Action::SetTimer(timer, self.time + grace));
                Ok(())
            }
        }
    }

    /// A time that a task waits is over.
    pub(super) fn wait_over(
        &mut self,
        at: At<'_>,
        frame: &mut Frame,
        queue: &mut Vec<usize>,
        place: usize,
        hit: &Hit<'_>,
    ) -> Result<(), Failure> {
        let node = &at.block.nodes[place];
        let (NodeState::Waiting(waiting), Some(quorum)) = (&frame.nodes[place], quorum(node)) else {
            return Ok(());
        };
        match hit {
            Hit::Grace if waiting.in_grace => self.go_on(at, frame, queue, place),
            Hit::Join if waiting.is_timed && has_enough(node, quorum, *waiting) => {
                self.go_on(at, frame, queue, place)
            }
            Hit::Join if waiting.is_timed => self.missed(at, frame, queue, place),
            _ => Ok(()),
        }
    }

    /// Begins a task without the rest of what it needs.
    fn go_on(
        &mut self,
        at: At<'_>,
        frame: &mut Frame,
        queue: &mut Vec<usize>,
        place: usize,
    ) -> Result<(), Failure> {
        let result = self.begin(at, frame, queue, place);
        release(at, frame, place);
        result
    }

    fn missed(
        &mut self,
        at: At<'_>,
        frame: &mut Frame,
        queue: &mut Vec<usize>,
        place: usize,
    ) -> Result<(), Failure> {
        let node = &at.block.nodes[place];
        let (NodeState::Waiting(waiting), Some(quorum)) = (&frame.nodes[place], quorum(node)) else {
            return Ok(());
        };
        let message = format!(
            "{} of {} went well, and {} were needed",
            waiting.arrived,
            node.needs.len(),
            quorum.quorum.at_least(node.needs.len())
        );
        let task = Some(task_id(&at.path(place)));
        let failure = Failure { task, code: code::QUORUM_MISSED.to_owned(), message, retryable: true };
        let result = self.over(at, frame, queue, place, Outcome::Failed(failure));
        release(at, frame, place);
        result
    }

    /// A task begins: what needs it, and waits for a limited time, waits from now on.
    pub(super) fn time_joins(&mut self, at: At<'_>, frame: &mut Frame, place: usize) {
        for &dependent in &at.block.nodes[place].dependents {
            let node = &at.block.nodes[dependent];
            if let Join::Quorum(Quorum { deadline: Some(deadline), .. }) = node.join
                && let NodeState::Waiting(waiting) = &mut frame.nodes[dependent]
                && !waiting.is_timed
            {
                waiting.is_timed = true;
                let timer = Timer::Join(task_id(&at.path(dependent)));
                self.decide(Action::SetTimer(timer, self.time + deadline.get()));
            }
        }
    }
}

/// How many are enough; none if all are to be waited for.
fn quorum(node: &Node) -> Option<Quorum> {
    match node.join {
        Join::All => None,
        Join::Any => Some(Quorum { quorum: Quota::Count(1), grace: None, deadline: None }),
        Join::Quorum(quorum) => Some(quorum),
    }
}

fn has_enough(node: &Node, quorum: Quorum, waiting: Waiting) -> bool {
    waiting.arrived as usize >= quorum.quorum.at_least(node.needs.len())
}

/// A task has gone on without some of what it needs: what nobody waits for any more keeps the block open no longer.
fn release(at: At<'_>, frame: &mut Frame, place: usize) {
    for &need in &at.block.nodes[place].needs {
        if is_free(at, frame, need) {
            frame.released.insert(need);
            frame.open -= 1;
            release(at, frame, need);
            if let Some(rescuer) = at.block.nodes[need].rescuer
                && is_open(frame, rescuer)
            {
                frame.released.insert(rescuer);
                frame.open -= 1;
                release(at, frame, rescuer);
            }
        }
    }
}

/// Whether a task is open and nobody waits for it, nor for the one that would stand in for it.
fn is_free(at: At<'_>, frame: &Frame, place: usize) -> bool {
    let passed = |place: usize| {
        let goes_on = |after: &usize| {
            !matches!(frame.nodes[*after], NodeState::Waiting(_)) || frame.released.contains(after)
        };
        at.block.nodes[place].dependents.iter().all(goes_on) && at.block.uses.binary_search(&place).is_err()
    };
    is_open(frame, place)
        && !at.block.nodes[place].dependents.is_empty()
        && passed(place)
        && at.block.nodes[place].rescuer.is_none_or(passed)
}

fn is_open(frame: &Frame, place: usize) -> bool {
    !frame.nodes[place].has_ended() && !frame.released.contains(&place)
}
