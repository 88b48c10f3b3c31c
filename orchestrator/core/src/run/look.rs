//! Where in a run an id leads, and how that stands.

use mesh_schemas::{Attempt, TaskId};

use super::state::{Closing, EachState, Frame, ItemEnd, NodeState, Stand, Waiting};
use crate::plan::{Block, Node, Plan, Recurring, Step, Work};

/// What an id leads to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found<'a> {
    /// The workflow has no such task, or it is made of others.
    Nothing,
    /// A loop of which it is not chosen yet how many items are under way at a time.
    Unrouted,
    /// A task that waits; work, or something that is made of it.
    Waiting(Option<&'a Work>, Waiting),
    /// Work that has not begun, and may never.
    Unborn(&'a Work),
    /// Work under way.
    Open(&'a Work, &'a Stand),
    /// Work that is over, and its last attempt.
    Ended(&'a Work, Option<Attempt>),
    /// A part of something that is over: what it was is not known any more.
    Over,
}

/// Follows an id from the outside in.
pub(super) fn find<'a>(
    plan: &'a Plan,
    root: &'a Frame,
    closing: Option<&'a Closing>,
    task: &TaskId,
) -> Found<'a> {
    let parts: Vec<&str> = task.parts().collect();
    match (&plan.finally, closing, parts.split_first()) {
        (Some(finally), Some(closing), Some((&"finally", rest))) => {
            in_frame(&finally.block, &closing.frame, rest)
        }
        (Some(finally), None, Some((&"finally", rest))) => match enter(&finally.block, rest) {
            Some((place, rest)) => unborn_node(&finally.block.nodes[place], rest),
            None => Found::Nothing,
        },
        _ => in_frame(&plan.root, root, &parts),
    }
}

fn in_frame<'a>(block: &'a Block, frame: &'a Frame, parts: &[&str]) -> Found<'a> {
    let Some((place, rest)) = enter(block, parts) else { return Found::Nothing };
    let node = &block.nodes[place];
    match &frame.nodes[place] {
        NodeState::Waiting(waiting) if rest.is_empty() => Found::Waiting(work(node), *waiting),
        NodeState::Waiting(_) | NodeState::Skipped => unborn_node(node, rest),
        NodeState::Once(stand) => in_step(&node.step, stand, rest),
        NodeState::Each(each) if each.width == 0 && rest.is_empty() => Found::Unrouted,
        NodeState::Each(each) => in_item(&node.step, each, rest),
        NodeState::Loop(state) => match number(rest) {
            Some((number, rest)) if number == state.number as usize => {
                in_step(&node.step, &state.stand, rest)
            }
            Some((number, _)) if (1..state.number as usize).contains(&number) => Found::Over,
            Some((0, _)) | None => Found::Nothing,
            Some((_, rest)) => unborn_step(&node.step, rest),
        },
        NodeState::Recovering(_, attempt) | NodeState::Done(attempt) | NodeState::Failed(attempt) => {
            match work(node) {
                Some(work) if rest.is_empty() => Found::Ended(work, *attempt),
                Some(work) if work.planner.is_none() => Found::Nothing,
                Some(_) | None => Found::Over,
            }
        }
    }
}

fn in_step<'a>(step: &'a Step, stand: &'a Stand, parts: &[&str]) -> Found<'a> {
    match (step, stand) {
        (Step::Work(work), stand) if parts.is_empty() => Found::Open(work, stand),
        (Step::Work(_), Stand::Planned(planned)) => match &planned.block {
            Some(block) => in_frame(block, &planned.frame, parts),
            None => Found::Nothing,
        },
        (Step::Group(block), Stand::Group(frame)) => in_frame(block, frame, parts),
        (Step::Switch(cases), Stand::Case(chosen, stand)) => match number(parts) {
            Some((number, rest)) if number == *chosen => in_step(&cases[number].step, stand, rest),
            _ => unborn_step(step, parts),
        },
        _ => Found::Nothing,
    }
}

fn in_item<'a>(step: &'a Step, each: &'a EachState, parts: &[&str]) -> Found<'a> {
    let Some((number, rest)) = number(parts).filter(|(number, _)| *number < each.items.len()) else {
        return Found::Nothing;
    };
    if let Some(stand) = each.running.get(&number) {
        return in_step(step, stand, rest);
    }
    match (each.ends[number], step) {
        (ItemEnd::None | ItemEnd::Skipped, _) => unborn_step(step, rest),
        (ItemEnd::Done(attempt) | ItemEnd::Failed(attempt), Step::Work(work)) if rest.is_empty() => {
            Found::Ended(work, attempt)
        }
        (ItemEnd::Done(_) | ItemEnd::Failed(_), Step::Work(work)) if work.planner.is_none() => Found::Nothing,
        (ItemEnd::Done(_) | ItemEnd::Failed(_), _) => Found::Over,
    }
}

/// What an id would lead to in a task that has not begun.
fn unborn_node<'a>(node: &'a Node, parts: &[&str]) -> Found<'a> {
    match (&node.recurring, number(parts)) {
        (Recurring::Once, _) => unborn_step(&node.step, parts),
        (Recurring::Each(_) | Recurring::Loop(_), Some((_, rest))) => unborn_step(&node.step, rest),
        (Recurring::Each(_) | Recurring::Loop(_), None) => Found::Nothing,
    }
}

fn unborn_step<'a>(step: &'a Step, parts: &[&str]) -> Found<'a> {
    match step {
        Step::Work(work) if parts.is_empty() => Found::Unborn(work),
        Step::Work(_) | Step::Merge(_) => Found::Nothing,
        Step::Group(block) => match enter(block, parts) {
            Some((place, rest)) => unborn_node(&block.nodes[place], rest),
            None => Found::Nothing,
        },
        Step::Switch(cases) => {
            match number(parts).and_then(|(number, rest)| Some((cases.get(number)?, rest))) {
                Some((case, rest)) => unborn_step(&case.step, rest),
                None => Found::Nothing,
            }
        }
    }
}

fn enter<'p, 't>(block: &Block, parts: &'p [&'t str]) -> Option<(usize, &'p [&'t str])> {
    let (id, rest) = parts.split_first()?;
    Some((block.index(id)?, rest))
}

fn number<'p, 't>(parts: &'p [&'t str]) -> Option<(usize, &'p [&'t str])> {
    let (number, rest) = parts.split_first()?;
    Some((number.parse().ok()?, rest))
}

/// The work of a task that is nothing but work, done once.
fn work(node: &Node) -> Option<&Work> {
    match (&node.recurring, &node.step) {
        (Recurring::Once, Step::Work(work)) => Some(work),
        _ => None,
    }
}
