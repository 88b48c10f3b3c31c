mod optional;

use std::collections::BTreeMap;

use mesh_schemas::TaskId;

use super::error::Fault;
use super::node::{Loop, LoopKind, Node};
use super::scope::{Local, Member, Scope};
use super::value::{Key, List, Map, Val};

/// Most work of one rendering, in steps: a step is a node evaluated, an item looked at, or a chunk of text handled.
/// That is some tens of milliseconds and of megabytes: mapping a few thousand items is far below, a product of
/// large lists above.
const MAX_STEPS: usize = 1_000_000;

/// Bytes of text that count as one step.
const TEXT_STEP_BYTES: usize = 64;

/// Bytes that count as one step where a pattern looks at each.
const MATCH_STEP_BYTES: usize = 4;

/// Counts the work.
#[derive(Debug)]
pub(super) struct Meter {
    left: usize,
}

impl Default for Meter {
    fn default() -> Self {
        Self { left: MAX_STEPS }
    }
}

impl Meter {
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), Fault> {
        match self.left.checked_sub(steps) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Fault::Cost)
            }
        }
    }

    pub(super) fn spend_text(&mut self, text: &str) -> Result<(), Fault> {
        self.spend(text.len() / TEXT_STEP_BYTES)
    }
}

/// Evaluates one expression.
pub(super) struct Evaluator<'a, 'm> {
    scope: Scope<'a>,
    variables: Vec<Val<'a>>,
    meter: &'m mut Meter,
}

impl<'a, 'm> Evaluator<'a, 'm> {
    pub(super) fn new(scope: &Scope<'a>, meter: &'m mut Meter) -> Self {
        Self { scope: *scope, variables: Vec::new(), meter }
    }

    // Expressions may be some hundred nodes deep, so the frame of this function is kept small: forms that need
    // room have functions of their own.
    pub(super) fn value(&mut self, node: &'a Node) -> Result<Val<'a>, Fault> {
        self.meter.spend(1)?;
        match node {
            Node::Literal(value) => Ok(value.clone()),
            Node::Input => Ok(Val::of(self.scope.input)),
            Node::Config => Ok(Val::of(self.scope.config)),
            Node::Run => Ok(Val::of(self.scope.run)),
            Node::Result => Ok(self.scope.result.map_or(Val::Null, Val::of)),
            Node::Task(task, member) => Ok(self.member(task, *member)),
            Node::Local(local) => Ok(self.local(*local)),
            Node::Variable(slot, _) => Ok(self.variables.get(*slot).cloned().unwrap_or(Val::Null)),
            Node::Field(of, field) => self.field(of, field),
            Node::Has(of, field) => self.has(of, field),
            Node::Index(of, index) => self.index(of, index),
            Node::List(items) => self.list(items),
            Node::Map(entries) => self.map(entries),
            Node::Not(of) => Ok(Val::Bool(!self.truth(of, "!")?)),
            Node::Negate(of) => self.negate(of),
            Node::Logic(and, left, right) => self.logic(*and, left, right),
            Node::Choice(condition, yes, no) => {
                let chosen = if self.truth(condition, "?:")? { yes } else { no };
                self.value(chosen)
            }
            Node::Binary(operator, left, right) => {
                let left = self.value(left)?;
                let right = self.value(right)?;
                operator.apply(&left, &right, self.meter)
            }
            Node::Call(function, arguments) => {
                let arguments = self.values(arguments)?;
                function.call(&arguments, self.meter)
            }
            Node::Matches(text, pattern) => match self.value(text)? {
                Val::Text(text) => {
                    self.meter.spend(text.as_str().len() / MATCH_STEP_BYTES)?;
                    Ok(Val::Bool(pattern.is_match(text.as_str())))
                }
                other => Fault::error(format!("matches(…) takes a string, not {}", other.described())),
            },
            Node::Loop(walk) => self.walk(walk),
            Node::Optional(form) => self.optional(form),
        }
    }

    fn member(&self, task: &TaskId, member: Member) -> Val<'a> {
        let Some(ended) = self.scope.around.ended(task) else { return Val::Null };
        match member {
            Member::Output => Val::of(&ended.output),
            Member::Status => Val::text(ended.status.as_str()),
            Member::Error => ended.error.as_deref().map_or(Val::Null, Val::of),
            Member::Quality => {
                ended.measures.as_ref().and_then(|measures| measures.quality()).map_or(Val::Null, Val::Double)
            }
            Member::Iterations => ended.iterations.as_deref().map_or(Val::Null, Val::of),
        }
    }

    fn local(&self, local: Local) -> Val<'a> {
        // Places and numbers are far below what an int holds.
        let int = |number: usize| Val::Int(i64::try_from(number).unwrap_or(i64::MAX));
        match (local, self.scope.around.item(), self.scope.around.iteration()) {
            (Local::Item, Some((item, _, _)), _) => Val::of(item),
            (Local::Index, Some((_, index, _)), _) => int(index),
            (Local::Key, Some((_, _, Some(key))), _) => Val::text(key),
            (Local::Iteration, _, Some((number, _))) => Val::Int(i64::from(number)),
            (Local::Previous, _, Some((_, previous))) => Val::of(previous),
            _ => Val::Null,
        }
    }

    fn values(&mut self, nodes: &'a [Node]) -> Result<Vec<Val<'a>>, Fault> {
        nodes.iter().map(|node| self.value(node)).collect()
    }

    fn truth(&mut self, node: &'a Node, taker: &str) -> Result<bool, Fault> {
        match self.value(node)? {
            Val::Bool(value) => Ok(value),
            other => {
                Fault::error(format!("'{taker}' takes a bool, but {} is {}", node.place(), other.described()))
            }
        }
    }

    fn field(&mut self, of: &'a Node, field: &'a str) -> Result<Val<'a>, Fault> {
        let map = match self.value(of)? {
            Val::Map(map) => map,
            Val::Optional(value) => return optional::field(value.as_deref(), field, of),
            Val::Null => {
                let place = of.place();
                let advice = advice(&place, &format!(".?{field}"));
                return Fault::error(format!("{place} is null and has no '{field}'{advice}"));
            }
            other => {
                return Fault::error(format!("{} is {} and has no '{field}'", of.place(), other.described()));
            }
        };
        let found = map.get(&Key::Text(field.into()));
        found.ok_or_else(|| {
            let place = of.place();
            let advice = advice(&place, &format!(".?{field}"));
            Fault::Error(format!("no such key '{field}' in {place}{advice}"))
        })
    }

    fn has(&mut self, of: &'a Node, field: &'a str) -> Result<Val<'a>, Fault> {
        match self.value(of)? {
            Val::Map(map) => Ok(Val::Bool(map.get(&Key::Text(field.into())).is_some())),
            Val::Null => Ok(Val::Bool(false)),
            Val::Optional(value) => match optional::field(value.as_deref(), field, of)? {
                Val::Optional(found) => Ok(Val::Bool(found.is_some())),
                other => Ok(other),
            },
            other => Fault::error(format!("{} is {} and has no fields", of.place(), other.described())),
        }
    }

    fn index(&mut self, of: &'a Node, index: &'a Node) -> Result<Val<'a>, Fault> {
        let container = self.value(of)?;
        let index = self.value(index)?;
        if let Val::Optional(value) = &container {
            return optional::index(value.as_deref(), &index, of);
        }
        look_up(&container, &index, of)?.ok_or_else(|| missing(&container, &index, of))
    }

    fn list(&mut self, items: &'a [Node]) -> Result<Val<'a>, Fault> {
        Ok(Val::list(self.values(items)?))
    }

    fn map(&mut self, entries: &'a [(Node, Node)]) -> Result<Val<'a>, Fault> {
        let mut map = BTreeMap::new();
        for (key, value) in entries {
            let key = self.value(key)?.key()?;
            let value = self.value(value)?;
            if map.insert(key, value).is_some() {
                return Fault::error("a map has the same key twice");
            }
        }
        Ok(Val::Map(Map::Made(map.into())))
    }

    fn negate(&mut self, of: &'a Node) -> Result<Val<'a>, Fault> {
        match self.value(of)? {
            Val::Int(int) => int
                .checked_neg()
                .map(Val::Int)
                .ok_or_else(|| Fault::Error(format!("-({int}) is out of the range of 64 bits"))),
            Val::Double(double) => Ok(Val::Double(-double)),
            other => Fault::error(format!("'-' does not take {}", other.described())),
        }
    }

    /// As in CEL, a side that decides the result makes an error on the other side harmless.
    fn logic(&mut self, and: bool, left: &'a Node, right: &'a Node) -> Result<Val<'a>, Fault> {
        let sign = if and { "&&" } else { "||" };
        let left = self.truth(left, sign);
        match left {
            Ok(value) if value != and => return Ok(Val::Bool(value)),
            Err(Fault::Cost | Fault::TooLarge) => return left.map(Val::Bool),
            _ => {}
        }
        match (left, self.truth(right, sign)) {
            (Err(error), Ok(right)) if right == and => Err(error),
            (Err(error), Err(Fault::Error(_))) => Err(error),
            (_, right) => right.map(Val::Bool),
        }
    }

    fn walk(&mut self, walk: &'a Loop) -> Result<Val<'a>, Fault> {
        let items = match self.value(&walk.range)? {
            Val::List(list) => list,
            Val::Map(map) => {
                self.meter.spend(map.len())?;
                List::Made(map.keys().iter().map(Key::to_val).collect())
            }
            other => {
                let place = walk.range.place();
                return Fault::error(format!(
                    "{place} is {}: only lists and maps have items",
                    other.described()
                ));
            }
        };
        self.variables.push(Val::Null);
        let result = match walk.kind {
            LoopKind::All => self.quantify(walk, &items, true),
            LoopKind::Exists => self.quantify(walk, &items, false),
            LoopKind::ExistsOne => self.exists_one(walk, &items),
            LoopKind::Map | LoopKind::Filter => self.collect(walk, &items),
        };
        self.variables.pop();
        result
    }

    fn bind(&mut self, item: Val<'a>) {
        if let Some(variable) = self.variables.last_mut() {
            *variable = item;
        }
    }

    fn quantify(&mut self, walk: &'a Loop, items: &List<'a>, all: bool) -> Result<Val<'a>, Fault> {
        let mut error = None;
        for item in items.iter() {
            self.bind(item);
            match self.truth(&walk.body, if all { "all" } else { "exists" }) {
                Ok(value) if value != all => return Ok(Val::Bool(value)),
                Ok(_) => {}
                Err(fault @ Fault::Error(_)) => error = error.or(Some(fault)),
                Err(fault) => return Err(fault),
            }
        }
        error.map_or(Ok(Val::Bool(all)), Err)
    }

    fn exists_one(&mut self, walk: &'a Loop, items: &List<'a>) -> Result<Val<'a>, Fault> {
        let mut count = 0_usize;
        for item in items.iter() {
            self.bind(item);
            count += usize::from(self.truth(&walk.body, "exists_one")?);
        }
        Ok(Val::Bool(count == 1))
    }

    fn collect(&mut self, walk: &'a Loop, items: &List<'a>) -> Result<Val<'a>, Fault> {
        let mut collected = Vec::new();
        for item in items.iter() {
            self.bind(item.clone());
            if let Some(filter) = &walk.filter
                && !self.truth(filter, "map")?
            {
                continue;
            }
            if walk.kind == LoopKind::Map {
                collected.push(self.value(&walk.body)?);
            } else if self.truth(&walk.body, "filter")? {
                collected.push(item);
            }
        }
        Ok(Val::list(collected))
    }
}

/// What stands at a place of a list or of a map, if anything does.
fn look_up<'a>(container: &Val<'a>, index: &Val<'a>, of: &Node) -> Result<Option<Val<'a>>, Fault> {
    match container {
        Val::List(list) => {
            let position = match index {
                Val::Int(int) => usize::try_from(*int).ok(),
                Val::Uint(uint) => usize::try_from(*uint).ok(),
                other => {
                    let kind = other.described();
                    return Fault::error(format!("{} is a list: {kind} is no place in it", of.place()));
                }
            };
            Ok(position.and_then(|position| list.get(position)))
        }
        Val::Map(map) => Ok(index.lookup_key()?.and_then(|key| map.get(&key))),
        other => Fault::error(format!("{} is {} and cannot be indexed", of.place(), other.described())),
    }
}

/// That nothing stands there.
fn missing(container: &Val<'_>, index: &Val<'_>, of: &Node) -> Fault {
    let (key, place) = (key_text(index), of.place());
    let advice = advice(&place, &format!("[?{key}]"));
    Fault::Error(match container {
        Val::List(list) => format!("no item [{key}] in {place}: it has {}{advice}", list.len()),
        _ => format!("no such key {key} in {place}{advice}"),
    })
}

/// The way out, in brackets.
fn advice(place: &str, link: &str) -> String {
    let place = if place.contains('…') { "" } else { place };
    format!(" (write {place}{link} if it may be missing)")
}

/// An index in a message.
fn key_text(index: &Val<'_>) -> String {
    match index {
        Val::Text(text) => format!("'{}'", text.as_str()),
        Val::Int(int) => int.to_string(),
        Val::Uint(uint) => uint.to_string(),
        Val::Double(double) => double.to_string(),
        Val::Bool(value) => value.to_string(),
        other => other.kind().to_owned(),
    }
}
