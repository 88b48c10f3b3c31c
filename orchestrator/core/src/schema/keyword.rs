use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Number, Value};

/// Place of a schema among all that a schema is made of.
pub(super) type Place = usize;

/// What a schema asks for.
#[derive(Debug)]
pub(super) enum Rules {
    /// `false`: nothing follows it.
    Nothing,
    /// All of these; none for `true`.
    All(Vec<Keyword>),
}

/// One thing that a schema asks for.
#[derive(Debug)]
pub(super) enum Keyword {
    Type(Vec<Type>),
    Enum(Vec<Value>),
    Const(Value),
    Minimum(Number),
    ExclusiveMinimum(Number),
    Maximum(Number),
    ExclusiveMaximum(Number),
    MultipleOf(Number),
    /// Lengths of texts, in characters.
    Length(Bounds),
    Pattern(Regex),
    /// How many items a list has.
    Items(Bounds),
    UniqueItems,
    /// `prefixItems` and `items`.
    Each {
        first: Vec<Place>,
        rest: Option<Place>,
    },
    Contains {
        item: Place,
        count: Bounds,
    },
    /// How many keys an object has.
    Keys(Bounds),
    Required(Vec<String>),
    Properties(Properties),
    PropertyNames(Place),
    DependentRequired(BTreeMap<String, Vec<String>>),
    DependentSchemas(BTreeMap<String, Place>),
    Ref(Place),
    AllOf(Vec<Place>),
    AnyOf(Vec<Place>),
    OneOf(Vec<Place>),
    Not(Place),
    If {
        condition: Place,
        then: Option<Place>,
        otherwise: Option<Place>,
    },
}

/// `properties`, `patternProperties` and `additionalProperties`.
#[derive(Debug, Default)]
pub(super) struct Properties {
    pub(super) named: BTreeMap<String, Place>,
    pub(super) patterns: Vec<(Regex, Place)>,
    pub(super) others: Option<Place>,
}

/// How many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) least: usize,
    pub(super) most: Option<usize>,
}

impl Bounds {
    pub(super) fn hold(self, count: usize) -> bool {
        count >= self.least && self.most.is_none_or(|most| count <= most)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Array,
    Boolean,
    Integer,
    Null,
    Number,
    Object,
    String,
}

impl Type {
    pub(super) const NAMES: [(&'static str, Self); 7] = [
        ("array", Self::Array),
        ("boolean", Self::Boolean),
        ("integer", Self::Integer),
        ("null", Self::Null),
        ("number", Self::Number),
        ("object", Self::Object),
        ("string", Self::String),
    ];

    /// Whether a value is of the type. A number without a fraction is an integer, however it is written.
    pub(super) fn holds(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Array, Value::Array(_))
            | (Self::Boolean, Value::Bool(_))
            | (Self::Null, Value::Null)
            | (Self::Number, Value::Number(_))
            | (Self::Object, Value::Object(_))
            | (Self::String, Value::String(_)) => true,
            (Self::Integer, Value::Number(number)) => {
                number.is_i64()
                    || number.is_u64()
                    || number.as_f64().is_some_and(|double| double.fract() == 0.0)
            }
            _ => false,
        }
    }
}
