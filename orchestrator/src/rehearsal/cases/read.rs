use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use mesh_schemas::definition::Task;
use mesh_schemas::document::{
    Content, Format, Node, Object, Position, Problem, Problems, join, nearest, tree,
};
use mesh_schemas::{Definition, ErrorCode, TaskId};
use serde_json::{Map, Value, json};

use super::mock::{self, Answers};
use super::{Case, Cases, Signal, SignalKind, expect};

const FILE: [&str; 4] = ["mesh", "input", "mocks", "cases"];
const CASE: [&str; 8] =
    ["name", "input", "config", "mocks", "events", "started_at", "correlation_id", "expect"];
const EVENT: [&str; 3] = ["after", "signal", "reason"];
/// How many tasks an error names.
const NAMED: usize = 20;

impl Cases {
    /// Reads cases of a workflow.
    ///
    /// # Errors
    /// [`Problems`]: everything that is wrong with the text, with positions and the nearest known keys and tasks.
    pub fn read(text: &str, format: Format, definition: &Definition) -> Result<Self, Problems> {
        let root = tree(text, format).map_err(|problem| Problems(vec![problem]))?;
        let (positions, problems) = root.survey();
        let mut reader = Reader { definition, problems };
        match reader.file(&root) {
            Some(cases) if reader.problems.is_empty() => Ok(Self { cases, positions }),
            _ => Err(Problems(reader.problems).located(&positions)),
        }
    }
}

/// What is read against: the tasks there are, and the problems so far.
pub(super) struct Reader<'a> {
    pub(super) definition: &'a Definition,
    pub(super) problems: Vec<Problem>,
}

impl Reader<'_> {
    fn file(&mut self, root: &Node) -> Option<Vec<Case>> {
        let mut fields = Object::new(root, "", &FILE, &mut self.problems)?;
        fields.required("mesh", "write 'mesh: v1'", |node| node.one_of(&[("v1", ())]));
        let input = value(&fields, "input");
        let mocks = fields.optional("mocks", Ok);
        let cases = fields.required("cases", "list at least one case, with a name", Node::items)?;
        if cases.is_empty() {
            fields.refuse("cases", "list at least one case, with a name");
        }
        let mocks = mocks.map(|node| self.mocks(node, "mocks")).unwrap_or_default();
        let mut names = BTreeSet::new();
        let mut all = Vec::new();
        for (index, node) in cases.iter().enumerate() {
            let path = format!("cases[{index}]");
            let Some(mut case) = self.case(node, &path, input.as_ref()) else { continue };
            if !names.insert(case.name.clone()) {
                let message = format!("there is another case '{}' above", case.name);
                self.problem(ErrorCode::Duplicate, format!("{path}.name"), node.at, message);
            }
            for (task, answers) in &mocks {
                case.mocks.entry(task.clone()).or_insert_with(|| answers.clone());
            }
            all.push(case);
        }
        Some(all)
    }

    fn case(&mut self, node: &Node, path: &str, input: Option<&Value>) -> Option<Case> {
        let mut fields = Object::new(node, path, &CASE, &mut self.problems)?;
        let name = fields.required("name", "say what the case is about", name);
        let own_input = value(&fields, "input");
        let config = fields.optional("config", config);
        let correlation_id = fields.optional("correlation_id", correlation_id);
        let started_at = fields.optional("started_at", time);
        let mocks = fields.optional("mocks", Ok);
        let events = fields.optional("events", Node::items);
        let expected = fields.optional("expect", Ok);
        let inner = |key: &str| fields.path_of(key);
        let (at_mocks, at_events, at_expect) = (inner("mocks"), inner("events"), inner("expect"));
        let mocks = mocks.map(|node| self.mocks(node, &at_mocks)).unwrap_or_default();
        let events = events.unwrap_or_default().iter().enumerate();
        let events =
            events.filter_map(|(index, node)| self.event(node, &format!("{at_events}[{index}]"))).collect();
        let expect = expected.map(|node| expect::read(self, node, &at_expect)).unwrap_or_default();
        Some(Case {
            name: name?,
            input: own_input.or_else(|| input.cloned()).unwrap_or_else(|| json!({})),
            config,
            mocks,
            events,
            started_at: started_at.unwrap_or_else(usual_start),
            correlation_id,
            expect,
            path: path.to_owned(),
        })
    }

    fn mocks(&mut self, node: &Node, path: &str) -> BTreeMap<TaskId, Answers> {
        let mut mocks = BTreeMap::new();
        for (task, path, node) in self.by_task(node, path, "an object with what is answered for each task") {
            if let Some(answers) = mock::read(node, &path, &mut self.problems) {
                mocks.insert(task, answers);
            }
        }
        mocks
    }

    fn event(&mut self, node: &Node, path: &str) -> Option<Signal> {
        let mut fields = Object::new(node, path, &EVENT, &mut self.problems)?;
        let after = fields.required("after", "say how long after the start, such as 30s", Node::span);
        let signal = fields.required("signal", "name the signal: cancel or check", |node| {
            node.one_of(&[("cancel", true), ("check", false)])
        });
        let reason = fields.optional("reason", Node::text);
        if signal == Some(false) && fields.has("reason") {
            fields.refuse("reason", "only the signal 'cancel' has a reason: leave it out");
        }
        let kind = if signal? { SignalKind::Cancel(reason) } else { SignalKind::Check };
        Some(Signal { after: after?, kind })
    }

    /// The entries of an object whose keys are tasks of the workflow, each with its path.
    pub(super) fn by_task<'n>(
        &mut self,
        node: &'n Node,
        path: &str,
        what: &str,
    ) -> Vec<(TaskId, String, &'n Node)> {
        let Content::Map(entries) = &node.content else {
            self.problem(ErrorCode::WrongValue, path.to_owned(), node.at, node.unlike(what));
            return Vec::new();
        };
        let mut found = Vec::new();
        for entry in entries {
            let mut path = path.to_owned();
            join(&mut path, &entry.key);
            match self.task(&entry.key) {
                Ok(task) => found.push((task, path, &entry.value)),
                Err(message) => self.problem(ErrorCode::UnknownTask, path, entry.at, message),
            }
        }
        found
    }

    /// The task of that name: one of the workflow, one in a group of it, with or without numbers of items, or one that an agent
    /// may plan.
    pub(super) fn task(&self, name: &str) -> Result<TaskId, String> {
        let tasks: &BTreeMap<TaskId, Task> = &self.definition.tasks;
        let named = name.parse::<TaskId>().ok();
        let is_there = |task: &TaskId| {
            let plain = task.without_numbers();
            let is_planned = |by: &TaskId| {
                plain.as_str().strip_prefix(by.as_str()).is_some_and(|rest| rest.starts_with(':'))
            };
            tasks.contains_key(&plain)
                || self
                    .definition
                    .work()
                    .iter()
                    .any(|(known, body)| *known == plain || (body.plan.is_some() && is_planned(known)))
        };
        if let Some(task) = named.filter(is_there) {
            return Ok(task);
        }
        let known = || tasks.keys().map(TaskId::as_str);
        let hint = match nearest(name, known()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => {
                let more = if tasks.len() > NAMED { " …" } else { "" };
                format!("there are {}{more}", known().take(NAMED).collect::<Vec<_>>().join(", "))
            }
        };
        Err(format!("'{}' has no task '{name}': {hint}", self.definition.name))
    }

    pub(super) fn problem(&mut self, code: ErrorCode, path: String, at: Position, message: String) {
        self.problems.push(Problem { code, path, position: Some(at), message });
    }
}

/// When runs start if nothing is said: always at the same time, so that a case always goes the same way.
fn usual_start() -> DateTime<Utc> {
    const YEAR_2026: i64 = 1_767_225_600;
    DateTime::from_timestamp(YEAR_2026, 0).unwrap_or_default()
}

/// Plain data, in which null is a value like any other.
pub(super) fn value(fields: &Object<'_, '_>, key: &str) -> Option<Value> {
    fields.entry(key).map(|entry| entry.value.to_value())
}

fn config(node: &Node) -> Result<Map<String, Value>, String> {
    match node.to_value() {
        Value::Object(map) => Ok(map),
        _ => Err(node.unlike("an object with values for keys of the workflow's config")),
    }
}

fn name(node: &Node) -> Result<String, String> {
    let name = node.text()?;
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return Err("a name is text on one line, and not empty".to_owned());
    }
    Ok(name)
}

/// It becomes an attribute of every event, where CloudEvents allows neither empty text nor control characters.
fn correlation_id(node: &Node) -> Result<String, String> {
    let id = node.text()?;
    if id.is_empty() || id.chars().any(char::is_control) {
        return Err("use text that is not empty, on one line".to_owned());
    }
    Ok(id)
}

fn time(node: &Node) -> Result<DateTime<Utc>, String> {
    let text = node.text()?;
    let time = DateTime::parse_from_rfc3339(&text);
    time.map(|time| time.to_utc())
        .map_err(|_| format!("'{text}' is no time: write one such as 2026-01-31T12:00:00Z"))
}
