mod schema;

use std::borrow::Cow;
use std::collections::BTreeMap;

use mesh_schemas::definition::{Body, Foreach, Quota, Repeat, Task};
use mesh_schemas::document::Problem;
use mesh_schemas::{Definition, ErrorCode, TaskId};
use serde_json::Value;

use super::block::{Block, Case, Each, Loop, Node, Recurring, Step, Work};
use super::graph::Graph;
use super::names::{Level, Names, Place};
use super::{MAX_DEPTH, Plan, config, fit, inside, limits, problem};
use crate::expression::{Condition, References, Template};

/// Most items of a `foreach` that says nothing of it.
const DEFAULT_MAX_ITEMS: u32 = 10_000;

pub(super) fn plan(definition: Cow<'_, Definition>) -> Result<Plan, Vec<Problem>> {
    let mut problems = Vec::new();
    let size = limits::check(&definition, &mut problems);
    config::check(&definition, &mut problems);
    let mut compiler = Compiler { names: Names::new(&definition), problems, depth: 0 };
    let root = compiler.block(&definition.tasks, "tasks", definition.output.as_ref(), "output");
    let schema = compiler.schema("output_schema", definition.output_schema.as_ref());
    let root = root.and_then(|root| Some(Block { schema: schema?.map(Box::new), ..root }));
    let mut problems = compiler.problems;
    match root {
        Some(root) if problems.is_empty() => {
            let digest = definition.digest();
            Ok(Plan { definition: definition.into_owned(), digest, root, size })
        }
        _ => {
            problems.sort_by(|a, b| a.path.cmp(&b.path));
            Err(problems)
        }
    }
}

/// Compiles data, or says what is wrong with it and where.
type Compile = fn(&Value) -> Result<Template, Vec<(String, String)>>;

/// Compiles blocks within blocks. What is wrong is noted, and leads to `None` or to a part that nobody will use.
struct Compiler<'a> {
    names: Names<'a>,
    problems: Vec<Problem>,
    depth: usize,
}

impl<'a> Compiler<'a> {
    /// The tasks that stand at a path, and the output that stands at another.
    fn block(
        &mut self,
        tasks: &'a BTreeMap<TaskId, Task>,
        path: &str,
        output: Option<&Value>,
        output_path: &str,
    ) -> Option<Block> {
        if self.depth > MAX_DEPTH {
            let message = format!("groups and cases are nested deeper than {MAX_DEPTH}");
            self.refuse(ErrorCode::WrongValue, path, message);
            return None;
        }
        self.depth += 1;
        let ids: Vec<&TaskId> = tasks.keys().collect();
        let told = self.problems.len();
        let graph = Graph::new(tasks, path, &ids, &mut self.problems);
        inside::explain_needs(tasks, path, &self.names, &mut self.problems[told..]);
        let shadowing: Vec<&TaskId> = ids.iter().copied().filter(|id| self.names.knows(id)).collect();
        for id in shadowing {
            let message = format!("'{id}' is also a task around this one: expressions could mean either");
            self.refuse(ErrorCode::Duplicate, &format!("{path}.{id}"), message);
        }
        self.names.enter(Level::new(ids, graph));
        let nodes = tasks.iter().enumerate().map(|(place, (id, task))| self.node(place, id, task, path));
        let nodes: Vec<Option<Node>> = nodes.collect();
        self.names.stand_at(None);
        let output = match output {
            Some(output) => self.template(output_path, output, Place::Output),
            None => self.template(output_path, &self.names.last_outputs(tasks), Place::Output),
        };
        let uses = self.names.take_uses();
        let level = self.names.leave();
        self.depth -= 1;
        let mut nodes: Vec<Node> = nodes.into_iter().collect::<Option<_>>()?;
        for place in level.iterations {
            nodes[place].keeps_iterations = true;
        }
        Some(Block { nodes, output: Box::new(output?), schema: None, uses: uses.into_iter().collect() })
    }

    fn node(&mut self, place: usize, id: &TaskId, task: &'a Task, path: &str) -> Option<Node> {
        let path = format!("{path}.{id}");
        fit::task(task, &path, &mut self.problems);
        self.names.stand_at(Some(place));
        let when = task.when.as_ref().map(|text| self.condition(&format!("{path}.when"), text, Place::Task));
        let recurring = match (&task.foreach, &task.repeat) {
            (Some(foreach), _) => self.each(foreach, &format!("{path}.foreach")).map(Recurring::Each),
            (_, Some(repeat)) => self.repeated(repeat, &format!("{path}.repeat")).map(Recurring::Loop),
            (None, None) => Some(Recurring::Once),
        };
        self.names.in_loop(task.foreach.is_some(), task.repeat.is_some());
        let step = self.step(&task.body, &path);
        self.names.out_of_loop(task.foreach.is_some(), task.repeat.is_some());
        let uses = self.names.take_uses();
        let graph = &self.names.level()?.graph;
        Some(Node {
            id: id.clone(),
            needs: graph.needs[place].clone(),
            dependents: graph.dependents[place].clone(),
            uses: uses.into_iter().collect(),
            join: task.join,
            when: when.sound()?,
            on_skipped: task.on_skipped,
            on_failure: task.on_failure.clone(),
            rescuer: graph.rescuers[place],
            rescues: graph.rescues[place],
            recurring: recurring?,
            step: step?,
            keeps_iterations: false,
        })
    }

    fn each(&mut self, foreach: &Foreach, path: &str) -> Option<Each> {
        let items = self.template(&format!("{path}.in"), &foreach.items, Place::Task);
        Some(Each {
            max_parallel: foreach.max_parallel.map_or(usize::MAX, |most| most as usize),
            max_items: foreach.max_items.unwrap_or(DEFAULT_MAX_ITEMS) as usize,
            tolerate: foreach.tolerate.unwrap_or(Quota::Count(0)),
            items: items?,
        })
    }

    fn repeated(&mut self, repeat: &Repeat, path: &str) -> Option<Loop> {
        self.names.in_loop(false, true);
        let until = self.condition(&format!("{path}.until"), &repeat.until, Place::Result);
        self.names.out_of_loop(false, true);
        Some(Loop { until: until?, max: repeat.max, on_max: repeat.on_max })
    }

    fn step(&mut self, body: &'a Body, path: &str) -> Option<Step> {
        let output_path = format!("{path}.output");
        let schema = self.schema(&format!("{path}.output_schema"), body.output_schema.as_ref());
        if let Some(tasks) = &body.tasks {
            let block = self.block(tasks, &format!("{path}.tasks"), body.output.as_ref(), &output_path)?;
            return Some(Step::Group(Block { schema: schema?.map(Box::new), ..block }));
        }
        if let Some(cases) = &body.switch {
            if self.depth > MAX_DEPTH {
                let message = format!("groups and cases are nested deeper than {MAX_DEPTH}");
                self.refuse(ErrorCode::WrongValue, path, message);
                return None;
            }
            self.depth += 1;
            let cases = cases.iter().enumerate().map(|(number, case)| {
                let path = format!("{path}.switch[{number}]");
                let when = case.when.as_ref();
                let when = when.map(|text| self.condition(&format!("{path}.when"), text, Place::Task));
                let step = self.step(&case.body, &path);
                Some(Case { when: when.sound()?, step: step? })
            });
            // Each is compiled, so that the problems of all are told.
            let cases: Vec<Option<Case>> = cases.collect();
            self.depth -= 1;
            return cases.into_iter().collect::<Option<_>>().map(Step::Switch);
        }
        let with = body.with.as_ref().map(|data| self.given(&format!("{path}.with"), data));
        let output = body.output.as_ref().map(|data| self.template(&output_path, data, Place::Result));
        Some(Step::Work(Box::new(Work {
            agent: body.agent.clone()?,
            action: body.action.clone(),
            retry: body.retry.clone(),
            timeout: body.timeout,
            with: with.sound()?,
            output: output.sound()?,
            schema: schema?,
        })))
    }

    fn condition(&mut self, path: &str, text: &str, place: Place) -> Option<Condition> {
        match Condition::compile(text) {
            Ok(condition) => {
                self.references(path, condition.references(), place);
                Some(condition)
            }
            Err(messages) => {
                for message in messages {
                    self.refuse(ErrorCode::Expression, path, message);
                }
                None
            }
        }
    }

    /// What an agent is given, in which secrets may stand.
    fn given(&mut self, path: &str, data: &Value) -> Option<Template> {
        self.rendered(path, data, Place::Task, Template::compile_with_secrets)
    }

    fn template(&mut self, path: &str, data: &Value, place: Place) -> Option<Template> {
        self.rendered(path, data, place, Template::compile)
    }

    fn rendered(&mut self, path: &str, data: &Value, place: Place, compile: Compile) -> Option<Template> {
        // Absent and null are written alike in JSON, so null could not be told from an absent key.
        if data.is_null() {
            self.refuse(ErrorCode::MissingKey, path, "has no value: write one, or leave the key out");
            return None;
        }
        match compile(data) {
            Ok(mut template) => {
                for (at, references) in template.references() {
                    self.references(&format!("{path}{at}"), references, place);
                }
                template.forget_references();
                Some(template)
            }
            Err(problems) => {
                for (at, message) in problems {
                    self.refuse(ErrorCode::Expression, &format!("{path}{at}"), message);
                }
                None
            }
        }
    }

    /// Whether everything that an expression uses is there when it is evaluated.
    fn references(&mut self, path: &str, references: &References, place: Place) {
        let told = self.problems.len();
        let problems = self.names.check(references, place, told);
        self.problems.extend(problems.into_iter().map(|(code, message)| problem(code, path, message)));
    }

    fn refuse(&mut self, code: ErrorCode, path: &str, message: impl Into<String>) {
        self.problems.push(problem(code, path, message));
    }
}

/// What may be absent, but not wrong.
trait Sound<T> {
    fn sound(self) -> Option<Option<T>>;
}

impl<T> Sound<T> for Option<Option<T>> {
    /// `None` if there is one that could not be compiled.
    fn sound(self) -> Option<Option<T>> {
        match self {
            None => Some(None),
            Some(None) => None,
            Some(sound) => Some(sound),
        }
    }
}
