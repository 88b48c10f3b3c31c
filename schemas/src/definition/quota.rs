use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of things or a share of them: `3` or `75%`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Quota {
    /// So many.
    Count(u32),
    /// So many of a hundred, from 0 to 100.
    Percent(f64),
}

/// What a quota is written as, for messages.
const FORM: &str = "a whole number such as 3, or a share such as \"75%\"";

/// Why a text is not a quota.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a number nor a share: write {FORM}")]
pub struct QuotaError(String);

impl Quota {
    /// The least number that is as much as this of so many.
    #[must_use]
    pub fn at_least(self, of: usize) -> usize {
        match self {
            Self::Count(count) => usize::try_from(count).unwrap_or(usize::MAX),
            Self::Percent(percent) => whole((percent * of as f64 / 100.0).ceil()),
        }
    }

    /// The greatest number that is not more than this of so many.
    #[must_use]
    pub fn at_most(self, of: usize) -> usize {
        match self {
            Self::Count(count) => usize::try_from(count).unwrap_or(usize::MAX),
            Self::Percent(percent) => whole((percent * of as f64 / 100.0).floor()),
        }
    }
}

/// A number that has no fraction, and is not negative.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and not negative")]
fn whole(number: f64) -> usize {
    number as usize
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl FromStr for Quota {
    type Err = QuotaError;

    fn from_str(text: &str) -> Result<Self, QuotaError> {
        let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        match percent {
            Some(percent) if (0.0..=100.0).contains(&percent) => Ok(Self::Percent(percent)),
            _ => Err(QuotaError(text.to_owned())),
        }
    }
}

impl Serialize for Quota {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u32(*count),
            Self::Percent(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Quota {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Quota;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(FORM)
            }

            fn visit_u64<E: de::Error>(self, count: u64) -> Result<Quota, E> {
                u32::try_from(count).map(Quota::Count).map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quota, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for Quota {
    fn schema_name() -> Cow<'static, str> {
        "Quota".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of things or a share of them: `3` or `75%`.",
            "oneOf": [
                { "type": "integer", "minimum": 0, "maximum": u32::MAX },
                { "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? *%$" }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_towards_what_was_meant() {
        let half: Quota = "50%".parse().unwrap();
        assert_eq!((half.at_least(5), half.at_most(5)), (3, 2));
        assert_eq!((half.at_least(4), half.at_most(0)), (2, 0));
        assert_eq!((Quota::Count(3).at_least(2), Quota::Count(3).at_most(9)), (3, 3));
        let third: Quota = "33.3 %".parse().unwrap();
        assert_eq!((third.at_least(3), third.to_string().as_str()), (1, "33.3%"));
        for text in ["", "3", "%", "101%", "-1%", "NaN%", "half"] {
            assert!(text.parse::<Quota>().is_err(), "{text}");
        }
    }
}
