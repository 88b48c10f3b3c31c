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
        if !has_enough(node, quorum, waiting) || waiting.in_grace || !is_called(node, frame) {
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
            self.time_join(at, frame, dependent);
        }
    }

    /// A task is called to stand in for another: its limited time runs if some of what it needs has begun.
    pub(super) fn time_called(&mut self, at: At<'_>, frame: &mut Frame, place: usize) {
        let has_begun = |need: &usize| !matches!(frame.nodes[*need], NodeState::Waiting(_));
        if at.block.nodes[place].needs.iter().any(has_begun) {
            self.time_join(at, frame, place);
        }
    }

    fn time_join(&mut self, at: At<'_>, frame: &mut Frame, place: usize) {
        let node = &at.block.nodes[place];
        if let Join::Quorum(Quorum { deadline: Some(deadline), .. }) = node.join
            && is_called(node, frame)
            && let NodeState::Waiting(waiting) = &mut frame.nodes[place]
            && !waiting.is_timed
        {
            waiting.is_timed = true;
            let timer = Timer::Join(task_id(&at.path(place)));
            self.decide(Action::SetTimer(timer, self.time + deadline.get()));
        }
    }
}

/// Whether a task does not stand in for another, or does so because that has failed.
fn is_called(node: &Node, frame: &Frame) -> bool {
    node.rescues.is_none_or(|failed| matches!(frame.nodes[failed], NodeState::Recovering(..)))
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

/// A task has gone on without some of what it needs, or will never ask for it: what nobody waits for any more keeps the block
/// open no longer.
pub(super) fn release(at: At<'_>, frame: &mut Frame, place: usize) {
    for &need in &at.block.nodes[place].needs {
        let chain = chain(at, need);
        if is_free(at, frame, &chain) {
            frame.open -= chain.len();
            frame.released.extend(&chain);
            chain.into_iter().for_each(|member| release(at, frame, member));
        }
    }
}

/// A task with all that stand in for it, one for the other. They are open together: none has ended before all have.
fn chain(at: At<'_>, place: usize) -> Vec<usize> {
    let nodes = &at.block.nodes;
    let first = std::iter::successors(Some(place), |place| nodes[*place].rescues).last();
    std::iter::successors(first, |place| nodes[*place].rescuer).collect()
}

/// Whether tasks are open, some other has gone on without them, and none will ask for them any more.
fn is_free(at: At<'_>, frame: &Frame, chain: &[usize]) -> bool {
    let is_open = |place: &usize| !frame.nodes[*place].has_ended() && !frame.released.contains(place);
    let is_used = |place: &usize| at.block.uses.binary_search(place).is_ok();
    let dependents = || chain.iter().flat_map(|place| &at.block.nodes[*place].dependents);
    let has_gone_on = |after: &usize| {
        frame.released.contains(after)
            || !matches!(frame.nodes[*after], NodeState::Waiting(_)) && !is_spared(at, frame, *after)
    };
    chain.iter().all(is_open)
        && !chain.iter().any(is_used)
        && dependents().any(has_gone_on)
        && dependents().all(|after| has_gone_on(after) || is_spared(at, frame, *after))
}

/// Whether a task was never called to stand in for another.
fn is_spared(at: At<'_>, frame: &Frame, place: usize) -> bool {
    frame.nodes[place] == NodeState::Skipped && at.block.nodes[place].rescues.is_some()
}
