//! Which keys of a task go together.

use std::collections::BTreeSet;

use mesh_schemas::definition::{
    Body, Foreach, Join, Merge, MergeBy, Planner, Quota, Repeat, Retry, Span, Task, Weights,
};
use mesh_schemas::document::Problem;
use mesh_schemas::{ErrorCode, TaskId};
use serde_json::Value;

use super::problem;

/// Most items of a `foreach`.
const MAX_ITEMS: u32 = 100_000;
/// Most tasks of a plan.
const MAX_PLANNED: u32 = 1_000;
/// Deepest that plans may stand in each other.
const MAX_PLAN_DEPTH: u32 = 4;
/// Most iterations of a `repeat`.
const MAX_ITERATIONS: u32 = 10_000;

/// Notes what is wrong with a task by itself, apart from its expressions and its needs.
pub(super) fn task(task: &Task, path: &str, problems: &mut Vec<Problem>) {
    let mut fit = Fit { path, needs: &task.needs, problems };
    fit.body(&task.body);
    if task.foreach.is_some() && task.repeat.is_some() {
        fit.refuse("repeat", "a task has one loop: put the other one around a group with this task in it");
    }
    if let Some(foreach) = &task.foreach {
        fit.foreach(foreach);
    }
    if let Some(repeat) = &task.repeat {
        fit.repeat(repeat);
    }
    fit.join(task.join, task.needs.len());
}

struct Fit<'a> {
    path: &'a str,
    needs: &'a [TaskId],
    problems: &'a mut Vec<Problem>,
}

impl Fit<'_> {
    fn refuse(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(problem(ErrorCode::WrongValue, format!("{}.{key}", self.path), message));
    }

    fn body(&mut self, body: &Body) {
        let Body {
            agent,
            action,
            workflow,
            version,
            wait,
            with,
            retry,
            timeout,
            plan,
            tasks,
            switch,
            merge,
            output,
            output_schema,
        } = body;
        let said = [
            ("agent", agent.is_some()),
            ("workflow", workflow.is_some()),
            ("tasks", tasks.is_some()),
            ("switch", switch.is_some()),
            ("merge", merge.is_some()),
        ];
        let said: Vec<&str> =
            said.into_iter().filter(|(_, is_there)| *is_there).map(|(key, _)| key).collect();
        match said.as_slice() {
            [] => {
                let message =
                    "it says nothing that is to be done: write one of agent, workflow, tasks, switch, merge";
                self.problems.push(problem(ErrorCode::MissingKey, self.path, message));
            }
            [first, others @ ..] => {
                for other in others {
                    let message = format!("a task has one thing to do, and this one has '{first}' already");
                    self.refuse(other, message);
                }
            }
        }
        if agent.is_none() && workflow.is_none() {
            let only = [
                ("action", action.is_some()),
                ("with", with.is_some()),
                ("retry", *retry != Retry::default()),
                ("timeout", timeout.is_some()),
                ("plan", plan.is_some()),
                ("output", output.is_some() && tasks.is_none()),
                ("output_schema", output_schema.is_some() && tasks.is_none()),
            ];
            let instead = if tasks.is_some() {
                ": write it with the tasks of the group"
            } else if switch.is_some() {
                ": write it with the cases of the switch"
            } else {
                ", and here is none"
            };
            for (key, _) in only.into_iter().filter(|(_, is_there)| *is_there && !said.is_empty()) {
                self.refuse(key, format!("'{key}' goes with an agent{instead}"));
            }
        }
        if agent.is_none() && workflow.is_some() && action.is_some() {
            self.refuse("action", "'action' goes with an agent: pass it to the workflow in 'with'");
        }
        if agent.is_none() && workflow.is_some() && plan.is_some() {
            self.refuse("plan", "'plan' goes with an agent: a workflow has its tasks already");
        }
        if workflow.is_none() {
            for (key, _) in
                [("version", version.is_some()), ("wait", wait.is_some())].into_iter().filter(|(_, it)| *it)
            {
                self.refuse(key, format!("'{key}' goes with a workflow: leave it out"));
            }
        }
        self.timeout("timeout", *timeout);
        self.retry(retry);
        if let Some(Planner::Limited(limits)) = plan {
            if !(1..=MAX_PLANNED).contains(&limits.max_tasks) {
                let message = format!("must be from 1 to {MAX_PLANNED}, not {}", limits.max_tasks);
                self.refuse("plan.max_tasks", message);
            }
            if !(1..=MAX_PLAN_DEPTH).contains(&limits.max_depth) {
                let message = format!("must be from 1 to {MAX_PLAN_DEPTH}, not {}", limits.max_depth);
                self.refuse("plan.max_depth", message);
            }
        }
        if let Some(merge) = merge {
            self.merge(merge);
        }
        if tasks.as_ref().is_some_and(std::collections::BTreeMap::is_empty) {
            self.refuse("tasks", "a group has at least one task");
        }
        if let Some(cases) = switch {
            if cases.is_empty() {
                self.refuse("switch", "a switch has at least one case");
            }
            for (number, case) in cases.iter().enumerate() {
                if case.when.is_none() && number + 1 < cases.len() {
                    let message =
                        "only the last case may go without 'when': those behind it could never be done";
                    self.refuse(&format!("switch[{number}]"), message);
                }
                let path = format!("{}.switch[{number}]", self.path);
                Fit { path: &path, needs: self.needs, problems: self.problems }.body(&case.body);
            }
        }
    }

    fn merge(&mut self, merge: &Merge) {
        if self.needs.is_empty() {
            self.refuse("merge", "there is nothing to merge: name the tasks in needs");
        }
        let needs: BTreeSet<&TaskId> = self.needs.iter().collect();
        let mut named = BTreeSet::new();
        for (place, task) in merge.from.iter().enumerate() {
            if !needs.contains(task) {
                self.refuse(
                    &format!("merge.from[{place}]"),
                    format!("add '{task}' to needs: it is not there"),
                );
            } else if !named.insert(task) {
                self.refuse(&format!("merge.from[{place}]"), format!("'{task}' is already in the list"));
            }
        }
        let Weights { quality, speed } = merge.weights;
        if merge.by != MergeBy::Quality && merge.weights != Weights::default() {
            self.refuse("merge.weights", "weights count only where it is 'by: quality': leave them out");
        }
        let Merge { default_quality, .. } = Merge::by(merge.by);
        if merge.by != MergeBy::Quality && merge.default_quality.total_cmp(&default_quality).is_ne() {
            let message = "a quality counts only where it is 'by: quality': leave it out";
            self.refuse("merge.default_quality", message);
        }
        if ![quality, speed].iter().all(|weight| weight.is_finite() && *weight >= 0.0)
            || quality + speed <= 0.0
        {
            self.refuse("merge.weights", "weights are 0 or more, and one of them is more");
        }
        if !(0.0..=1.0).contains(&merge.default_quality) {
            let message = format!("must be from 0 to 1, not {}", merge.default_quality);
            self.refuse("merge.default_quality", message);
        }
    }

    fn timeout(&mut self, key: &str, timeout: Option<Span>) {
        if timeout.is_some_and(|timeout| timeout.get().is_zero()) {
            self.refuse(key, "a timeout is longer than 0s");
        }
    }

    fn retry(&mut self, retry: &Retry) {
        if !(1..=1_000).contains(&retry.max_attempts) {
            self.refuse("retry.max_attempts", format!("must be from 1 to 1000, not {}", retry.max_attempts));
        }
        if !(1.0..=100.0).contains(&retry.factor) {
            self.refuse("retry.factor", format!("must be from 1 to 100, not {}", retry.factor));
        }
        if !(0.0..=1.0).contains(&retry.jitter) {
            self.refuse("retry.jitter", format!("must be from 0 to 1, not {}", retry.jitter));
        }
        if retry.initial > retry.max {
            let message =
                format!("the first pause ({}) is longer than the longest ({})", retry.initial, retry.max);
            self.refuse("retry.initial", message);
        }
    }

    fn foreach(&mut self, foreach: &Foreach) {
        if !matches!(&foreach.items, Value::Array(_) | Value::Object(_) | Value::Null)
            && !foreach.items.as_str().is_some_and(|text| text.trim().starts_with("${"))
        {
            let advice = match foreach.items.as_str() {
                Some(text) if !text.contains("${") => format!(", as in ${{{}}}", text.trim()),
                _ => String::new(),
            };
            let message = format!("must be a list or an object, or one ${{…}} that gives one{advice}");
            self.refuse("foreach.in", message);
        }
        if let Some(adaptive) = &foreach.adaptive {
            for (key, score) in [("complexity", &adaptive.complexity), ("dependency", &adaptive.dependency)] {
                let is_score = score.as_f64().is_some_and(|score| (0.0..=1.0).contains(&score));
                let is_expression = score.as_str().is_some_and(|text| text.trim().starts_with("${"));
                if !is_score && !is_expression && !score.is_null() {
                    let message = "must be a number from 0 to 1, or one ${…} that gives one";
                    self.refuse(&format!("foreach.adaptive.{key}"), message);
                }
            }
        }
        if foreach.max_parallel == Some(0) {
            self.refuse("foreach.max_parallel", "must be at least 1");
        }
        if let Some(most) = foreach.max_items.filter(|most| !(1..=MAX_ITEMS).contains(most)) {
            self.refuse("foreach.max_items", format!("must be from 1 to {MAX_ITEMS}, not {most}"));
        }
    }

    fn repeat(&mut self, repeat: &Repeat) {
        if !(1..=MAX_ITERATIONS).contains(&repeat.max) {
            self.refuse("repeat.max", format!("must be from 1 to {MAX_ITERATIONS}, not {}", repeat.max));
        }
    }

    fn join(&mut self, join: Join, needs: usize) {
        let Join::Quorum(quorum) = join else {
            if join == Join::Any && needs == 0 {
                self.refuse("join", "there is nothing to join: name the tasks in needs");
            }
            return;
        };
        self.timeout("join.deadline", quorum.deadline);
        match quorum.quorum {
            _ if needs == 0 => self.refuse("join", "there is nothing to join: name the tasks in needs"),
            Quota::Count(count) if !(1..=needs).contains(&(count as usize)) => {
                self.refuse(
                    "join.quorum",
                    format!("must be from 1 to {needs}, as many as it needs, not {count}"),
                );
            }
            Quota::Percent(percent) if percent <= 0.0 => {
                self.refuse("join.quorum", "must be more than 0%");
            }
            Quota::Count(_) | Quota::Percent(_) => {}
        }
    }
}

/// What is wrong with the id of a task where it is defined.
pub(super) fn id(id: &TaskId) -> Option<&'static str> {
    id.as_str().contains(':').then_some("a task id has no ':': that marks what belongs to a task")
}
