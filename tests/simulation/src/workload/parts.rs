use std::collections::BTreeMap;

use mesh_schemas::TaskId;

use super::expression::Expression;
use super::task::{Body, Often, Task};
use super::template::Template;
use super::workflow::{Finally, Workflow};

/// All that a workflow is made of, in whatever depth.
#[derive(Debug, Default)]
pub struct Parts<'a> {
    /// Its tasks with their ids, without what these belong to.
    pub tasks: Vec<(&'a TaskId, &'a Task)>,
    /// Its conditions.
    pub conditions: Vec<&'a Expression>,
    /// Its data with expressions.
    pub templates: Vec<&'a Template>,
}

impl Workflow {
    /// All that it is made of, and what agents plan.
    #[must_use]
    pub fn parts(&self) -> Parts<'_> {
        let mut parts = Parts { templates: self.output.iter().collect(), ..Parts::default() };
        parts.block(&self.tasks);
        self.finally.iter().for_each(|finally| parts.block(&finally.tasks));
        parts
    }

    /// Changes every task of the definition, those of groups and cases included.
    pub fn for_each_task(&mut self, change: &mut dyn FnMut(&mut Task)) {
        for_each(&mut self.tasks, change);
        if let Some(finally) = &mut self.finally {
            for_each(&mut finally.tasks, change);
        }
    }
}

impl Workflow {
    /// Changes all that is done, that in groups and cases included, but not what agents plan.
    pub fn for_each_body(&mut self, change: &mut dyn FnMut(&mut Body)) {
        self.for_each_task(&mut |task| with_cases(&mut task.body, change));
    }
}

fn with_cases(body: &mut Body, change: &mut dyn FnMut(&mut Body)) {
    change(body);
    if let Body::Switch(cases) = body {
        cases.iter_mut().for_each(|case| with_cases(&mut case.body, change));
    }
}

impl Finally {
    /// Whether an expression in it asks for anything of a task.
    #[must_use]
    pub fn mentions(&self, task: &TaskId) -> bool {
        let mut parts = Parts::default();
        parts.block(&self.tasks);
        parts.conditions.into_iter().any(|condition| condition.mentions(task))
            || parts.templates.into_iter().any(|template| template.mentions(task))
    }
}

fn for_each(tasks: &mut BTreeMap<TaskId, Task>, change: &mut dyn FnMut(&mut Task)) {
    for task in tasks.values_mut() {
        change(task);
        for_each_in(&mut task.body, change);
    }
}

fn for_each_in(body: &mut Body, change: &mut dyn FnMut(&mut Task)) {
    match body {
        Body::Work(_) | Body::Merge(_) => {}
        Body::Group(group) => for_each(&mut group.tasks, change),
        Body::Switch(cases) => cases.iter_mut().for_each(|case| for_each_in(&mut case.body, change)),
    }
}

impl<'a> Parts<'a> {
    fn block(&mut self, tasks: &'a BTreeMap<TaskId, Task>) {
        for (id, task) in tasks {
            self.tasks.push((id, task));
            self.conditions.extend(&task.when);
            match &task.often {
                Often::Once => {}
                Often::Each(each) => {
                    self.templates.push(&each.items);
                    let scores = each.adaptive.iter();
                    self.templates
                        .extend(scores.flat_map(|scores| {
                            std::iter::once(&scores.complexity).chain(&scores.dependency)
                        }));
                }
                Often::Repeat(repeat) => self.conditions.push(&repeat.until),
            }
            self.body(&task.body);
        }
    }

    fn body(&mut self, body: &'a Body) {
        match body {
            Body::Work(work) => {
                self.templates.extend(work.with.iter().chain(&work.output));
                for plan in work.plan.iter().flat_map(|planner| &planner.plans) {
                    self.templates.extend(&plan.output);
                    self.block(&plan.tasks);
                }
            }
            Body::Merge(_) => {}
            Body::Group(group) => {
                self.templates.extend(&group.output);
                self.block(&group.tasks);
            }
            Body::Switch(cases) => {
                for case in cases {
                    self.conditions.extend(&case.when);
                    self.body(&case.body);
                }
            }
        }
    }
}
