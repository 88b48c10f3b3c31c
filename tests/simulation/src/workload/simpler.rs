use std::collections::BTreeSet;

use mesh_schemas::{TaskId, WorkflowName};

use super::Workload;
use super::behaviour::{Answer, Behaviour, Ending};
use super::expression::Expression;
use super::run::{Run, Target};
use super::template::Template;
use super::workflow::{Task, Workflow};

impl Workload {
    /// Workloads with one thing less, the smallest first. None if nothing can be left out.
    #[must_use]
    pub fn simpler(&self) -> Vec<Self> {
        let mut simpler = Simpler { whole: self, size: self.size(), found: Vec::new() };
        for place in 0..self.runs.len() {
            simpler.with(|workload| drop(workload.runs.remove(place)));
            simpler.run(place);
        }
        for (name, workflow) in &self.workflows {
            simpler.workflow(name, workflow);
        }
        let mut found = simpler.found;
        found.sort_by_key(|(size, _)| *size);
        found.into_iter().map(|(_, workload)| workload).collect()
    }

    /// How much there is to understand. Every simpler workload has less.
    #[must_use]
    pub fn size(&self) -> usize {
        self.workflows.values().map(workflow_size).chain(self.runs.iter().map(run_size)).sum()
    }

    /// Removes what refers to something that is not there any more.
    fn mend(&mut self) {
        let asked: BTreeSet<_> = self.runs.iter().filter_map(Run::workflow).cloned().collect();
        self.workflows.retain(|name, _| asked.contains(name));
        for workflow in self.workflows.values_mut() {
            mend_workflow(workflow);
        }
        let Self { workflows, runs, .. } = self;
        for run in runs {
            if let Target::Workflow(name) = &run.target {
                let Some(workflow) = workflows.get(name) else { continue };
                run.script.retain(|(task, _), behaviour| {
                    workflow.tasks.contains_key(task)
                        && (behaviour.ending != Ending::Hangs || workflow.may_hang(task))
                });
            }
        }
    }
}

/// Simplifies a workload that is faulty, step by step, as long as it stays faulty.
pub fn shrink(mut workload: Workload, mut is_faulty: impl FnMut(&Workload) -> bool) -> Workload {
    while let Some(simpler) = workload.simpler().into_iter().find(&mut is_faulty) {
        workload = simpler;
    }
    workload
}

struct Simpler<'a> {
    whole: &'a Workload,
    size: usize,
    found: Vec<(usize, Workload)>,
}

impl Simpler<'_> {
    /// Adds the workload with a change, if it is smaller with it.
    fn with(&mut self, change: impl FnOnce(&mut Workload)) {
        let mut workload = self.whole.clone();
        change(&mut workload);
        workload.mend();
        let size = workload.size();
        if size < self.size {
            self.found.push((size, workload));
        }
    }

    fn run(&mut self, place: usize) {
        let run = &self.whole.runs[place];
        self.with(|workload| drop(workload.runs[place].sent.split_off(1)));
        self.with(|workload| workload.runs[place].correlation_id = None);
        for at in 0..run.signals.len() {
            self.with(|workload| drop(workload.runs[place].signals.remove(at)));
        }
        self.with(|workload| workload.runs[place].script.clear());
        for (key, behaviour) in &run.script {
            self.with(|workload| workload.runs[place].script.retain(|other, _| other != key));
            for simpler in simpler_behaviours(behaviour) {
                self.with(|workload| {
                    workload.runs[place].script.insert(key.clone(), simpler);
                });
            }
        }
    }

    fn workflow(&mut self, name: &WorkflowName, workflow: &Workflow) {
        self.change(name, |workflow| workflow.output = None);
        self.change(name, |workflow| workflow.timeout = None);
        for (id, task) in &workflow.tasks {
            if workflow.tasks.len() > 1 {
                self.change(name, |workflow| without(workflow, id, true));
                self.change(name, |workflow| without(workflow, id, false));
            }
            self.task(name, id, |task| task.when = None);
            self.task(name, id, |task| task.with = None);
            self.task(name, id, |task| task.with = Some(Template::Plain(1.into())));
            self.task(name, id, |task| task.output = None);
            self.task(name, id, |task| task.retry = None);
            self.task(name, id, |task| task.timeout = None);
            self.task(name, id, |task| task.action = None);
            self.task(name, id, |task| task.continues = false);
            self.task(name, id, |task| task.runs_when_skipped = false);
            for truth in [false, true] {
                self.task(name, id, |task| {
                    task.when = task.when.is_some().then_some(Expression::Literal(truth.into()));
                });
            }
            for need in &task.needs {
                self.task(name, id, |task| task.needs.retain(|other| other != need));
            }
        }
    }

    fn change(&mut self, name: &WorkflowName, change: impl FnOnce(&mut Workflow)) {
        self.with(|workload| {
            if let Some(workflow) = workload.workflows.get_mut(name) {
                change(workflow);
            }
        });
    }

    fn task(&mut self, name: &WorkflowName, id: &TaskId, change: impl FnOnce(&mut Task)) {
        self.change(name, |workflow| {
            if let Some(task) = workflow.tasks.get_mut(id) {
                change(task);
            }
        });
    }
}

/// Removes a task; those that needed it may inherit what it needed.
fn without(workflow: &mut Workflow, id: &TaskId, inherit: bool) {
    let Some(gone) = workflow.tasks.remove(id) else { return };
    for task in workflow.tasks.values_mut() {
        if task.needs.remove(id) && inherit {
            task.needs.extend(gone.needs.iter().cloned());
        }
    }
}

/// Removes expressions that use outputs which may not be there when they are evaluated.
fn mend_workflow(workflow: &mut Workflow) {
    let visible: Vec<BTreeSet<TaskId>> = workflow.tasks.keys().map(|id| workflow.before(id)).collect();
    for (task, visible) in workflow.tasks.values_mut().zip(&visible) {
        task.when.take_if(|when| {
            let mut used = BTreeSet::new();
            when.uses(&mut used);
            !used.is_subset(visible)
        });
        for template in [&mut task.with, &mut task.output] {
            template.take_if(|template| !used(template).is_subset(visible));
        }
    }
    let all: BTreeSet<TaskId> = workflow.tasks.keys().cloned().collect();
    workflow.output.take_if(|output| !used(output).is_subset(&all));
}

fn used(template: &Template) -> BTreeSet<TaskId> {
    let mut tasks = BTreeSet::new();
    template.uses(&mut tasks);
    tasks
}

fn simpler_behaviours(behaviour: &Behaviour) -> Vec<Behaviour> {
    let mut simpler = vec![Behaviour { takes: std::time::Duration::ZERO, ..behaviour.clone() }];
    match &behaviour.ending {
        Ending::Returns(Answer::Object(0)) => {}
        Ending::Returns(_) => {
            simpler.push(Behaviour { ending: Behaviour::PLAIN.ending, ..behaviour.clone() });
        }
        Ending::Fails { code, retryable, retry_after: Some(_) } => {
            let ending = Ending::Fails { code, retryable: *retryable, retry_after: None };
            simpler.push(Behaviour { ending, ..behaviour.clone() });
        }
        Ending::Fails { .. } | Ending::Panics | Ending::Hangs => {}
    }
    simpler
}

fn run_size(run: &Run) -> usize {
    let script: usize = run.script.values().map(behaviour_size).sum();
    20 + 2 * run.sent.len() + 3 * run.signals.len() + usize::from(run.correlation_id.is_some()) + script
}

fn behaviour_size(behaviour: &Behaviour) -> usize {
    let ending = match &behaviour.ending {
        Ending::Returns(Answer::Object(0)) => 0,
        Ending::Returns(_) => 1,
        Ending::Fails { retry_after, .. } => 2 + usize::from(retry_after.is_some()),
        Ending::Panics | Ending::Hangs => 2,
    };
    1 + usize::from(!behaviour.takes.is_zero()) + ending
}

fn workflow_size(workflow: &Workflow) -> usize {
    let output = workflow.output.as_ref().map_or(0, Template::size);
    let tasks: usize = workflow.tasks.values().map(task_size).sum();
    10 + 2 * usize::from(workflow.timeout.is_some()) + output + tasks
}

fn task_size(task: &Task) -> usize {
    let flags = [
        task.action.is_some(),
        task.runs_when_skipped,
        task.continues,
        task.timeout.is_some(),
        task.retry.is_some(),
    ];
    let flags = flags.into_iter().filter(|flag| *flag).count();
    let templates: usize = task.with.iter().chain(&task.output).map(|template| 1 + template.size()).sum();
    let when = task.when.as_ref().map_or(0, |when| 1 + when.size());
    10 + task.needs.len() + flags + templates + when
}
