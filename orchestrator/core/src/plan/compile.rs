use std::borrow::Cow;
use std::collections::BTreeSet;

use mesh_schemas::definition::Task;
use mesh_schemas::document::Problem;
use mesh_schemas::{Definition, ErrorCode, TaskId};
use serde_json::Value;

use super::graph::{self, Graph};
use super::order::Precedence;
use super::{Plan, PlannedTask, limits, problem};
use crate::expression::{Condition, References, Template};

pub(super) fn plan(definition: Cow<'_, Definition>) -> Result<Plan, Vec<Problem>> {
    let mut problems = Vec::new();
    limits::check(&definition, &mut problems);
    let ids: Vec<&TaskId> = definition.tasks.keys().collect();
    let graph = Graph::new(&definition, &ids, &mut problems);
    let mut compiler = Compiler { ids: &ids, graph, problems };
    let tasks = definition
        .tasks
        .iter()
        .enumerate()
        .map(|(place, (id, task))| compiler.task(place, id, task))
        .collect();
    let output = compiler.run_output(&definition);
    let mut problems = compiler.problems;
    match output {
        Some((output, uses)) if problems.is_empty() => {
            let digest = definition.digest();
            Ok(Plan { definition: definition.into_owned(), digest, tasks, output, uses })
        }
        _ => {
            problems.sort_by(|a, b| a.path.cmp(&b.path));
            Err(problems)
        }
    }
}

struct Compiler<'a> {
    ids: &'a [&'a TaskId],
    graph: Graph,
    problems: Vec<Problem>,
}

impl Compiler<'_> {
    fn task(&mut self, place: usize, id: &TaskId, task: &Task) -> PlannedTask {
        let path = |key: &str| format!("tasks.{id}.{key}");
        let when = task.when.as_ref().and_then(|text| self.condition(&path("when"), text));
        let mut with = task.with.as_ref().and_then(|data| self.template(&path("with"), data));
        let mut output = task.output.as_ref().and_then(|data| self.template(&path("output"), data));
        let mut uses = BTreeSet::new();
        if let Some(when) = &when {
            self.references(path("when"), when.references(), Some(place), false, &mut uses);
        }
        for (key, template) in [("with", &with), ("output", &output)] {
            for (at, references) in template.iter().flat_map(Template::references) {
                self.references(path(key) + at, references, Some(place), key == "output", &mut uses);
            }
        }
        with.iter_mut().chain(&mut output).for_each(Template::forget_references);
        PlannedTask {
            id: id.clone(),
            agent: task.agent.clone(),
            action: task.action.clone(),
            on_skipped: task.on_skipped,
            retry: task.retry.clone(),
            timeout: task.timeout,
            on_failure: task.on_failure,
            when,
            with,
            output,
            needs: self.graph.needs[place].clone(),
            dependents: self.graph.dependents[place].clone(),
            uses: uses.into_iter().collect(),
        }
    }

    /// The output of a run: as defined, or an object with the outputs of the tasks that nobody needs.
    fn run_output(&mut self, definition: &Definition) -> Option<(Template, Vec<usize>)> {
        let mut template = match &definition.output {
            Some(output) => self.template("output", output)?,
            None => {
                let last = self.ids.iter().zip(&self.graph.dependents).filter(|(_, after)| after.is_empty());
                let outputs =
                    last.map(|(id, _)| (id.to_string(), Value::from(format!("${{tasks.{id}.output}}"))));
                let outputs: Vec<_> = outputs.filter(|(id, _)| !id.contains(':')).collect();
                self.template("output", &Value::Object(outputs.into_iter().collect()))?
            }
        };
        let mut uses = BTreeSet::new();
        for (at, references) in template.references() {
            self.references(format!("output{at}"), references, None, false, &mut uses);
        }
        template.forget_references();
        Some((template, uses.into_iter().collect()))
    }

    fn condition(&mut self, path: &str, text: &str) -> Option<Condition> {
        let compiled = Condition::compile(text);
        compiled
            .map_err(|messages| {
                self.problems.extend(messages.into_iter().map(|m| problem(ErrorCode::Expression, path, m)))
            })
            .ok()
    }

    fn template(&mut self, path: &str, data: &Value) -> Option<Template> {
        // Absent and null are written alike in JSON, so null could not be told from an absent key.
        if data.is_null() {
            self.problems.push(problem(
                ErrorCode::MissingKey,
                path,
                "has no value: write one, or leave the key out",
            ));
            return None;
        }
        let compiled = Template::compile(data);
        let located =
            |(at, message): (String, String)| problem(ErrorCode::Expression, format!("{path}{at}"), message);
        compiled.map_err(|problems| self.problems.extend(problems.into_iter().map(located))).ok()
    }

    /// Whether everything that an expression uses is there when it is evaluated. `task` is none for the output
    /// of the run. Notes the places of the tasks that it uses.
    fn references(
        &mut self,
        path: String,
        references: &References,
        task: Option<usize>,
        result: bool,
        uses: &mut BTreeSet<usize>,
    ) {
        if references.result && !result {
            let message = "'result' is what the agent returned: only the output of a task can use it";
            self.problems.push(problem(ErrorCode::Expression, path.as_str(), message));
        }
        for used in &references.tasks {
            let (code, message) = match (self.ids.binary_search(&used), task) {
                (Err(_), _) => (ErrorCode::UnknownTask, graph::unknown(used, self.ids, self.problems.len())),
                (Ok(other), Some(task)) if other == task => {
                    let message = "a task cannot use its own output: use 'result' in its output".to_owned();
                    (ErrorCode::Expression, message)
                }
                (Ok(other), task) => {
                    uses.insert(other);
                    let why = match task.map(|task| self.graph.precedes(other, task)) {
                        None | Some(Precedence::Before) => continue,
                        Some(Precedence::Unsure) => "which may not have ended",
                        Some(Precedence::TooFar) => "and it would take too long to see that it has ended",
                    };
                    let message = format!("uses the output of '{used}', {why}: add '{used}' to needs");
                    (ErrorCode::MissingNeed, message)
                }
            };
            self.problems.push(problem(code, path.as_str(), message));
        }
    }
}
