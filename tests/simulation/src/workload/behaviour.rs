use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

/// What an agent does with one attempt, every time that the attempt is given to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Behaviour {
    /// How long it takes, without regard to any timeout.
    pub takes: Duration,
    /// How it ends.
    pub ending: Ending,
    /// How good it says that its output is, in hundredths.
    pub quality: Option<u32>,
}

/// How the execution of an attempt ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// With an output.
    Returns(Answer),
    /// With an error.
    Fails {
        /// Its code.
        code: &'static str,
        /// Whether another attempt may go better.
        retryable: bool,
        /// How long the next attempt is to wait at least, in whole milliseconds.
        retry_after: Option<Duration>,
    },
    /// With a panic of the handler.
    Panics,
    /// Not before it is told to stop.
    Hangs,
}

/// What an agent returns: a function of the input it was given, so that outputs show whether data reached the right place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The input.
    Echo,
    /// An object with a number, a text and a truth value, made of the input and of this number.
    Object(u32),
    /// A whole number, made likewise.
    Number(u32),
    /// A text, made likewise.
    Text(u32),
    /// Nothing.
    Null,
}

impl Behaviour {
    /// What an agent does with an attempt of which nothing else is said: it succeeds at once.
    pub const PLAIN: Self =
        Self { takes: Duration::ZERO, ending: Ending::Returns(Answer::Object(0)), quality: None };

    /// How good it says that its output is, from 0 to 1.
    #[must_use]
    pub fn quality(&self) -> Option<f64> {
        self.quality.map(|hundredths| f64::from(hundredths) / 100.0)
    }
}

impl Answer {
    /// The output for an input.
    #[must_use]
    pub fn to(self, input: &Value) -> Value {
        match self {
            Self::Echo => input.clone(),
            Self::Object(salt) => {
                let hash = hash(salt, input);
                json!({ "n": hash % 10, "text": text(hash), "ok": !hash.is_multiple_of(3) })
            }
            Self::Number(salt) => (hash(salt, input) % 10).into(),
            Self::Text(salt) => text(hash(salt, input)).into(),
            Self::Null => Value::Null,
        }
    }
}

fn text(hash: u64) -> String {
    format!("t{:03x}", hash >> 8 & 0xfff)
}

/// FNV-1a of a number and the canonical text of a value.
fn hash(salt: u32, input: &Value) -> u64 {
    let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let start = salt.to_be_bytes().iter().fold(0xcbf2_9ce4_8422_2325, hash);
    let full = input.to_string().as_bytes().iter().fold(start, hash);
    // Low bits of FNV are weak.
    full ^ full >> 29
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.takes.is_zero() {
            write!(f, "after {} ms ", self.takes.as_millis())?;
        }
        match &self.ending {
            Ending::Returns(answer) => {
                write!(f, "returns {answer:?}")?;
                self.quality.map_or(Ok(()), |quality| write!(f, " of quality {quality} %"))
            }
            Ending::Fails { code, retryable, retry_after } => {
                write!(f, "fails with {code}, {}", if *retryable { "retryable" } else { "fatal" })?;
                match retry_after {
                    Some(pause) => write!(f, ", retry after {} ms", pause.as_millis()),
                    None => Ok(()),
                }
            }
            Ending::Panics => f.write_str("panics"),
            Ending::Hangs => f.write_str("hangs"),
        }
    }
}
