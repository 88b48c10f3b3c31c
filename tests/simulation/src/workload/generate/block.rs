use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesh_schemas::TaskId;

use super::body::{Made, Maker};
use super::data::{DEPTH, data};
use super::terms::Terms;
use super::view::{Shape, Source, View};
use super::{merge, name};
use crate::workload::choices::Choices;
use crate::workload::expression::Expression;
use crate::workload::task::{Join, OnFailure, Quota, Task};
use crate::workload::template::Template;
use crate::workload::workflow::before;

/// What is the same in all of a workflow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// How many tasks of a hundred have a condition, and how many run although a need was skipped.
    conditional: (u32, u32),
    /// Whether every task is work that is done once.
    pub(super) is_plain: bool,
    /// How many tasks of a hundred that need several do not wait for all of them.
    pub(super) early: u32,
}

impl Style {
    pub(super) fn new(choices: &mut Choices) -> Self {
        // With many conditions, one event often ends many tasks.
        let conditional = if choices.chance("many conditions", 12) { (70, 85) } else { (22, 45) };
        let is_plain = choices.chance("plain work only", 40);
        let early = choices.weighted(&[(40, 0), (30, 40), (30, 85)]);
        Self { conditional, is_plain, early }
    }
}

/// A workflow or a group as far as its tasks are made.
pub(super) struct Draft<'a> {
    maker: &'a Maker<'a>,
    /// What can be seen from outside.
    outer: &'a View,
    depth: usize,
    pub(super) tasks: BTreeMap<TaskId, Task>,
    sources: BTreeMap<TaskId, Source>,
    /// Those that may begin before all that they can see has ended.
    loose: BTreeSet<TaskId>,
    stand_ins: Vec<TaskId>,
    /// What its tasks and its output can see, of which the latter is asked for at the end.
    all: View,
}

impl<'a> Draft<'a> {
    pub(super) fn new(maker: &'a Maker<'a>, outer: &'a View, depth: usize) -> Self {
        let (tasks, sources, loose) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let (stand_ins, all) = (Vec::new(), outer.clone());
        Self { maker, outer, depth, tasks, sources, loose, stand_ins, all }
    }

    /// Makes the next task; those that it needs are there already. Another may be made to stand in for it.
    pub(super) fn task(&mut self, id: TaskId, mut needs: BTreeSet<TaskId>, choices: &mut Choices) {
        if !self.stand_ins.is_empty() && choices.chance("stand-in needed", 10) {
            needs.insert(self.stand_ins[choices.below(self.stand_ins.len())].clone());
        }
        let may_have = choices.chance("stand-in", 12);
        let stand_in = may_have.then(|| name(&format!("{}{id}", choices.pick(&["a_", "z_"]))));
        let merges = self.merges(&mut needs, choices);
        self.one(id.clone(), needs.clone(), stand_in.as_ref(), merges, choices);
        let Some(stand_in) = stand_in else { return };
        self.stand_ins.push(stand_in.clone());
        // What it needs, the other needs too, so that it never waits for what waits for it.
        let needs = needs.into_iter().filter(|_| choices.chance("need of a stand-in", 30)).collect();
        let further = choices.chance("stand-in of a stand-in", 12).then(|| name(&format!("b_{stand_in}")));
        if self.loose.contains(&id) {
            self.loose.insert(stand_in.clone());
        }
        self.one(stand_in.clone(), needs, further.as_ref(), false, choices);
        let mut shape = self.sources[&stand_in].shape;
        if let Some(further) = further {
            if self.loose.contains(&stand_in) {
                self.loose.insert(further.clone());
            }
            self.one(further.clone(), BTreeSet::new(), None, false, choices);
            shape = if self.sources[&further].shape == shape { shape } else { Shape::Other };
            self.replaced(&stand_in, shape);
        }
        self.replaced(&id, shape);
    }

    /// The output of a task may be that of another, or null.
    fn replaced(&mut self, id: &TaskId, shape: Shape) {
        if let Some(source) = self.sources.get_mut(id) {
            source.nullable = true;
            source.shape = if source.shape == shape { shape } else { Shape::Other };
        }
    }

    /// Whether a task merges what it needs, which may become more then.
    fn merges(&mut self, needs: &mut BTreeSet<TaskId>, choices: &mut Choices) -> bool {
        let percent = if needs.len() > 1 { 45 } else { 20 };
        if self.maker.style.is_plain || needs.is_empty() || !choices.chance("merge", percent) {
            return false;
        }
        if choices.chance("merge of all before", 60) {
            needs.extend(self.sources.keys().filter(|id| !self.stand_ins.contains(id)).cloned());
        }
        for need in needs.iter() {
            if let Some(task) = self.tasks.get_mut(need)
                && task.on_failure == OnFailure::Fail
                && choices.chance("merge goes on without", 50)
            {
                task.on_failure = OnFailure::Continue;
                self.sources.entry(need.clone()).and_modify(|source| source.nullable = true);
            }
        }
        true
    }

    fn one(
        &mut self,
        id: TaskId,
        needs: BTreeSet<TaskId>,
        stand_in: Option<&TaskId>,
        merges: bool,
        choices: &mut Choices,
    ) {
        let style = self.maker.style;
        let join = self.join(&needs, style.early, choices);
        let nullable = |need: &TaskId| self.sources[need].nullable;
        let may_be_skipped = needs.iter().any(nullable);
        if join != Join::All || needs.iter().any(|need| self.loose.contains(need)) {
            self.loose.insert(id.clone());
        }
        // In its place already, so that it can be asked what has ended before it.
        let placeholder = Task { needs: needs.clone(), ..Task::new(self.maker.capabilities[0].clone()) };
        self.tasks.insert(id.clone(), placeholder);
        let view = self.visible(&id);
        let when = choices
            .chance("when", style.conditional.0)
            .then(|| Terms { choices, view: &view, result: None }.truth(DEPTH));
        let Made { body, often, shape, nullable } = if merges {
            let sources: Vec<&Source> = needs.iter().filter_map(|need| self.sources.get(need)).collect();
            merge::merge(&sources, choices)
        } else {
            self.maker.made(self.depth, &view, choices)
        };
        let runs_when_skipped = may_be_skipped && choices.chance("runs when skipped", style.conditional.1);
        let on_failure = match stand_in {
            Some(other) => OnFailure::Task(other.clone()),
            None if choices.chance("continues", 35) => OnFailure::Continue,
            None => OnFailure::Fail,
        };
        let pause_before = choices.chance("pause before", 3);
        let skipped = when.is_some() || may_be_skipped && !runs_when_skipped || nullable;
        let source = Source {
            task: id.clone(),
            nullable: on_failure != OnFailure::Fail || skipped,
            shape,
            iterates: matches!(often, crate::workload::task::Often::Repeat(_)),
        };
        self.sources.insert(id.clone(), source);
        self.tasks
            .insert(id, Task { body, often, needs, join, when, runs_when_skipped, on_failure, pause_before });
    }

    fn join(&self, needs: &BTreeSet<TaskId>, early: u32, choices: &mut Choices) -> Join {
        // With one need there is little to choose.
        let percent = if needs.len() == 1 { early / 4 } else { early };
        if needs.is_empty() || !choices.chance("early join", percent) {
            return Join::All;
        }
        if choices.chance("any", 35) {
            return Join::Any;
        }
        choices.note("quorum");
        let millis = |millis: Option<u64>| millis.map(Duration::from_millis);
        let grace =
            millis(choices.weighted(&[(45, None), (10, Some(0)), (25, Some(400)), (20, Some(3_000))]));
        let deadline = millis(choices.weighted(&[(50, None), (25, Some(700)), (25, Some(6_000))]));
        for (feature, is_on) in [("grace", grace.is_some()), ("deadline", deadline.is_some())] {
            if is_on {
                choices.note(feature);
            }
        }
        let fewer = 1 + choices.below(1.max(needs.len() - 1));
        let count =
            Quota::Count(if choices.chance("quorum of all", 15) { needs.len() } else { fewer } as u32);
        let share = Quota::Percent(choices.pick(&[1, 34, 50, 60, 67]));
        let quorum = if choices.chance("quorum as a share", 40) { share } else { count };
        Join::Quorum { quorum, grace, deadline }
    }

    /// The output of a run, over all tasks.
    pub(super) fn run_output(&mut self, choices: &mut Choices) -> Template {
        let sources: Vec<TaskId> = self.sources.keys().cloned().collect();
        let mut terms = self.terms(choices);
        let mut output = BTreeMap::from([("value".to_owned(), data(&mut terms))]);
        for task in sources {
            if terms.choices.chance("whole output in the run's", 50) {
                output.insert(task.to_string(), Template::Whole(Expression::Output(task)));
            }
        }
        Template::Object(output)
    }

    /// What is done finally can see of the run: what has ended, if it has.
    pub(super) fn seen_finally(&self) -> View {
        let nullable = |source: &Source| Source { nullable: true, ..source.clone() };
        let sources = self.sources.values().map(nullable).collect();
        View { sources, has_outcome: true, ..View::default() }
    }

    /// Expressions of the output, over all tasks.
    pub(super) fn terms<'t>(&'t mut self, choices: &'t mut Choices) -> Terms<'t> {
        let own = self.sources.values().cloned();
        self.all.sources = self.outer.sources.iter().cloned().chain(own).collect();
        Terms { choices, view: &self.all, result: None }
    }

    /// What a new task can see.
    fn visible(&self, id: &TaskId) -> View {
        let is_loose = self.loose.contains(id);
        let own = before(&self.tasks, id);
        let own = own.iter().filter_map(|id| self.sources.get(id)).map(|source| Source {
            // What it stands in for has failed; what its join does not wait for may not have ended.
            nullable: source.nullable || is_loose,
            ..source.clone()
        });
        View { sources: self.outer.sources.iter().cloned().chain(own).collect(), ..self.outer.clone() }
    }
}
