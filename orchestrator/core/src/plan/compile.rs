use std::collections::BTreeMap;

use mesh_schemas::definition::Task;
use mesh_schemas::document::Problem;
use mesh_schemas::{Definition, ErrorCode, TaskId};
use serde_json::Value;

use super::graph::{self, Graph};
use super::{Plan, PlannedTask, limits, problem};
use crate::expression::{Condition, References, Template};

pub(super) fn plan(definition: &Definition) -> Result<Plan, Vec<Problem>> {
    let mut problems = Vec::new();
    limits::check(definition, &mut problems);
    let ids: Vec<&TaskId> = definition.tasks.keys().collect();
    let graph = Graph::new(definition, &ids, &mut problems);
    let mut compiler = Compiler { ids: &ids, graph: &graph, problems };
    let tasks = definition
        .tasks
        .iter()
        .enumerate()
        .map(|(place, (id, task))| compiler.task(place, id, task))
        .collect();
    let output = compiler.run_output(definition);
    let mut problems = compiler.problems;
    let places: BTreeMap<_, _> = definition.tasks.keys().cloned().zip(0..).collect();
    match output {
        Some(output) if problems.is_empty() => {
            Ok(Plan { definition: definition.clone(), digest: definition.digest(), tasks, output, places })
        }
        _ => {
            problems.sort_by(|a, b| a.path.cmp(&b.path));
            Err(problems)
        }
    }
}

struct Compiler<'a> {
    ids: &'a [&'a TaskId],
    graph: &'a Graph,
    problems: Vec<Problem>,
}

impl Compiler<'_> {
    fn task(&mut self, place: usize, id: &TaskId, task: &Task) -> PlannedTask {
        let path = |key: &str| format!("tasks.{id}.{key}");
        let when = task.when.as_ref().and_then(|text| self.condition(&path("when"), text));
        let with = task.with.as_ref().and_then(|data| self.template(&path("with"), data));
        let output = task.output.as_ref().and_then(|data| self.template(&path("output"), data));
        if let Some(when) = &when {
            self.references(path("when"), when.references(), Some(place), false);
        }
        for (key, template) in [("with", &with), ("output", &output)] {
            for (at, references) in template.iter().flat_map(Template::references) {
                self.references(path(key) + at, references, Some(place), key == "output");
            }
        }
        PlannedTask {
            id: id.clone(),
            definition: task.clone(),
            when,
            with,
            output,
            needs: self.graph.needs[place].clone(),
            dependents: self.graph.dependents[place].clone(),
        }
    }

    /// The output of a run: as defined, or an object with the outputs of the tasks that nobody needs.
    fn run_output(&mut self, definition: &Definition) -> Option<Template> {
        let template = match &definition.output {
            Some(output) => self.template("output", output)?,
            None => {
                let last = self.ids.iter().zip(&self.graph.dependents).filter(|(_, after)| after.is_empty());
                let outputs =
                    last.map(|(id, _)| (id.to_string(), Value::from(format!("${{tasks.{id}.output}}"))));
                let outputs: Vec<_> = outputs.filter(|(id, _)| !id.contains(':')).collect();
                self.template("output", &Value::Object(outputs.into_iter().collect()))?
            }
        };
        for (at, references) in template.references() {
            self.references(format!("output{at}"), references, None, false);
        }
        Some(template)
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
    /// of the run.
    fn references(&mut self, path: String, references: &References, task: Option<usize>, result: bool) {
        if references.result && !result {
            let message = "'result' is what the agent returned: only the output of a task can use it";
            self.problems.push(problem(ErrorCode::Expression, path.as_str(), message));
        }
        for used in &references.tasks {
            let (code, message) = match (self.ids.binary_search(&used), task) {
                (Err(_), _) => (ErrorCode::UnknownTask, graph::unknown(used, self.ids)),
                (Ok(other), Some(task)) if other == task => {
                    let message = "a task cannot use its own output: use 'result' in its output".to_owned();
                    (ErrorCode::Expression, message)
                }
                (Ok(other), Some(task)) if !self.graph.precedes(other, task) => {
                    let message = format!(
                        "uses the output of '{used}', which may not have ended: add '{used}' to needs"
                    );
                    (ErrorCode::MissingNeed, message)
                }
                _ => continue,
            };
            self.problems.push(problem(code, path.as_str(), message));
        }
    }
}
