use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Number, Value};

use super::error::Fault;

/// A value of an expression. Data of the run is borrowed, and what an expression makes is shared, so a copy is
/// always cheap.
#[derive(Debug, Clone)]
pub(super) enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Text<'a>),
    List(List<'a>),
    Map(Map<'a>),
    Optional(Option<Arc<Val<'a>>>),
}

#[derive(Debug, Clone)]
pub(super) enum Text<'a> {
    Borrowed(&'a str),
    Shared(Arc<str>),
}

#[derive(Debug, Clone)]
pub(super) enum List<'a> {
    Json(&'a [Value]),
    Made(Arc<[Val<'a>]>),
}

#[derive(Debug, Clone)]
pub(super) enum Map<'a> {
    Json(&'a serde_json::Map<String, Value>),
    Made(Arc<BTreeMap<Key, Val<'a>>>),
}

/// A key of a map. Whole numbers of any type are the same key if they are the same number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Bool(bool),
    Number(i128),
    Text(Arc<str>),
}

impl<'a> Val<'a> {
    pub(super) fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::number(number),
            Value::String(text) => Self::Text(Text::Borrowed(text)),
            Value::Array(items) => Self::List(List::Json(items)),
            Value::Object(map) => Self::Map(Map::Json(map)),
        }
    }

    fn number(number: &Number) -> Self {
        if let Some(int) = number.as_i64() {
            Self::Int(int)
        } else if let Some(uint) = number.as_u64() {
            Self::Uint(uint)
        } else {
            // Every number of serde_json is one of the three.
            Self::Double(number.as_f64().unwrap_or(f64::NAN))
        }
    }

    pub(super) fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(Text::Shared(text.into()))
    }

    pub(super) fn list(items: Vec<Self>) -> Self {
        Self::List(List::Made(items.into()))
    }

    pub(super) fn optional(value: Option<Self>) -> Self {
        Self::Optional(value.map(Arc::new))
    }

    /// The name of the type in CEL.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Optional(_) => "optional",
        }
    }

    /// The kind in a sentence.
    pub(super) fn described(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a bool",
            Self::Int(_) => "an int",
            Self::Uint(_) => "a uint",
            Self::Double(_) => "a double",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Optional(_) => "an optional (add .orValue(…))",
        }
    }

    /// The key for a look-up. A double is the key of the whole number that it is worth, if it is one.
    pub(super) fn lookup_key(&self) -> Result<Option<Key>, Fault> {
        match self {
            #[expect(clippy::cast_possible_truncation, reason = "whole, and a saturated value is no key")]
            Self::Double(double) => Ok((double.fract() == 0.0).then_some(Key::Number(*double as i128))),
            other => other.key().map(Some),
        }
    }

    pub(super) fn key(&self) -> Result<Key, Fault> {
        Ok(match self {
            Self::Bool(value) => Key::Bool(*value),
            Self::Int(int) => Key::Number(i128::from(*int)),
            Self::Uint(uint) => Key::Number(i128::from(*uint)),
            Self::Text(text) => Key::Text(Arc::from(text.as_str())),
            other => return Fault::error(format!("{} cannot be a key of a map", other.described())),
        })
    }
}

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(items) => items.len(),
            Self::Made(items) => items.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Val<'a>> {
        match self {
            Self::Json(items) => items.get(index).map(Val::of),
            Self::Made(items) => items.get(index).cloned(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Val<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> Map<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(map) => map.len(),
            Self::Made(map) => map.len(),
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Val<'a>> {
        match (self, key) {
            (Self::Json(map), Key::Text(key)) => map.get(&**key).map(Val::of),
            (Self::Json(_), _) => None,
            (Self::Made(map), key) => map.get(key).cloned(),
        }
    }

    /// The keys in order, whatever order the data came in.
    pub(super) fn keys(&self) -> Vec<Key> {
        match self {
            Self::Json(map) => {
                let mut keys: Vec<Key> = map.keys().map(|key| Key::Text(Arc::from(key.as_str()))).collect();
                keys.sort_unstable();
                keys
            }
            Self::Made(map) => map.keys().cloned().collect(),
        }
    }
}

impl Key {
    pub(super) fn to_val<'a>(&self) -> Val<'a> {
        match self {
            Self::Bool(value) => Val::Bool(*value),
            Self::Number(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(int), _) => Val::Int(int),
                (_, Ok(uint)) => Val::Uint(uint),
                // A key is made of one of the two.
                _ => Val::Null,
            },
            Self::Text(text) => Val::Text(Text::Shared(Arc::clone(text))),
        }
    }
}

/// Turns values into JSON, up to a size and a depth.
pub(super) struct Writer {
    /// Bytes that may still come. Counted low (as if nothing needed escaping): it keeps memory bounded, the exact
    /// size is taken of the finished value.
    pub(super) bytes: usize,
}

/// Deepest nesting of a value. Readers of JSON commonly refuse more than 128, and an envelope stands around it.
pub(super) const MAX_VALUE_DEPTH: usize = mesh_schemas::MAX_DATA_DEPTH;

impl Writer {
    pub(super) fn write(&mut self, value: &Val<'_>, depth: usize) -> Result<Value, Fault> {
        if depth > MAX_VALUE_DEPTH {
            return Fault::error(format!("the value is nested deeper than {MAX_VALUE_DEPTH}"));
        }
        self.spend(1)?;
        Ok(match value {
            Val::Null => Value::Null,
            Val::Bool(value) => Value::Bool(*value),
            Val::Int(int) => Value::from(*int),
            Val::Uint(uint) => Value::from(*uint),
            Val::Double(double) => match Number::from_f64(*double) {
                Some(number) => Value::Number(number),
                None => {
                    return Fault::error(format!("the result {double} is not a number that JSON can hold"));
                }
            },
            Val::Optional(None) => Value::Null,
            Val::Optional(Some(value)) => self.write(value, depth)?,
            Val::Text(text) => {
                self.spend(text.as_str().len())?;
                Value::String(text.as_str().to_owned())
            }
            Val::List(list) => {
                Value::Array(list.iter().map(|item| self.write(&item, depth + 1)).collect::<Result<_, _>>()?)
            }
            Val::Map(map) => {
                let mut object = serde_json::Map::new();
                for key in map.keys() {
                    let Key::Text(name) = &key else {
                        return Fault::error("a key of an object in JSON must be a string: use string(…)");
                    };
                    self.spend(name.len())?;
                    if let Some(value) = map.get(&key) {
                        object.insert(name.to_string(), self.write(&value, depth + 1)?);
                    }
                }
                Value::Object(object)
            }
        })
    }

    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), Fault> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(Fault::TooLarge)?;
        Ok(())
    }
}
