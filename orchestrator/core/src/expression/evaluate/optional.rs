//! What optionals give.

use std::collections::BTreeMap;

use super::{Evaluator, look_up};
use crate::expression::error::Fault;
use crate::expression::node::Node;
use crate::expression::optional::Optional;
use crate::expression::value::{Key, Map, Val};

impl<'a> Evaluator<'a, '_> {
    pub(super) fn optional(&mut self, form: &'a Optional) -> Result<Val<'a>, Fault> {
        match form {
            Optional::Field(of, name) => match self.value(of)? {
                Val::Optional(value) => field(value.as_deref(), name, of),
                value => field(Some(&value), name, of),
            },
            Optional::Index(of, place) => {
                let (container, place) = (self.value(of)?, self.value(place)?);
                match &container {
                    Val::Optional(value) => index(value.as_deref(), &place, of),
                    value => index(Some(value), &place, of),
                }
            }
            Optional::None => Ok(Val::optional(None)),
            Optional::Of(of) => Ok(Val::optional(Some(self.value(of)?))),
            Optional::OfNonZero(of) => {
                let value = self.value(of)?;
                Ok(Val::optional((!is_zero(&value)).then_some(value)))
            }
            Optional::HasValue(of) => Ok(Val::Bool(self.held(of, "hasValue(…)")?.is_some())),
            Optional::Value(of) => self.held(of, "value()")?.ok_or_else(|| {
                Fault::Error(format!("{} has no value: write .orValue(…) instead of .value()", of.place()))
            }),
            Optional::Or(of, other) => match self.held(of, "or(…)")? {
                Some(value) => Ok(Val::optional(Some(value))),
                None => Ok(Val::optional(self.held(other, "or(…)")?)),
            },
            Optional::OrValue(of, other) => match self.held(of, "orValue(…)")? {
                Some(value) => Ok(value),
                None => self.value(other),
            },
            Optional::Map(of, body) => match self.held(of, "optMap(…)")? {
                Some(value) => Ok(Val::optional(Some(self.bound(value, body)?))),
                None => Ok(Val::optional(None)),
            },
            Optional::FlatMap(of, body) => match self.held(of, "optFlatMap(…)")? {
                Some(value) => match self.bound(value, body)? {
                    optional @ Val::Optional(_) => Ok(optional),
                    other => Fault::error(format!(
                        "optFlatMap(…) takes an expression that gives an optional, not {}: write optMap",
                        other.described()
                    )),
                },
                None => Ok(Val::optional(None)),
            },
            Optional::List(items) => self.marked_list(items),
            Optional::Object(entries) => self.marked_map(entries),
        }
    }

    /// What an optional holds.
    fn held(&mut self, of: &'a Node, taker: &str) -> Result<Option<Val<'a>>, Fault> {
        match self.value(of)? {
            Val::Optional(value) => Ok(value.as_deref().cloned()),
            other => Fault::error(format!(
                "{taker} is for optionals, and {} is {}: write .? before what may be missing",
                of.place(),
                other.described()
            )),
        }
    }

    /// The value of an expression in which a name stands for a value.
    fn bound(&mut self, value: Val<'a>, body: &'a Node) -> Result<Val<'a>, Fault> {
        self.variables.push(value);
        let result = self.value(body);
        self.variables.pop();
        result
    }

    fn marked_list(&mut self, items: &'a [(bool, Node)]) -> Result<Val<'a>, Fault> {
        let mut list = Vec::with_capacity(items.len());
        for (is_marked, item) in items {
            if *is_marked {
                list.extend(self.held(item, "? before an item")?);
            } else {
                list.push(self.value(item)?);
            }
        }
        Ok(Val::list(list))
    }

    fn marked_map(&mut self, entries: &'a [(bool, Node, Node)]) -> Result<Val<'a>, Fault> {
        let mut map = BTreeMap::new();
        for (is_marked, key, value) in entries {
            let key = self.value(key)?.key()?;
            let value =
                if *is_marked { self.held(value, "? before a key")? } else { Some(self.value(value)?) };
            if let Some(value) = value
                && map.insert(key, value).is_some()
            {
                return Fault::error("a map has the same key twice");
            }
        }
        Ok(Val::Map(Map::Made(map.into())))
    }
}

/// A field that may be missing, of a value that may be missing. As elsewhere, null has no fields.
pub(super) fn field<'a>(value: Option<&Val<'a>>, name: &str, of: &Node) -> Result<Val<'a>, Fault> {
    match value {
        None | Some(Val::Null) => Ok(Val::optional(None)),
        Some(Val::Map(map)) => Ok(Val::optional(map.get(&Key::Text(name.into())))),
        Some(Val::Optional(value)) => field(value.as_deref(), name, of),
        Some(other) => Fault::error(format!("{} is {} and has no '{name}'", of.place(), other.described())),
    }
}

/// A place that may be missing, in a value that may be missing.
pub(super) fn index<'a>(value: Option<&Val<'a>>, place: &Val<'a>, of: &Node) -> Result<Val<'a>, Fault> {
    match value {
        None | Some(Val::Null) => Ok(Val::optional(None)),
        Some(Val::Optional(value)) => index(value.as_deref(), place, of),
        Some(container) => look_up(container, place, of).map(Val::optional),
    }
}

/// Whether a value is the zero of its type.
fn is_zero(value: &Val<'_>) -> bool {
    match value {
        Val::Null | Val::Bool(false) | Val::Int(0) | Val::Uint(0) => true,
        Val::Double(double) => *double == 0.0,
        Val::Text(text) => text.as_str().is_empty(),
        Val::List(list) => list.len() == 0,
        Val::Map(map) => map.len() == 0,
        Val::Optional(value) => value.is_none(),
        Val::Bool(true) | Val::Int(_) | Val::Uint(_) => false,
    }
}
