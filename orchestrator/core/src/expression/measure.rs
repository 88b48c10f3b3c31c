use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How good and how fast something was done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Quality from 0 to 1, if the agent said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<f64>,
    /// Time from when it began to when its outcome was stored, in milliseconds.
    pub millis: u64,
    /// Place in the log of the event with which it was done.
    pub order: u64,
}

/// The measures of a task that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Measures {
    /// It was done once.
    One(Measure),
    /// Those of its items that went well.
    Items(BTreeMap<usize, Measure>),
}

impl Measures {
    /// The quality of the whole, if it has one.
    #[must_use]
    pub(super) fn quality(&self) -> Option<f64> {
        match self {
            Self::One(measure) => measure.quality,
            Self::Items(_) => None,
        }
    }
}
