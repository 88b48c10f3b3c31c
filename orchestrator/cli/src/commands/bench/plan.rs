//! What a round measures, and with what.

use std::time::Duration;

use serde::Serialize;

use super::telemetry::Telemetry;
use super::workload::Workload;

/// What is measured.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) subject: Subject,
    pub(super) workload: Workload,
    /// Bytes of text in the input of a run.
    pub(super) payload: u32,
    pub(super) in_flight: u32,
    pub(super) rate: Option<Rate>,
    pub(super) length: Length,
    pub(super) orchestrators: u32,
    pub(super) agents: u32,
    /// Tasks that each agent does at once, of each capability.
    pub(super) agent_capacity: u32,
    pub(super) capabilities: u32,
    /// Runs that are open and wait all the while.
    pub(super) idle_runs: u32,
    /// Whether each write is on the disk before it is confirmed.
    pub(super) is_durable: bool,
    /// Whether all but the server is in this process.
    pub(super) in_process: bool,
    pub(super) telemetry: Telemetry,
}

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Subject {
    /// Orchestrators and agents.
    Mesh,
    /// The bare loop with the same writes.
    Floor,
}

/// How long a round is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Length {
    Time(Duration),
    Runs(usize),
}

/// How many runs are asked for, however many are under way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rate {
    /// So many each second.
    PerSecond(f64),
    /// This part of what was done during the warm-up, in which so many are under way at a time as is said.
    OfMost(f64),
}

impl Plan {
    /// Runs under way at a time: no more than there are.
    pub(super) fn in_flight(&self) -> usize {
        let in_flight = self.in_flight as usize;
        match self.length {
            Length::Runs(runs) => in_flight.min(runs),
            Length::Time(_) => in_flight,
        }
    }

    /// Runs asked for each second, if that is said, where so many were done at most.
    pub(super) fn pace(&self, most: f64) -> Option<f64> {
        self.rate.map(|rate| match rate {
            Rate::PerSecond(runs) => runs,
            Rate::OfMost(part) => most * part,
        })
    }
}

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number =
            |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
        let rate = match text.strip_suffix('%') {
            Some(part) => number(part).filter(|part| *part <= 100.0).map(|part| Self::OfMost(part / 100.0)),
            None => number(text).map(Self::PerSecond),
        };
        rate.ok_or_else(|| "use a number of runs each second, such as 500, or a part such as 50%".to_owned())
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PerSecond(runs) => write!(formatter, "{runs} runs/s"),
            Self::OfMost(part) => write!(formatter, "{}% of the most runs/s", part * 100.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_or_a_part() {
        assert_eq!("500".parse(), Ok(Rate::PerSecond(500.0)));
        assert_eq!("50%".parse(), Ok(Rate::OfMost(0.5)));
        for wrong in ["", "0", "-1", "101%", "inf", "NaN", "half"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }
}
