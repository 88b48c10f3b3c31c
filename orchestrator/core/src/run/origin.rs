//! Which attempts an attempt has waited for: nothing is decided by it, it is for people who look at what led to what.

use std::collections::BTreeSet;

use mesh_schemas::{Attempt, TaskId};

use super::Run;
use super::state::{EachState, Frame, ItemEnd, NodeState, Stand};
use crate::event::Event;
use crate::plan::{Block, Node, Step};

/// An attempt of a task.
pub type Origin = (TaskId, Attempt);

impl Run {
    /// The attempts that an attempt has waited for, as far as that is still known: the one before it or, of the first, the
    /// last ones of the tasks that it needs.
    #[must_use]
    pub fn origins(&self, task: &TaskId, attempt: Attempt) -> Vec<Origin> {
        if let Some(before) = attempt.before() {
            return vec![(task.clone(), before)];
        }
        let parts: Vec<&str> = task.parts().collect();
        let mut found = Vec::new();
        match (&self.plan.finally, &self.closing, parts.split_first()) {
            (Some(finally), Some(closing), Some((&"finally", rest))) => {
                in_frame(&finally.block, &closing.frame, "finally:", rest, &mut found);
            }
            _ => in_frame(&self.plan.root, &self.root, "", &parts, &mut found),
        }
        found
    }

    /// The attempts of the other items of a loop, if an event is the outcome of the last item that the loop waits for: to be
    /// asked before the run takes the event, as it is not known afterwards.
    #[must_use]
    pub fn gathered(&self, event: &Event) -> Vec<Origin> {
        let Some(task) = event.task() else { return Vec::new() };
        let parts: Vec<&str> = task.parts().collect();
        // Only loops that stand in no other part: in others, the cause of what follows is enough.
        let [id, _] = parts.as_slice() else { return Vec::new() };
        let Some(place) = self.plan.root.index(id) else { return Vec::new() };
        match &self.root.nodes[place] {
            NodeState::Each(each) if each.is_about_to_end() => each.attempts(id),
            _ => Vec::new(),
        }
    }
}

impl EachState {
    fn is_about_to_end(&self) -> bool {
        self.width > 0 && self.next == self.items.len() && self.running.len() == 1
    }

    fn attempts(&self, id: &str) -> Vec<Origin> {
        let ended = self.ends.iter().enumerate().filter_map(|(number, end)| match end {
            ItemEnd::Done(attempt) | ItemEnd::Failed(attempt) => Some((number, (*attempt)?)),
            ItemEnd::None | ItemEnd::Skipped => None,
        });
        ended
            .filter_map(|(number, attempt)| Some((TaskId::new(format!("{id}:{number}")).ok()?, attempt)))
            .collect()
    }
}

/// What the innermost task that an id leads through, and that waits for others, has waited for.
fn in_frame(block: &Block, frame: &Frame, prefix: &str, parts: &[&str], found: &mut Vec<Origin>) {
    let Some((id, rest)) = parts.split_first() else { return };
    let Some(place) = block.index(id) else { return };
    let node = &block.nodes[place];
    let awaited = awaited(block, frame, prefix, node);
    if !awaited.is_empty() {
        *found = awaited;
    }
    let prefix = format!("{prefix}{id}:");
    match &frame.nodes[place] {
        NodeState::Once(stand) => in_step(&node.step, stand, &prefix, rest, found),
        NodeState::Each(each) => {
            if let Some((number, rest)) = rest.split_first()
                && let Some(stand) = number.parse().ok().and_then(|number: usize| each.running.get(&number))
            {
                in_step(&node.step, stand, &format!("{prefix}{number}:"), rest, found);
            }
        }
        NodeState::Loop(state) => {
            if let Some((number, rest)) = rest.split_first() {
                in_step(&node.step, &state.stand, &format!("{prefix}{number}:"), rest, found);
            }
        }
        NodeState::Waiting(_)
        | NodeState::Recovering(..)
        | NodeState::Done(_)
        | NodeState::Failed(_)
        | NodeState::Skipped => {}
    }
}

/// The last attempts of the tasks that one needs; of one that consists of no attempts, those of what it needs in turn.
fn awaited(block: &Block, frame: &Frame, prefix: &str, node: &Node) -> Vec<Origin> {
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    let mut others: Vec<usize> = node.needs.iter().chain(&node.rescues).copied().collect();
    while let Some(other) = others.pop() {
        if !seen.insert(other) {
            continue;
        }
        let (needed, state) = (&block.nodes[other], &frame.nodes[other]);
        match state.attempt() {
            Some(attempt) => {
                found.extend(TaskId::new(format!("{prefix}{}", needed.id)).map(|task| (task, attempt)));
            }
            None if *state == NodeState::Skipped || matches!(needed.step, Step::Merge(_)) => {
                others.extend(&needed.needs);
            }
            None => {}
        }
    }
    found
}

fn in_step(step: &Step, stand: &Stand, prefix: &str, parts: &[&str], found: &mut Vec<Origin>) {
    match (step, stand) {
        (_, Stand::Planned(planned)) => {
            // The plan itself is what its first tasks come from.
            if let Ok(planner) = TaskId::new(prefix.trim_end_matches(':')) {
                *found = vec![(planner, planned.attempt)];
            }
            in_frame(&planned.block(), &planned.frame, prefix, parts, found);
        }
        (Step::Group(block), Stand::Group(frame)) => in_frame(block, frame, prefix, parts, found),
        (Step::Switch(cases), Stand::Case(number, stand)) => {
            if let (Some(case), Some((_, rest))) = (cases.get(*number), parts.split_first()) {
                in_step(&case.step, stand, &format!("{prefix}{number}:"), rest, found);
            }
        }
        _ => {}
    }
}
