use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesh_schemas::{Capability, TaskId};
use serde_json::json;

use super::terms::{Source, Terms};
use crate::workload::choices::Choices;
use crate::workload::expression::Expression;
use crate::workload::template::{Fragment, Template};
use crate::workload::workflow::{Retry, Task, Workflow};

/// How deep expressions are at most, apart from the paths at their ends.
const DEPTH: usize = 2;

/// A workflow as far as its tasks are made.
pub(super) struct Draft<'a> {
    capabilities: &'a [Capability],
    pub(super) tasks: BTreeMap<TaskId, Task>,
    sources: BTreeMap<TaskId, Source>,
    /// How many tasks of a hundred have a condition, and how many run although a need was skipped.
    conditional: (u32, u32),
}

impl<'a> Draft<'a> {
    pub(super) fn new(capabilities: &'a [Capability], choices: &mut Choices) -> Self {
        // With many conditions, one event often ends many tasks.
        let conditional = if choices.chance("many conditions", 12) { (70, 85) } else { (22, 45) };
        Self { capabilities, tasks: BTreeMap::new(), sources: BTreeMap::new(), conditional }
    }

    /// Makes the next task; those that it needs are there already.
    pub(super) fn task(&mut self, id: TaskId, needs: BTreeSet<TaskId>, choices: &mut Choices) {
        let agent = self.capabilities[choices.below(self.capabilities.len())].clone();
        let may_be_skipped = needs.iter().any(|need| self.sources[need].nullable);
        let mut task = Task { needs, ..Task::new(agent) };
        let visible = self.visible(&task);
        let mut terms = Terms { choices, sources: &visible, result: false };
        task.when = terms.choices.chance("when", self.conditional.0).then(|| terms.truth(DEPTH));
        task.with = terms.choices.chance("with", 65).then(|| data(&mut terms));
        terms.result = true;
        let (output, usual) = if terms.choices.chance("task output", 25) {
            let usual = terms.choices.chance("usual task output", 80);
            (Some(if usual { object(&mut terms) } else { data(&mut terms) }), usual)
        } else {
            (None, true)
        };
        task.output = output;
        task.action =
            choices.chance("action", 15).then(|| choices.pick(&["quickly", "with care"]).to_owned());
        task.runs_when_skipped = may_be_skipped && choices.chance("runs when skipped", self.conditional.1);
        task.continues = choices.chance("continues", 35);
        task.retry = choices.chance("retry", 55).then(|| retry(choices));
        task.timeout = choices.chance("timeout", 35).then(|| {
            let long = choices.chance("timeout longer than ack_wait", 10);
            Duration::from_millis(if long { 40_000 } else { choices.among(100..=4_000) })
        });
        let skipped = task.when.is_some() || may_be_skipped && !task.runs_when_skipped;
        let source = Source { task: id.clone(), nullable: task.continues || skipped, usual };
        self.sources.insert(id.clone(), source);
        self.tasks.insert(id, task);
    }

    /// The output of a run, over all tasks.
    pub(super) fn run_output(&self, choices: &mut Choices) -> Template {
        let sources: Vec<Source> = self.sources.values().cloned().collect();
        let mut terms = Terms { choices, sources: &sources, result: false };
        let mut output = BTreeMap::from([("value".to_owned(), data(&mut terms))]);
        for source in sources.iter().filter(|_| terms.choices.chance("whole output in the run's", 50)) {
            output.insert(source.task.to_string(), Template::Whole(Expression::Output(source.task.clone())));
        }
        Template::Object(output)
    }

    /// The tasks that have ended before a new one.
    fn visible(&self, task: &Task) -> Vec<Source> {
        let workflow = Workflow { name: None, tasks: self.tasks.clone(), output: None, timeout: None };
        let before: BTreeSet<TaskId> = task
            .needs
            .iter()
            .flat_map(|need| workflow.before(need))
            .chain(task.needs.iter().cloned())
            .collect();
        before.iter().map(|id| self.sources[id].clone()).collect()
    }
}

/// Some data with expressions.
fn data(terms: &mut Terms<'_>) -> Template {
    match terms.choices.weighted(&[(50, 0), (15, 1), (12, 2), (10, 3), (8, 4), (5, 5)]) {
        0 => object(terms),
        1 => {
            terms.choices.note("whole output passed on");
            Template::Whole(terms.root())
        }
        2 => {
            terms.choices.note("text with expressions");
            Template::Mixed(vec![
                Fragment::Text("is ".to_owned()),
                Fragment::Expression(terms.text(DEPTH)),
                Fragment::Text(" or ".to_owned()),
                Fragment::Expression(terms.root()),
            ])
        }
        3 => Template::List(vec![
            Template::Whole(terms.number(DEPTH)),
            Template::Plain(json!(null)),
            Template::Whole(terms.truth(DEPTH)),
        ]),
        4 => Template::Whole(terms.number(DEPTH)),
        _ => {
            terms.choices.note("plain data");
            Template::Plain(json!({ "price": "costs ${5}", "list": [1, true, null] }))
        }
    }
}

/// An object as agents return it.
fn object(terms: &mut Terms<'_>) -> Template {
    Template::Object(BTreeMap::from([
        ("n".to_owned(), Template::Whole(terms.number(DEPTH))),
        ("text".to_owned(), Template::Whole(terms.text(DEPTH))),
        ("ok".to_owned(), Template::Whole(terms.truth(DEPTH))),
    ]))
}

fn retry(choices: &mut Choices) -> Retry {
    let initial =
        choices.weighted(&[(30, None), (25, Some(0)), (20, Some(50)), (15, Some(1_000)), (10, Some(5_000))]);
    if initial == Some(0) {
        choices.note("no pause");
    }
    let longest = choices.weighted(&[(50, None), (25, Some(5_000)), (25, Some(8_000))]);
    let fatal_on = choices.chance("fatal_on", 20);
    Retry {
        max_attempts: choices.weighted(&[
            (30, None),
            (15, Some(1)),
            (30, Some(2)),
            (15, Some(3)),
            (10, Some(4)),
        ]),
        initial: initial.map(Duration::from_millis),
        factor: choices.weighted(&[(50, None), (15, Some(1.0)), (15, Some(1.5)), (20, Some(3.0))]),
        max: longest.map(Duration::from_millis),
        jitter: choices.weighted(&[(40, None), (40, Some(0.0)), (20, Some(0.5))]),
        fatal_on: if fatal_on { vec![choices.pick(&super::script::CODES).to_owned()] } else { Vec::new() },
    }
}
