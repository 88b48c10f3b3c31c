use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest span: a hundred years, so that adding one to any real time cannot overflow.
const MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It is not written as one.
    #[error("{0:?} is not a duration: write a number with a unit, such as 500ms, 30s, 5m, 2h, 1d or 1h 30m")]
    Malformed(String),
    /// It is longer than a hundred years.
    #[error("{0:?} is too long: a duration may be 36500d (a hundred years) at most")]
    TooLong(String),
    /// It has a part that is shorter than a millisecond.
    #[error("{0:?} is too fine: a duration is a whole number of milliseconds, such as 1ms")]
    TooFine(String),
}

/// A length of time, written with units: `500ms`, `30s`, `1h 30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Span(#[schemars(with = "String", example = "1h 30m")] Duration);

impl Span {
    /// A span of whole seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// A span of whole milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The span for the standard library.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }

    /// Whole milliseconds.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl FromStr for Span {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        match humantime::parse_duration(text) {
            Ok(duration) if duration > MAX => Err(DurationError::TooLong(text.to_owned())),
            Ok(duration) if duration.subsec_nanos() % 1_000_000 != 0 => {
                Err(DurationError::TooFine(text.to_owned()))
            }
            Ok(duration) => Ok(Self(duration)),
            Err(humantime::DurationError::NumberOverflow) => Err(DurationError::TooLong(text.to_owned())),
            Err(_) => Err(DurationError::Malformed(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Span {
    type Error = DurationError;

    fn try_from(text: String) -> Result<Self, DurationError> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}
