//! Numbers of JSON, compared by what they are worth.

use std::cmp::Ordering;

use serde_json::{Number, Value};

pub(super) use crate::expression::compare_numbers as compare;

/// Whether a number is a whole number of times another, both taken as they are written in decimals.
pub(super) fn is_multiple(number: &Number, of: &Number) -> bool {
    match (Decimal::of(number), Decimal::of(of)) {
        (Some(number), Some(of)) => number.is_multiple(of),
        // Beyond what can be told exactly.
        _ => match (number.as_f64(), of.as_f64()) {
            (Some(number), Some(of)) => (number / of).fract() == 0.0,
            _ => false,
        },
    }
}

/// Equality of JSON Schema: numbers by what they are worth, whatever order the keys come in.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare(a, b) == Some(Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

/// A number as digits and a power of ten.
#[derive(Clone, Copy)]
struct Decimal {
    digits: i128,
    power: i32,
}

impl Decimal {
    fn of(number: &Number) -> Option<Self> {
        let text = number.to_string();
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text.as_str(), 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}").parse().ok()?;
        Some(Self { digits, power: exponent.checked_sub(i32::try_from(fraction.len()).ok()?)? })
    }

    fn is_multiple(self, of: Self) -> bool {
        if of.digits == 0 {
            return false;
        }
        if self.digits == 0 {
            return true;
        }
        let power = self.power.min(of.power);
        match (self.at(power), of.at(power)) {
            (Some(number), Some(of)) => number % of == 0,
            // One is larger than the other by more than can be held: 10⁻³⁰⁰ is no multiple of 1, and 10³⁰⁰ is taken for one.
            (None, _) => true,
            (_, None) => false,
        }
    }

    /// The digits with a smaller power of ten.
    fn at(self, power: i32) -> Option<i128> {
        let more = u32::try_from(self.power.checked_sub(power)?).ok()?;
        10_i128.checked_pow(more)?.checked_mul(self.digits)
    }
}
