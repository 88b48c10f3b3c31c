use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use mesh_schemas::definition::parse;
use mesh_schemas::document::{Format, tree};
use mesh_schemas::{Capability, Digest, TaskId};
use serde_json::Value;

use super::expression::Expression;
use super::merge::Merge;
use super::planner::Planner;
use super::task::{
    Body, Call, Case, Each, Group, Join, Often, OnFailure, Quota, Recovery, Repeat, Retry, Task, Work,
};
use super::template::Template;
use super::workflow::Workflow;

impl Workflow {
    /// The definition as YAML.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        self.written(Yaml::default())
    }

    /// What names this version of the definition.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let yaml = self.to_yaml();
        let definition = parse(&yaml, Format::Yaml);
        definition.unwrap_or_else(|problem| unreachable!("{yaml}: {problem}")).digest()
    }

    /// The same, and what agents plan in comments.
    #[must_use]
    pub fn told(&self) -> String {
        self.written(Yaml { tells_plans: true, ..Yaml::default() })
    }

    fn written(&self, mut yaml: Yaml) -> String {
        yaml.line(0, "mesh", "v1");
        yaml.optional(0, "name", self.name.as_ref());
        yaml.optional(0, "timeout", self.timeout.map(span));
        match self.recovery {
            Recovery::Fail => {}
            Recovery::Continue => yaml.line(0, "recovery", "continue"),
            Recovery::Pause => yaml.line(0, "recovery", "pause"),
            Recovery::Retry(more) => yaml.line(0, "recovery", &format!("{{retry: {more}}}")),
        }
        yaml.optional(0, "output", self.output.as_ref().map(Template::to_json));
        yaml.tasks(0, &self.tasks);
        if let Some(finally) = &self.finally {
            yaml.line(0, "finally", "");
            yaml.optional(1, "timeout", finally.timeout.map(span));
            yaml.tasks(1, &finally.tasks);
        }
        yaml.text
    }
}

impl Group {
    /// The plan as an agent returns it.
    #[must_use]
    pub fn to_plan(&self) -> Value {
        let mut yaml = Yaml::default();
        yaml.group(0, self);
        let plan = tree(&yaml.text, Format::Yaml);
        plan.map_or_else(|problem| unreachable!("{}: {problem}", yaml.text), |plan| plan.to_value())
    }
}

/// Writes keys with their values; data is written as JSON, which is YAML too.
#[derive(Default)]
struct Yaml {
    text: String,
    /// Whether comments say what agents plan.
    tells_plans: bool,
}

impl Yaml {
    fn line(&mut self, depth: usize, key: &str, value: &str) {
        let space = if value.is_empty() { "" } else { " " };
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{:depth$}{key}:{space}{value}", "", depth = depth * 2);
    }

    fn optional(&mut self, depth: usize, key: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.line(depth, key, &value.to_string());
        }
    }

    fn condition(&mut self, depth: usize, key: &str, condition: Option<&Expression>) {
        self.optional(depth, key, condition.map(|condition| Value::from(condition.to_cel())));
    }

    fn tasks(&mut self, depth: usize, tasks: &BTreeMap<TaskId, Task>) {
        self.line(depth, "tasks", "");
        for (id, task) in tasks {
            self.line(depth + 1, id.as_str(), "");
            self.task(depth + 2, task);
        }
    }

    fn task(&mut self, depth: usize, task: &Task) {
        let needs: Vec<&str> = task.needs.iter().map(TaskId::as_str).collect();
        self.optional(depth, "needs", (!needs.is_empty()).then(|| format!("[{}]", needs.join(", "))));
        match &task.join {
            Join::All => {}
            Join::Any => self.line(depth, "join", "any"),
            Join::Quorum { quorum, grace, deadline } => {
                self.line(depth, "join", "");
                self.line(depth + 1, "quorum", &quota(*quorum));
                self.optional(depth + 1, "grace", grace.map(span));
                self.optional(depth + 1, "deadline", deadline.map(span));
            }
        }
        self.condition(depth, "when", task.when.as_ref());
        self.optional(depth, "on_skipped", task.runs_when_skipped.then_some("run"));
        self.optional(depth, "pause_before", task.pause_before.then_some("true"));
        match &task.on_failure {
            OnFailure::Fail => {}
            OnFailure::Continue => self.line(depth, "on_failure", "continue"),
            OnFailure::Task(other) => self.line(depth, "on_failure", &format!("{{task: {other}}}")),
        }
        match &task.often {
            Often::Once => {}
            Often::Each(each) => self.each(depth, each),
            Often::Repeat(repeat) => self.repeat(depth, repeat),
        }
        self.body(depth, &task.body);
    }

    fn each(&mut self, depth: usize, each: &Each) {
        self.line(depth, "foreach", "");
        self.line(depth + 1, "in", &each.items.to_json().to_string());
        self.optional(depth + 1, "max_parallel", each.max_parallel);
        if let Some(adaptive) = &each.adaptive {
            self.line(depth + 1, "adaptive", "");
            self.line(depth + 2, "complexity", &adaptive.complexity.to_json().to_string());
            let dependency = adaptive.dependency.as_ref();
            self.optional(depth + 2, "dependency", dependency.map(Template::to_json));
        }
        self.optional(depth + 1, "max_items", each.max_items);
        self.optional(depth + 1, "tolerate", each.tolerate.map(quota));
    }

    fn repeat(&mut self, depth: usize, repeat: &Repeat) {
        self.line(depth, "repeat", "");
        self.condition(depth + 1, "until", Some(&repeat.until));
        self.line(depth + 1, "max", &repeat.max.to_string());
        self.optional(depth + 1, "on_max", repeat.goes_on.then_some("continue"));
    }

    fn body(&mut self, depth: usize, body: &Body) {
        match body {
            Body::Work(work) => self.work(depth, work),
            Body::Group(group) => self.group(depth, group),
            Body::Merge(merge) => self.merge(depth, merge),
            Body::Switch(cases) => {
                self.line(depth, "switch", "");
                cases.iter().for_each(|case| self.case(depth + 1, case));
            }
        }
    }

    fn group(&mut self, depth: usize, group: &Group) {
        self.tasks(depth, &group.tasks);
        self.optional(depth, "output", group.output.as_ref().map(Template::to_json));
    }

    fn planner(&mut self, depth: usize, planner: &Planner) {
        if planner.is_free() {
            self.line(depth, "plan", "true");
        } else {
            self.line(depth, "plan", "");
            let allowed: Vec<&str> = planner.capabilities.iter().map(Capability::as_str).collect();
            let allowed = (!allowed.is_empty()).then(|| format!("[{}]", allowed.join(", ")));
            self.optional(depth + 1, "capabilities", allowed);
            self.optional(depth + 1, "max_tasks", planner.max_tasks);
            self.optional(depth + 1, "max_depth", planner.max_depth);
        }
        for (number, plan) in planner.plans.iter().enumerate().filter(|_| self.tells_plans) {
            let mut yaml = Self { tells_plans: true, ..Self::default() };
            yaml.group(0, plan);
            for line in std::iter::once(format!("plan {number}").as_str()).chain(yaml.text.lines()) {
                let _ = writeln!(self.text, "{:depth$}# {line}", "", depth = depth * 2);
            }
        }
    }

    fn merge(&mut self, depth: usize, merge: &Merge) {
        if !merge.is_detailed() {
            return self.line(depth, "merge", merge.by.as_str());
        }
        self.line(depth, "merge", "");
        self.line(depth + 1, "by", merge.by.as_str());
        let of: Vec<&str> = merge.of.iter().map(TaskId::as_str).collect();
        self.optional(depth + 1, "from", merge.names_them.then(|| format!("[{}]", of.join(", "))));
        let tenths = |tenths: u32| format!("{:?}", f64::from(tenths) / 10.0);
        let weights = merge
            .weights
            .map(|(quality, speed)| format!("{{quality: {}, speed: {}}}", tenths(quality), tenths(speed)));
        self.optional(depth + 1, "weights", weights);
        let quality = merge.default_quality.map(|hundredths| format!("{:?}", f64::from(hundredths) / 100.0));
        self.optional(depth + 1, "default_quality", quality);
    }

    fn case(&mut self, depth: usize, case: &Case) {
        let begin = self.text.len() + 2 * depth;
        self.condition(depth + 1, "when", case.when.as_ref());
        self.body(depth + 1, &case.body);
        self.text.replace_range(begin..=begin, "-");
    }

    fn work(&mut self, depth: usize, work: &Work) {
        self.line(depth, if work.call.is_some() { "workflow" } else { "agent" }, work.agent.as_str());
        if let Some(Call { wait, version }) = work.call.as_deref() {
            self.optional(depth, "wait", (!wait).then_some("false"));
            self.optional(depth, "version", version.as_ref().map(|version| format!("'{version}'")));
        }
        self.optional(depth, "action", work.action.as_ref());
        self.optional(depth, "with", work.with.as_ref().map(Template::to_json));
        self.optional(depth, "output", work.output.as_ref().map(Template::to_json));
        self.optional(depth, "timeout", work.timeout.map(span));
        work.plan.iter().for_each(|planner| self.planner(depth, planner));
        if let Some(retry) = &work.retry {
            self.line(depth, "retry", if *retry == Retry::default() { "{}" } else { "" });
            self.optional(depth + 1, "max_attempts", retry.max_attempts);
            self.optional(depth + 1, "initial", retry.initial.map(span));
            self.optional(depth + 1, "factor", retry.factor.map(|factor| format!("{factor:?}")));
            self.optional(depth + 1, "max", retry.max.map(span));
            self.optional(depth + 1, "jitter", retry.jitter.map(|jitter| format!("{jitter:?}")));
            let codes = (!retry.fatal_on.is_empty()).then(|| format!("[{}]", retry.fatal_on.join(", ")));
            self.optional(depth + 1, "fatal_on", codes);
        }
    }
}

fn quota(quota: Quota) -> String {
    match quota {
        Quota::Count(count) => count.to_string(),
        Quota::Percent(percent) => format!("{percent}%"),
    }
}

/// A time as definitions write it.
fn span(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}
