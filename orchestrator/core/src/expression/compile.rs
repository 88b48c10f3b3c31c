mod optional;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, operators};
use mesh_schemas::TaskId;
use mesh_schemas::document::nearest;
use regex::RegexBuilder;

use super::error::Fault;
use super::evaluate::{Evaluator, Meter};
use super::function::Function;
use super::node::{Loop, LoopKind, Node};
use super::operator::Operator;
use super::references::References;
use super::scope::{Local, Member, Scope};
use super::syntax;
use super::template::REFUSED;
use super::value::Val;

/// Deepest tree, so that evaluation needs little stack.
const MAX_DEPTH: usize = 200;

/// Most loops inside each other: what they cost multiplies.
const MAX_LOOPS: usize = 2;

/// Most memory of a compiled pattern of `matches`, in bytes.
const MAX_PATTERN_BYTES: usize = 256 * 1024;

/// What every expression sees.
const ROOTS: [&str; 10] =
    ["input", "config", "tasks", "run", "result", "item", "index", "key", "iteration", "previous"];

/// A checked expression.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) text: String,
    pub(super) references: References,
    node: Node,
}

impl Compiled {
    /// Parses and checks an expression.
    ///
    /// # Errors
    /// All that is wrong with it, in words.
    pub(super) fn new(text: &str) -> Result<Self, Vec<String>> {
        let shown = text.trim().to_owned();
        if shown.is_empty() {
            return Err(vec!["the expression is empty: write one, or leave the key out".to_owned()]);
        }
        let tree =
            syntax::parse(text).map_err(|message| vec![format!("{message} in `{}`", excerpt(&shown))])?;
        let mut compiler = Compiler::default();
        match compiler.node(&tree) {
            Some(node) if compiler.problems.is_empty() => {
                Ok(Self { text: shown, references: compiler.references, node })
            }
            _ => {
                let problems = compiler.problems.into_iter();
                Err(problems.map(|message| format!("{message} in `{}`", excerpt(&shown))).collect())
            }
        }
    }

    /// Whether its value is an optional, as far as the form tells.
    pub(super) fn is_optional(&self) -> bool {
        self.node.is_optional()
    }

    /// What is wrong with it, with the text of it.
    pub(super) fn refused(&self, message: &str) -> String {
        format!("{message} in `{}`", excerpt(&self.text))
    }

    pub(super) fn evaluate<'a>(&'a self, scope: &Scope<'a>, meter: &mut Meter) -> Result<Val<'a>, Fault> {
        Evaluator::new(scope, meter).value(&self.node)
    }
}

fn excerpt(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Turns the parser's tree into checked nodes. A part that is wrong is noted and gives `None`.
#[derive(Default)]
struct Compiler {
    problems: Vec<String>,
    references: References,
    /// Variables of the loops around, outermost first.
    variables: Vec<String>,
    depth: usize,
}

impl Compiler {
    fn refuse<T>(&mut self, message: impl Into<String>) -> Option<T> {
        self.problems.push(message.into());
        None
    }

    fn boxed(&mut self, expr: &IdedExpr) -> Option<Box<Node>> {
        self.node(expr).map(Box::new)
    }

    /// Compiles all, to find the problems of each, before it says whether all are sound.
    fn nodes(&mut self, exprs: &[IdedExpr]) -> Option<Vec<Node>> {
        let nodes: Vec<_> = exprs.iter().map(|expr| self.node(expr)).collect();
        nodes.into_iter().collect()
    }

    fn node(&mut self, expr: &IdedExpr) -> Option<Node> {
        if self.depth >= MAX_DEPTH {
            return self.refuse(format!("an expression is at most {MAX_DEPTH} parts deep"));
        }
        self.depth += 1;
        let node = self.form(&expr.expr);
        self.depth -= 1;
        node
    }

    fn form(&mut self, expr: &Expr) -> Option<Node> {
        match expr {
            Expr::Literal(literal) => self.literal(literal),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => match task(&select.operand.expr) {
                Some(id) => self.member(id, &select.field),
                None => {
                    self.note_key(&select.operand.expr, &select.field);
                    Some(Node::Field(self.boxed(&select.operand)?, select.field.clone()))
                }
            },
            Expr::List(list) if !list.optional_indices.is_empty() => self.optional_list(list),
            Expr::Map(map) if optional::has_optional_entries(map) => self.optional_map(map),
            Expr::List(list) => Some(Node::List(self.nodes(&list.elements)?)),
            Expr::Map(map) => {
                let entries: Vec<_> = map.entries.iter().map(|entry| self.entry(&entry.expr)).collect();
                Some(Node::Map(entries.into_iter().collect::<Option<_>>()?))
            }
            Expr::Call(call) => self.call(call),
            Expr::Struct(message) => {
                self.refuse(format!("messages ({}{{…}}) are not supported: use a map", message.type_name))
            }
            Expr::Comprehension(_) | Expr::Unspecified => self.refuse("this form is not supported"),
        }
    }

    fn literal(&mut self, literal: &LiteralValue) -> Option<Node> {
        Some(Node::Literal(match literal {
            LiteralValue::Null => Val::Null,
            LiteralValue::Boolean(value) => Val::Bool(*value.inner()),
            LiteralValue::Int(value) => Val::Int(*value.inner()),
            LiteralValue::UInt(value) => Val::Uint(*value.inner()),
            LiteralValue::Double(value) => Val::Double(*value.inner()),
            LiteralValue::String(value) => Val::text(value.inner()),
            LiteralValue::Bytes(_) => return self.refuse("bytes (b'…') are not supported: JSON has none"),
        }))
    }

    fn entry(&mut self, entry: &EntryExpr) -> Option<(Node, Node)> {
        match entry {
            EntryExpr::MapEntry(entry) => {
                let (key, value) = (self.node(&entry.key), self.node(&entry.value));
                Some((key?, value?))
            }
            EntryExpr::StructField(_) => self.refuse("this form is not supported"),
        }
    }

    fn name(&mut self, name: &str) -> Option<Node> {
        if let Some(slot) = self.variables.iter().rposition(|variable| variable == name) {
            return Some(Node::Variable(slot, name.to_owned()));
        }
        if let Some(local) = Local::named(name) {
            match local {
                Local::Item | Local::Index | Local::Key => self.references.item = true,
                Local::Iteration | Local::Previous => self.references.iteration = true,
            }
            return Some(Node::Local(local));
        }
        Some(match name {
            "input" => {
                self.references.input = true;
                Node::Input
            }
            "config" => {
                self.references.config = true;
                Node::Config
            }
            "run" => {
                self.references.run = true;
                Node::Run
            }
            "result" => {
                self.references.result = true;
                Node::Result
            }
            "tasks" => return self.refuse("'tasks' is not a value: write tasks.<id>.output"),
            _ => {
                let known = ROOTS.into_iter().chain(self.variables.iter().map(String::as_str));
                let message = match nearest(name, known) {
                    Some(near) => format!("unknown name '{name}': did you mean '{near}'?"),
                    None => format!("unknown name '{name}': there are {}", ROOTS.join(", ")),
                };
                return self.refuse(message);
            }
        })
    }

    /// A key of the configuration must be there.
    fn note_key(&mut self, of: &Expr, key: &str) {
        if matches!(of, Expr::Ident(name) if name == "config" && !self.variables.contains(name)) {
            self.references.config_keys.insert(key.to_owned());
        }
    }

    fn member(&mut self, id: Option<&str>, name: &str) -> Option<Node> {
        let Some(id) = id else {
            return self.refuse("a task must be named in the expression: write tasks.<id>.output");
        };
        let Some(member) = Member::named(name) else {
            let others = Member::NAMES.join(", ");
            let message = match nearest(name, Member::NAMES) {
                Some(near) => format!("a task has no '{name}': did you mean tasks.{id}.{near}?"),
                None => format!("a task has no '{name}', but {others}: write tasks.{id}.output"),
            };
            return self.refuse(message);
        };
        match TaskId::new(id) {
            Ok(id) => {
                self.references.tasks.insert(id.clone());
                if member == Member::Iterations {
                    self.references.iterations.insert(id.clone());
                }
                if member == Member::Quality {
                    self.references.measures.insert(id.clone());
                }
                Some(Node::Task(id, member))
            }
            Err(error) => self.refuse(error.to_string()),
        }
    }

    fn call(&mut self, call: &CallExpr) -> Option<Node> {
        let name = call.func_name.as_str();
        if let Some(node) = self.optional(call) {
            return node;
        }
        if let (None, [argument]) = (&call.target, call.args.as_slice()) {
            match name {
                operators::LOGICAL_NOT => return Some(Node::Not(self.boxed(argument)?)),
                operators::NEGATE => return Some(Node::Negate(self.boxed(argument)?)),
                operators::HAS => return self.has(&argument.expr),
                _ => {}
            }
        }
        if let (None, [left, right]) = (&call.target, call.args.as_slice()) {
            if name == operators::INDEX {
                return self.index(left, right);
            }
            let pair = |compiler: &mut Self| {
                let (left, right) = (compiler.boxed(left), compiler.boxed(right));
                Some((left?, right?))
            };
            if matches!(name, operators::LOGICAL_AND | operators::LOGICAL_OR) {
                let (left, right) = pair(self)?;
                return Some(Node::Logic(name == operators::LOGICAL_AND, left, right));
            }
            if let Some(operator) = Operator::named(name) {
                let (left, right) = pair(self)?;
                return Some(Node::Binary(operator, left, right));
            }
        }
        if let (operators::CONDITIONAL, [condition, yes, no]) = (name, call.args.as_slice()) {
            let (condition, yes, no) = (self.boxed(condition), self.boxed(yes), self.boxed(no));
            return Some(Node::Choice(condition?, yes?, no?));
        }
        if let (Some(kind), Some(range)) = (LoopKind::named(name), &call.target) {
            return self.walk(kind, name, range, &call.args);
        }
        self.function(name, call)
    }

    /// `tasks['risk']` is not a value either, so what stands before `[…]` is looked at like that before a dot.
    fn index(&mut self, of: &IdedExpr, index: &IdedExpr) -> Option<Node> {
        if let (Some(id), Expr::Literal(LiteralValue::String(member))) = (task(&of.expr), &index.expr) {
            return self.member(id, member.inner());
        }
        if let Expr::Literal(LiteralValue::String(key)) = &index.expr {
            self.note_key(&of.expr, key.inner());
        }
        let (of, index) = (self.boxed(of), self.boxed(index));
        Some(Node::Index(of?, index?))
    }

    fn has(&mut self, argument: &Expr) -> Option<Node> {
        let Expr::Select(select) = argument else {
            return self.refuse("has(…) takes a field: has(input.name)");
        };
        if task(&select.operand.expr).is_some() {
            return self.refuse(
                "what a task has is always there, if only as null: compare it with null instead of has(…)",
            );
        }
        Some(Node::Has(self.boxed(&select.operand)?, select.field.clone()))
    }

    fn walk(&mut self, kind: LoopKind, name: &str, range: &IdedExpr, args: &[IdedExpr]) -> Option<Node> {
        let (variable, filter, body) = match (kind, args) {
            (_, [variable, body]) => (variable, None, body),
            (LoopKind::Map, [variable, filter, body]) => (variable, Some(filter), body),
            _ => {
                return self.refuse(format!("write {name} with a name and an expression: list.{name}(x, …)"));
            }
        };
        let Expr::Ident(variable) = &variable.expr else {
            return self.refuse(format!("the first argument of {name} must be a name: list.{name}(x, …)"));
        };
        if ROOTS.contains(&variable.as_str()) || self.variables.contains(variable) {
            return self.refuse(format!("the name '{variable}' is taken: use another one in {name}(…)"));
        }
        let range = self.node(range);
        if self.variables.len() >= MAX_LOOPS {
            return self.refuse(format!("{name}(…): loops are nested deeper than {MAX_LOOPS}"));
        }
        self.variables.push(variable.clone());
        let filter = filter.map(|filter| self.node(filter));
        let body = self.node(body);
        self.variables.pop();
        let filter = match filter {
            Some(filter) => Some(filter?),
            None => None,
        };
        Some(Node::Loop(Box::new(Loop { kind, range: range?, filter, body: body? })))
    }

    fn function(&mut self, name: &str, call: &CallExpr) -> Option<Node> {
        let arguments: Vec<_> = call.target.as_deref().into_iter().chain(&call.args).collect();
        if name == "matches" {
            return self.matches(&arguments);
        }
        if name == "secret" && call.target.is_none() {
            return self.refuse(REFUSED);
        }
        let Some(function) = Function::named(name) else {
            let known =
                Function::NAMES.into_iter().chain(LoopKind::NAMES).chain(["has"]).chain(optional::NAMES);
            return self.refuse(match nearest(name, known) {
                Some(near) if near != name => format!("unknown function '{name}': did you mean '{near}'?"),
                Some(_) => format!("'{name}' is used in a wrong form"),
                None => {
                    let functions = Function::NAMES.join(", ");
                    format!(
                        "unknown function '{name}': there are {functions}, has, {}, {}",
                        LoopKind::NAMES.join(", "),
                        optional::NAMES.join(", ")
                    )
                }
            });
        };
        if let Some(form) = function.misuse(call.target.is_some(), arguments.len()) {
            return self.refuse(format!("'{name}' is used in a wrong form: write {form}"));
        }
        let nodes: Vec<_> = arguments.into_iter().map(|argument| self.node(argument)).collect();
        Some(Node::Call(function, nodes.into_iter().collect::<Option<_>>()?))
    }

    fn matches(&mut self, arguments: &[&IdedExpr]) -> Option<Node> {
        let [text, pattern] = arguments else {
            return self.refuse("'matches' is used in a wrong form: write text.matches('pattern')");
        };
        let text = self.boxed(text);
        // Data cannot bring patterns: they would be compiled anew each time, at any cost.
        let Expr::Literal(LiteralValue::String(pattern)) = &pattern.expr else {
            return self.refuse("the pattern of 'matches' must be written out as a string");
        };
        match RegexBuilder::new(pattern.inner()).size_limit(MAX_PATTERN_BYTES).build() {
            Ok(pattern) => Some(Node::Matches(text?, pattern)),
            Err(error) => {
                let error = error.to_string();
                let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
                self.refuse(format!("the pattern {:?} of 'matches' is not one: {reason}", pattern.inner()))
            }
        }
    }
}

/// The id in `tasks.<id>` or `tasks['<id>']`; the inner `None` if it is not a literal.
fn task(expr: &Expr) -> Option<Option<&str>> {
    let is_tasks = |expr: &IdedExpr| matches!(&expr.expr, Expr::Ident(name) if name == "tasks");
    match expr {
        Expr::Select(select) if is_tasks(&select.operand) => Some(Some(&select.field)),
        Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
            [of, index] if is_tasks(of) => match &index.expr {
                Expr::Literal(LiteralValue::String(id)) => Some(Some(id.inner())),
                _ => Some(None),
            },
            _ => None,
        },
        _ => None,
    }
}
