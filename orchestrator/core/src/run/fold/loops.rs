//! Loops over items, and loops that repeat.

use std::collections::BTreeMap;

use mesh_schemas::definition::{OnMax, Quota};
use mesh_schemas::payload::code;
use serde_json::{Value, json};

use super::begin::failed;
use super::close::Ending;
use super::deliver::{Hit, Parts};
use super::over::is_work;
use super::{Fold, failure, task_id};
use crate::expression::{Around, Brings};
use crate::plan::{Each, Loop, Node, Step};
use crate::run::state::{EachState, Failure, ItemEnd, LoopState, NodeState, Outcome, Stand};

/// What a loop that begins came to: how it stands, if it began at all, and its outcome if it is over at once.
type Begun = (Option<NodeState>, Option<Outcome>);

impl Fold<'_> {
    /// Begins a loop over items.
    pub(super) fn start_each(&mut self, each: &Each, step: &Step, path: &str, around: &Around<'_>) -> Begun {
        let items = match each.items.render(&self.scope(around, None)) {
            Ok(items) => items,
            Err(error) => return (None, Some(failed(path, "foreach.in", &error))),
        };
        let (keys, items) = match items {
            Value::Array(items) => (None, items),
            Value::Object(map) => {
                let (keys, items) = map.into_iter().unzip();
                (Some(keys), items)
            }
            other => {
                let message =
                    format!("tasks.{path}.foreach.in: expected a list or an object, found {}", kind(&other));
                return (None, Some(failure(path, code::EXPRESSION, message, false)));
            }
        };
        if items.len() > each.max_items {
            let message =
                format!("there are {} items, and at most {} are allowed", items.len(), each.max_items);
            return (None, Some(failure(path, code::TOO_MANY_ITEMS, message, false)));
        }
        let is_chosen = each.adaptive.is_none() || items.is_empty();
        let mut state = Box::new(EachState {
            keys,
            width: if is_chosen { each.max_parallel } else { 0 },
            next: 0,
            running: BTreeMap::new(),
            ends: vec![ItemEnd::None; items.len()],
            outputs: vec![Value::Null; items.len()],
            items,
            failed: 0,
            began: BTreeMap::new(),
            measures: BTreeMap::new(),
        });
        let outcome = match &each.adaptive {
            Some(adaptive) if !is_chosen => self.ask_for_width(each, adaptive, step, path, around),
            _ => self.fill(each, step, &mut state, path, around, self.decisions.len()),
        };
        (Some(NodeState::Each(state)), outcome)
    }

    /// Hands an event to an item.
    #[expect(clippy::too_many_arguments, reason = "what is planned, how it stands, where, and what happened")]
    pub(super) fn deliver_item(
        &mut self,
        each: &Each,
        step: &Step,
        state: &mut EachState,
        path: &str,
        around: &Around<'_>,
        parts: &mut Parts<'_>,
        hit: &Hit<'_>,
    ) -> Option<Outcome> {
        let number: usize = parts.next()?.parse().ok()?;
        let EachState { keys, items, running, .. } = state;
        let stand = running.get_mut(&number)?;
        let key = keys.as_ref().map(|keys| keys[number].as_str());
        let brings = Brings::Item { item: &items[number], index: number, key };
        let inside = Around { parent: Some(around), brings };
        let outcome = self.deliver_step(step, stand, &format!("{path}:{number}"), &inside, parts, hit)?;
        if let Some(outcome) = self.item_over(each, step, state, path, number, outcome, 0) {
            return Some(outcome);
        }
        self.fill(each, step, state, path, around, 0)
    }

    /// Begins as many items as may be under way; what the loop comes to, if it is over.
    pub(super) fn fill(
        &mut self,
        each: &Each,
        step: &Step,
        state: &mut EachState,
        path: &str,
        around: &Around<'_>,
        mark: usize,
    ) -> Option<Outcome> {
        while state.next < state.items.len() && state.running.len() < state.width {
            let number = state.next;
            state.next += 1;
            let key = state.keys.as_ref().map(|keys| keys[number].as_str());
            let brings = Brings::Item { item: &state.items[number], index: number, key };
            let inside = Around { parent: Some(around), brings };
            let (stand, outcome) = self.start_step(step, &format!("{path}:{number}"), &inside);
            if let Some(stand) = stand {
                state.running.insert(number, stand);
            }
            if each.is_measured {
                state.began.insert(number, self.time);
            }
            if let Some(outcome) = outcome
                && let Some(outcome) = self.item_over(each, step, state, path, number, outcome, mark)
            {
                return Some(outcome);
            }
        }
        if !state.running.is_empty() {
            return None;
        }
        let outputs = std::mem::take(&mut state.outputs);
        Some(Outcome::Done(match state.keys.take() {
            None => Value::Array(outputs),
            Some(keys) => Value::Object(keys.into_iter().zip(outputs).collect()),
        }))
    }

    /// An item is over; what the loop comes to, if it fails with it.
    #[expect(clippy::too_many_arguments, reason = "what is planned, how it stands, where, and what happened")]
    fn item_over(
        &mut self,
        each: &Each,
        step: &Step,
        state: &mut EachState,
        path: &str,
        number: usize,
        outcome: Outcome,
        mark: usize,
    ) -> Option<Outcome> {
        let stand = state.running.remove(&number);
        let attempt = stand.as_ref().and_then(Stand::attempt);
        self.count_recurring(step, stand.as_ref(), &outcome);
        state.items[number] = Value::Null;
        self.note_part(step, &format!("{path}:{number}"), &outcome);
        let began = state.began.remove(&number);
        let failure = match outcome {
            Outcome::Done(output) => {
                if each.is_measured {
                    let quality = self.quality(step, stand.as_ref());
                    state.measures.insert(number, self.measure(quality, began));
                }
                state.outputs[number] = output;
                state.ends[number] = ItemEnd::Done(attempt);
                return None;
            }
            Outcome::Skipped => {
                state.ends[number] = ItemEnd::Skipped;
                return None;
            }
            Outcome::Failed(failure) => failure,
        };
        state.outputs[number] = json!({ "error": { "code": failure.code, "message": failure.message } });
        state.ends[number] = ItemEnd::Failed(attempt);
        state.failed += 1;
        let total = state.items.len();
        let most = each.tolerate.at_most(total);
        if state.failed <= most {
            return None;
        }
        let reason = format!("'{path}' ended because task '{path}:{number}' failed");
        let ending = Ending { code: code::OVERTAKEN, reason: &reason };
        for (number, stand) in &mut state.running {
            self.close_one(step, stand, &format!("{path}:{number}"), mark, ending);
        }
        self.count_cancelled(total - state.next);
        if matches!(each.tolerate, Quota::Count(0)) {
            return Some(Outcome::Failed(failure));
        }
        let Failure { task, message, retryable, .. } = failure;
        let task = task.unwrap_or_else(|| task_id(&format!("{path}:{number}")));
        let message = format!(
            "{} of {total} items failed, and {most} may; the last was '{task}': {message}",
            state.failed
        );
        Some(super::failure(path, code::TOO_MANY_FAILURES, message, retryable))
    }

    /// Begins a loop that repeats.
    pub(super) fn start_loop(&mut self, rule: &Loop, node: &Node, path: &str, around: &Around<'_>) -> Begun {
        // The first iteration stands where an attempt would, until it is known how it does.
        let stand = Stand::Pausing(mesh_schemas::Attempt::FIRST);
        let mut state = Box::new(LoopState { number: 0, stand, previous: Value::Null, outputs: Vec::new() });
        let outcome = self.iterate(rule, node, &mut state, path, around);
        (Some(NodeState::Loop(state)), outcome)
    }

    /// Hands an event to the iteration under way.
    #[expect(clippy::too_many_arguments, reason = "what is planned, how it stands, where, and what happened")]
    pub(super) fn deliver_iteration(
        &mut self,
        rule: &Loop,
        node: &Node,
        state: &mut LoopState,
        path: &str,
        around: &Around<'_>,
        parts: &mut Parts<'_>,
        hit: &Hit<'_>,
    ) -> Option<Outcome> {
        if parts.next()?.parse() != Ok(state.number) {
            return None;
        }
        let brings = Brings::Iteration { number: state.number, previous: &state.previous };
        let inside = Around { parent: Some(around), brings };
        let own = format!("{path}:{}", state.number);
        let outcome = self.deliver_step(&node.step, &mut state.stand, &own, &inside, parts, hit)?;
        self.count_recurring(&node.step, Some(&state.stand), &outcome);
        self.note_part(&node.step, &own, &outcome);
        self.iteration_over(rule, node, state, path, around, outcome)
            .or_else(|| self.iterate(rule, node, state, path, around))
    }

    /// Begins the next iteration, and those after it as long as they are over at once.
    fn iterate(
        &mut self,
        rule: &Loop,
        node: &Node,
        state: &mut LoopState,
        path: &str,
        around: &Around<'_>,
    ) -> Option<Outcome> {
        loop {
            state.number += 1;
            let brings = Brings::Iteration { number: state.number, previous: &state.previous };
            let inside = Around { parent: Some(around), brings };
            let own = format!("{path}:{}", state.number);
            let (stand, outcome) = self.start_step(&node.step, &own, &inside);
            let outcome = match (stand, outcome) {
                (stand, Some(outcome)) => {
                    self.count_recurring(&node.step, stand.as_ref(), &outcome);
                    self.note_part(&node.step, &own, &outcome);
                    outcome
                }
                (Some(stand), None) => {
                    state.stand = stand;
                    return None;
                }
                (None, None) => return None,
            };
            if let Some(outcome) = self.iteration_over(rule, node, state, path, around, outcome) {
                return Some(outcome);
            }
        }
    }

    /// An iteration is over; what the loop comes to, if it was the last.
    fn iteration_over(
        &mut self,
        rule: &Loop,
        node: &Node,
        state: &mut LoopState,
        path: &str,
        around: &Around<'_>,
        outcome: Outcome,
    ) -> Option<Outcome> {
        let output = match outcome {
            Outcome::Done(output) => output,
            Outcome::Skipped => Value::Null,
            failed @ Outcome::Failed(_) => return Some(failed),
        };
        let brings = Brings::Iteration { number: state.number, previous: &state.previous };
        let inside = Around { parent: Some(around), brings };
        let ends = rule.until.evaluate(&self.scope(&inside, Some(&output)));
        if node.keeps_iterations {
            state.outputs.push(output.clone());
        }
        match ends {
            Err(error) => Some(failed(path, "repeat.until", &error)),
            Ok(true) => Some(Outcome::Done(output)),
            Ok(false) if state.number < rule.max => {
                state.previous = output;
                None
            }
            Ok(false) if rule.on_max == OnMax::Continue => Some(Outcome::Done(output)),
            Ok(false) => {
                let message = format!("the condition to end did not hold after {} iterations", rule.max);
                Some(failure(path, code::REPEAT_EXHAUSTED, message, true))
            }
        }
    }

    /// Counts an item or an iteration that is work, or that never began.
    fn count_recurring(&mut self, step: &Step, stand: Option<&Stand>, outcome: &Outcome) {
        if stand.is_none_or(|stand| is_work(step, stand)) {
            self.count_one(outcome);
        }
    }

    /// Notes how an item, an iteration or a case has ended.
    pub(super) fn note_part(&mut self, step: &Step, path: &str, outcome: &Outcome) {
        let status = match outcome {
            Outcome::Done(_) => "done",
            Outcome::Failed(_) => "failed",
            Outcome::Skipped => "skipped",
        };
        self.note(path, step, status, None);
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
