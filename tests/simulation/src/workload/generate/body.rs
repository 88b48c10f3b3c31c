use std::collections::BTreeMap;

use mesh_schemas::{Capability, TaskId, WorkflowName};

use super::block::{Draft, Style};
use super::data::{DEPTH, data, items, object, score};
use super::terms::Terms;
use super::view::{Shape, View};
use super::{call, graph, name, planner, work};
use crate::workload::choices::Choices;
use crate::workload::expression::{Expression, Local};
use crate::workload::operator::Operator;
use crate::workload::task::{Adaptive, Body, Case, Each, Group, Often, Quota, Repeat, Work};
use crate::workload::workflow::Workflow;

/// Ids of the tasks of groups, by how deep these stand in others.
pub(super) const IDS: [&[&str]; 2] = [&["p", "q", "s"], &["u", "v"]];

/// How many of a hundred tasks are runs of other workflows, if there are any.
const CALLS: u32 = 14;

/// What is made of what is done.
pub(super) struct Made {
    pub(super) body: Body,
    pub(super) often: Often,
    pub(super) shape: Shape,
    /// Whether the output may be null although the task is not skipped by a condition of its own.
    pub(super) nullable: bool,
}

/// Makes what a task does and how often, at a depth of groups and cases.
pub(super) struct Maker<'a> {
    pub(super) capabilities: &'a [Capability],
    /// The workflows of which tasks may start runs.
    pub(super) callable: &'a BTreeMap<WorkflowName, Workflow>,
    pub(super) style: Style,
    /// How many plans it stands in.
    pub(super) plans: usize,
}

impl Maker<'_> {
    pub(super) fn made(&self, depth: usize, view: &View, choices: &mut Choices) -> Made {
        let often = if self.style.is_plain || depth >= IDS.len() {
            "once"
        } else {
            // Loops in loops are many tasks soon.
            let once = if depth == 0 { 76 } else { 160 };
            choices.weighted(&[(once, "once"), (18, "foreach"), (10, "repeat")])
        };
        match often {
            "foreach" => self.each(depth, view, choices),
            "repeat" => self.repeat(depth, view, choices),
            _ => {
                let (body, shape, nullable) = self.body(depth, view, choices);
                Made { body, often: Often::Once, shape, nullable }
            }
        }
    }

    fn each(&self, depth: usize, view: &View, choices: &mut Choices) -> Made {
        choices.note("foreach");
        let (items, item, has_key) = items(&mut Terms { choices, view, result: None });
        let inside = View { item: Some(item), has_key, ..view.clone() };
        let (body, ..) = self.body(depth, &inside, choices);
        let tolerate = choices.chance("tolerate", 60).then(|| {
            let some =
                [Quota::Count(0), Quota::Count(1), Quota::Percent(0), Quota::Percent(0), Quota::Percent(34)];
            let all = [Quota::Percent(50), Quota::Percent(67), Quota::Percent(100)];
            if choices.chance("tolerate much", 35) { choices.pick(&all) } else { choices.pick(&some) }
        });
        let adaptive = choices.chance("adaptive", 18).then(|| {
            let mut terms = Terms { choices, view, result: None };
            let complexity = score(&mut terms);
            let dependency = terms.choices.chance("dependency", 60).then(|| score(&mut terms));
            Adaptive { complexity, dependency }
        });
        let each = Each {
            items,
            max_parallel: choices.chance("max_parallel", 45).then(|| 1 + choices.below(2) as u32),
            max_items: choices.chance("max_items", 16).then(|| 1 + choices.below(3) as u32),
            tolerate,
            adaptive,
        };
        Made { body, often: Often::Each(each), shape: Shape::Items, nullable: false }
    }

    fn repeat(&self, depth: usize, view: &View, choices: &mut Choices) -> Made {
        choices.note("repeat");
        let inside = View { previous: Some(Shape::Usual), ..view.clone() };
        let (body, shape, nullable) = self.body(depth, &inside, choices);
        let mut terms = Terms { choices, view: &inside, result: (!nullable).then_some(shape) };
        let until = if terms.choices.chance("until a number", 35) {
            let number = Expression::Literal(terms.choices.among(1..=3).into());
            Expression::binary(Operator::AtLeast, Expression::Local(Local::Iteration), number)
        } else {
            terms.truth(DEPTH)
        };
        let max = choices.weighted(&[(15, 1), (40, 2), (45, 3)]);
        let goes_on = choices.chance("on_max: continue", 50);
        Made { body, often: Often::Repeat(Repeat { until, max, goes_on }), shape, nullable }
    }

    fn body(&self, depth: usize, view: &View, choices: &mut Choices) -> (Body, Shape, bool) {
        let what = if self.style.is_plain || depth >= IDS.len() {
            "work"
        } else {
            let work = if depth == 0 { 72 } else { 150 };
            choices.weighted(&[(work, "work"), (16, "group"), (12, "switch")])
        };
        match what {
            "group" => self.group(depth, view, choices),
            "switch" => self.switch(depth, view, choices),
            _ => {
                let (work, shape) = self.work(view, choices);
                (Body::Work(work), shape, false)
            }
        }
    }

    /// Work for an agent, which may be to plan, or a run of another workflow.
    fn work(&self, view: &View, choices: &mut Choices) -> (Work, Shape) {
        if !self.callable.is_empty() && choices.chance("call", CALLS) {
            return call::call(self.callable, view, choices);
        }
        let planning = planner::PLANNING.get(self.plans).copied().unwrap_or_default();
        let plans = !self.style.is_plain && choices.chance("plans", planning);
        let (plan, result) = if plans {
            let (planner, shape) = planner::planner(self, choices);
            (Some(Box::new(planner)), shape)
        } else {
            (None, Shape::Usual)
        };
        let (work, shape) = work::work(self.capabilities, view, result, choices);
        (Work { plan, ..work }, shape)
    }

    fn group(&self, depth: usize, view: &View, choices: &mut Choices) -> (Body, Shape, bool) {
        choices.note(if depth == 0 { "group" } else { "group in a group or case" });
        let mut draft = Draft::new(self, view, depth + 1);
        let mut ids: Vec<TaskId> = IDS[depth].iter().map(|id| name(id)).collect();
        choices.shuffle(&mut ids);
        ids.truncate(1 + choices.below(ids.len()));
        for (id, needs) in graph::connect(&ids, choices) {
            draft.task(id, needs, choices);
        }
        let (output, shape) = match choices.weighted(&[(65, 0), (15, 1), (20, 2)]) {
            0 => (Some(object(&mut draft.terms(choices))), Shape::Usual),
            1 => (Some(data(&mut draft.terms(choices))), Shape::Other),
            _ => (None, Shape::Other),
        };
        (Body::Group(Group { tasks: draft.tasks, output }), shape, false)
    }

    fn switch(&self, depth: usize, view: &View, choices: &mut Choices) -> (Body, Shape, bool) {
        choices.note("switch");
        let count = 1 + choices.below(3);
        let is_open = choices.chance("no case may hold", 40);
        let (mut cases, mut all_usual) = (Vec::new(), true);
        for number in 0..count {
            let is_last = number + 1 == count;
            let when = (!is_last || is_open).then(|| Terms { choices, view, result: None }.truth(DEPTH));
            let (body, shape, nullable) = self.body(depth + 1, view, choices);
            all_usual &= shape == Shape::Usual && !nullable;
            cases.push(Case { when, body });
        }
        let shape = if all_usual { Shape::Usual } else { Shape::Other };
        (Body::Switch(cases), shape, is_open)
    }
}
