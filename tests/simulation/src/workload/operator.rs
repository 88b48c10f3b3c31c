use std::cmp::Ordering;

use serde_json::Value;

use super::expression::NoValue;

/// An operator whose two sides are always evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of arithmetic")]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Operator {
    pub(super) fn apply(self, left: &Value, right: &Value) -> Result<Value, NoValue> {
        match self {
            Self::Equal => return Ok((left == right).into()),
            Self::Unequal => return Ok((left != right).into()),
            _ => {}
        }
        if let (Some(a), Some(b)) = (left.as_i64(), right.as_i64()) {
            return match self {
                Self::Add => a.checked_add(b).map(Value::from),
                Self::Subtract => a.checked_sub(b).map(Value::from),
                Self::Multiply => a.checked_mul(b).map(Value::from),
                Self::Divide => a.checked_div(b).map(Value::from),
                Self::Remainder => a.checked_rem(b).map(Value::from),
                _ => self.compare(&a, &b),
            }
            .ok_or(NoValue);
        }
        match (left, right) {
            (Value::String(a), Value::String(b)) if self == Self::Add => Ok(format!("{a}{b}").into()),
            (Value::Array(a), Value::Array(b)) if self == Self::Add => Ok([a.as_slice(), b].concat().into()),
            (Value::String(a), Value::String(b)) => self.compare(a, b).ok_or(NoValue),
            (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
                let (a, b) = (a.as_f64().ok_or(NoValue)?, b.as_f64().ok_or(NoValue)?);
                self.ordered(a.partial_cmp(&b).ok_or(NoValue)?).ok_or(NoValue)
            }
            (Value::Bool(a), Value::Bool(b)) => self.compare(a, b).ok_or(NoValue),
            _ => Err(NoValue),
        }
    }

    fn compare<T: Ord>(self, a: &T, b: &T) -> Option<Value> {
        self.ordered(a.cmp(b))
    }

    fn ordered(self, order: Ordering) -> Option<Value> {
        Some(Value::Bool(match self {
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::AtLeast => order.is_ge(),
            _ => return None,
        }))
    }

    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }
}
