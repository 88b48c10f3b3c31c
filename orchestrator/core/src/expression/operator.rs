use std::cmp::Ordering;

use cel::common::ast::operators as cel;

use super::error::Fault;
use super::evaluate::Meter;
use super::value::{List, Map, Val};
use serde_json::{Number, Value};

/// An operator with two operands of which both are always evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
}

impl Operator {
    /// The operator that the parser names so.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            cel::ADD => Self::Add,
            cel::SUBSTRACT => Self::Subtract,
            cel::MULTIPLY => Self::Multiply,
            cel::DIVIDE => Self::Divide,
            cel::MODULO => Self::Remainder,
            cel::EQUALS => Self::Equal,
            cel::NOT_EQUALS => Self::NotEqual,
            cel::LESS => Self::Less,
            cel::LESS_EQUALS => Self::LessEqual,
            cel::GREATER => Self::Greater,
            cel::GREATER_EQUALS => Self::GreaterEqual,
            cel::IN => Self::In,
            _ => return None,
        })
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::In => "in",
        }
    }

    pub(super) fn apply<'a>(
        self,
        left: &Val<'a>,
        right: &Val<'a>,
        meter: &mut Meter,
    ) -> Result<Val<'a>, Fault> {
        let truth = match self {
            Self::Equal => equal(left, right, meter)?,
            Self::NotEqual => !equal(left, right, meter)?,
            Self::Less => self.order(left, right, meter)?.is_some_and(Ordering::is_lt),
            Self::LessEqual => self.order(left, right, meter)?.is_some_and(Ordering::is_le),
            Self::Greater => self.order(left, right, meter)?.is_some_and(Ordering::is_gt),
            Self::GreaterEqual => self.order(left, right, meter)?.is_some_and(Ordering::is_ge),
            Self::In => self.contained(left, right, meter)?,
            _ => return self.compute(left, right, meter),
        };
        Ok(Val::Bool(truth))
    }

    fn compute<'a>(self, left: &Val<'a>, right: &Val<'a>, meter: &mut Meter) -> Result<Val<'a>, Fault> {
        match (left, right) {
            (Val::Int(a), Val::Int(b)) => self.ints(*a, *b),
            (Val::Uint(a), Val::Uint(b)) => self.uints(*a, *b),
            (Val::Double(a), Val::Double(b)) if self != Self::Remainder => {
                Ok(Val::Double(self.doubles(*a, *b)))
            }
            (Val::Text(a), Val::Text(b)) if self == Self::Add => {
                let text = [a.as_str(), b.as_str()].concat();
                meter.spend_text(&text)?;
                Ok(Val::text(text))
            }
            (Val::List(a), Val::List(b)) if self == Self::Add => {
                meter.spend(a.len() + b.len())?;
                Ok(Val::list(a.iter().chain(b.iter()).collect()))
            }
            _ => self.refuse(left, right),
        }
    }

    fn ints<'a>(self, a: i64, b: i64) -> Result<Val<'a>, Fault> {
        let result = match self {
            Self::Add => a.checked_add(b),
            Self::Subtract => a.checked_sub(b),
            Self::Multiply => a.checked_mul(b),
            _ if b == 0 => return Fault::error(format!("{a} {} 0: division by zero", self.sign())),
            Self::Divide => a.checked_div(b),
            _ => a.checked_rem(b),
        };
        result.map(Val::Int).ok_or_else(|| self.overflow(a, b))
    }

    fn uints<'a>(self, a: u64, b: u64) -> Result<Val<'a>, Fault> {
        let result = match self {
            Self::Add => a.checked_add(b),
            Self::Subtract => a.checked_sub(b),
            Self::Multiply => a.checked_mul(b),
            _ if b == 0 => return Fault::error(format!("{a} {} 0: division by zero", self.sign())),
            Self::Divide => a.checked_div(b),
            _ => a.checked_rem(b),
        };
        result.map(Val::Uint).ok_or_else(|| self.overflow(a, b))
    }

    fn doubles(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            _ => a / b,
        }
    }

    fn overflow(self, a: impl std::fmt::Display, b: impl std::fmt::Display) -> Fault {
        Fault::Error(format!("{a} {} {b} is out of the range of 64 bits", self.sign()))
    }

    /// `None` if one is not a number at all, so that every comparison is false.
    fn order(self, left: &Val<'_>, right: &Val<'_>, meter: &mut Meter) -> Result<Option<Ordering>, Fault> {
        match (left, right) {
            (Val::Text(a), Val::Text(b)) => {
                let (a, b) = (a.as_str(), b.as_str());
                meter.spend_text(if a.len() < b.len() { a } else { b })?;
                Ok(Some(a.cmp(b)))
            }
            (Val::Bool(a), Val::Bool(b)) => Ok(Some(a.cmp(b))),
            _ if is_number(left) && is_number(right) => Ok(compare(left, right)),
            _ => self.refuse(left, right),
        }
    }

    fn contained(self, item: &Val<'_>, of: &Val<'_>, meter: &mut Meter) -> Result<bool, Fault> {
        match of {
            Val::List(list) => {
                for other in list.iter() {
                    if equal(item, &other, meter)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Val::Map(map) => Ok(item.lookup_key()?.is_some_and(|key| map.get(&key).is_some())),
            _ => self.refuse(item, of),
        }
    }

    fn refuse<T>(self, left: &Val<'_>, right: &Val<'_>) -> Result<T, Fault> {
        let sign = self.sign();
        let (a, b) = (left.kind(), right.kind());
        let advice = match (left, right) {
            (Val::Optional(_), _) | (_, Val::Optional(_)) => ": add .orValue(…) to the optional",
            (Val::Double(_), Val::Int(_) | Val::Uint(_)) | (Val::Int(_) | Val::Uint(_), Val::Double(_)) => {
                if self == Self::Remainder {
                    ": wrap the other number in int(…)"
                } else {
                    ": wrap the whole number in double(…)"
                }
            }
            (Val::Int(_), Val::Uint(_)) | (Val::Uint(_), Val::Int(_)) => {
                ": wrap one of them in int(…) or uint(…)"
            }
            (Val::Text(_), _) | (_, Val::Text(_)) if self == Self::Add => {
                ": wrap the other value in string(…)"
            }
            _ => "",
        };
        Fault::error(format!("'{sign}' does not take {a} and {b}{advice}"))
    }
}

fn is_number(value: &Val<'_>) -> bool {
    matches!(value, Val::Int(_) | Val::Uint(_) | Val::Double(_))
}

/// Equality of CEL: numbers by what they are worth whatever their type, lists and maps part by part; values of
/// different kinds are never equal.
pub(super) fn equal(left: &Val<'_>, right: &Val<'_>, meter: &mut Meter) -> Result<bool, Fault> {
    meter.spend(1)?;
    Ok(match (left, right) {
        (Val::Null, Val::Null) => true,
        (Val::Bool(a), Val::Bool(b)) => a == b,
        (Val::Text(a), Val::Text(b)) => {
            let (a, b) = (a.as_str(), b.as_str());
            a.len() == b.len() && {
                meter.spend_text(a)?;
                a == b
            }
        }
        (Val::List(a), Val::List(b)) => equal_lists(a, b, meter)?,
        (Val::Map(a), Val::Map(b)) => equal_maps(a, b, meter)?,
        (Val::Optional(Some(a)), Val::Optional(Some(b))) => equal(a, b, meter)?,
        (Val::Optional(a), Val::Optional(b)) => a.is_none() && b.is_none(),
        _ if is_number(left) && is_number(right) => compare(left, right) == Some(Ordering::Equal),
        _ => false,
    })
}

fn equal_lists(a: &List<'_>, b: &List<'_>, meter: &mut Meter) -> Result<bool, Fault> {
    if a.len() != b.len() {
        return Ok(false);
    }
    for (a, b) in a.iter().zip(b.iter()) {
        if !equal(&a, &b, meter)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn equal_maps(a: &Map<'_>, b: &Map<'_>, meter: &mut Meter) -> Result<bool, Fault> {
    if a.len() != b.len() {
        return Ok(false);
    }
    for key in a.keys() {
        match (a.get(&key), b.get(&key)) {
            (Some(a), Some(b)) if equal(&a, &b, meter)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// Compares numbers of JSON without rounding.
pub(crate) fn compare_numbers(a: &Number, b: &Number) -> Option<Ordering> {
    compare(&Val::of(&Value::Number(a.clone())), &Val::of(&Value::Number(b.clone())))
}

/// Compares numbers of any types without rounding.
fn compare(left: &Val<'_>, right: &Val<'_>) -> Option<Ordering> {
    match (left, right) {
        (Val::Double(a), Val::Double(b)) => a.partial_cmp(b),
        (Val::Double(a), _) => compare_whole(whole(right)?, *a).map(Ordering::reverse),
        (_, Val::Double(b)) => compare_whole(whole(left)?, *b),
        _ => Some(whole(left)?.cmp(&whole(right)?)),
    }
}

fn whole(value: &Val<'_>) -> Option<i128> {
    match value {
        Val::Int(int) => Some(i128::from(*int)),
        Val::Uint(uint) => Some(i128::from(*uint)),
        _ => None,
    }
}

fn compare_whole(whole: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // The cast saturates, and its range is far wider than that of the whole numbers here.
    #[expect(clippy::cast_possible_truncation, reason = "the fraction is compared below")]
    let floor = double.floor() as i128;
    Some(whole.cmp(&floor).then(if double > double.floor() { Ordering::Less } else { Ordering::Equal }))
}
