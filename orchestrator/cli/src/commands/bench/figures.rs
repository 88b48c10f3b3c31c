//! What is measured, and what follows from several rounds of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::report::Setting;

/// One thing that is measured, in the order in which it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Measure {
    RunsPerSecond,
    TasksPerSecond,
    RunMsP50,
    RunMsP90,
    RunMsP99,
    #[serde(rename = "run_ms_p99_9")]
    RunMsP999,
    #[serde(rename = "run_p99_to_p50")]
    Tail,
    TaskMs,
    WritesPerTask,
    BytesPerTask,
    #[serde(rename = "cpu_s_per_1000_tasks_server")]
    ServerCpu,
    #[serde(rename = "cpu_s_per_1000_tasks_orchestrator")]
    OrchestratorCpu,
    #[serde(rename = "cpu_s_per_1000_tasks_agents")]
    AgentsCpu,
    #[serde(rename = "cpu_s_per_1000_tasks_load")]
    LoadCpu,
    #[serde(rename = "cpu_s_per_1000_tasks_collector")]
    CollectorCpu,
    #[serde(rename = "peak_bytes_server")]
    ServerMemory,
    #[serde(rename = "peak_bytes_orchestrator")]
    OrchestratorMemory,
    #[serde(rename = "peak_bytes_agents")]
    AgentsMemory,
    #[serde(rename = "orchestrator_bytes_per_idle_run")]
    IdleRunMemory,
}

/// A figure over several rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

/// What was measured of one thing.
#[derive(Debug, Serialize)]
pub(super) struct Variant {
    pub(super) name: String,
    pub(super) setting: Setting,
    pub(super) figures: BTreeMap<Measure, Spread>,
    /// Compared with another variant, round by round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ratio: Option<Ratio>,
}

/// How a variant stands to another; 1 is the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Ratio {
    /// The name of the other.
    pub(super) to: String,
    pub(super) throughput: Spread,
    pub(super) run_ms_p50: Spread,
    /// Of the p99 to the p50.
    pub(super) run_p99_to_p50: Spread,
}

/// What was measured of one thing in each round.
pub(super) type Rounds = Vec<BTreeMap<Measure, f64>>;

/// What follows from all rounds of a variant.
pub(super) fn over(rounds: &Rounds) -> BTreeMap<Measure, Spread> {
    let known = rounds.iter().flat_map(BTreeMap::keys).copied();
    let of = |measure| {
        let values = rounds.iter().filter_map(|round| round.get(&measure).copied()).collect();
        Some((measure, spread(values)?))
    };
    known.filter_map(of).collect()
}

impl Ratio {
    /// Rounds beside those of another.
    pub(super) fn new(own: &Rounds, to: &str, other: &Rounds) -> Option<Self> {
        let of = |measure| {
            let pairs = own.iter().zip(other);
            let ratios = pairs.filter_map(|(own, other)| Some(own.get(&measure)? / other.get(&measure)?));
            spread(ratios.filter(|ratio| ratio.is_finite()).collect())
        };
        Some(Self {
            to: to.to_owned(),
            throughput: of(Measure::TasksPerSecond)?,
            run_ms_p50: of(Measure::RunMsP50)?,
            run_p99_to_p50: of(Measure::Tail)?,
        })
    }
}

/// Median, least and most; `None` of nothing.
pub(super) fn spread(mut values: Vec<f64>) -> Option<Spread> {
    values.sort_by(f64::total_cmp);
    let (least, most) = (*values.first()?, *values.last()?);
    let middle = values.len() / 2;
    let median = if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    };
    Some(Spread { median, least, most })
}

/// The value that this part, from 0 to 1, of sorted values does not exceed, in milliseconds: the nearest rank.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a list"
)]
pub(super) fn quantile_ms(sorted: &[Duration], part: f64) -> f64 {
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).map_or(0.0, |value| value.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_told_by_the_middle_and_both_ends() {
        assert_eq!(spread(vec![]), None);
        assert_eq!(spread(vec![3.0, 1.0, 2.0]), Some(Spread { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(spread(vec![4.0, 1.0, 2.0, 3.0]).map(|spread| spread.median), Some(2.5));
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let sorted: Vec<Duration> = (1..=1_000).map(Duration::from_millis).collect();
        let told = [0.5, 0.9, 0.99, 0.999, 1.0].map(|part| quantile_ms(&sorted, part));
        assert_eq!(told, [500.0, 900.0, 990.0, 999.0, 1_000.0]);
        assert_eq!(quantile_ms(&sorted[..1], 0.999), 1.0);
        assert_eq!(quantile_ms(&[], 0.5), 0.0);
    }

    #[test]
    fn variants_are_compared_round_by_round() {
        let round = |tasks, ms| {
            BTreeMap::from([(Measure::TasksPerSecond, tasks), (Measure::RunMsP50, ms), (Measure::Tail, 2.0)])
        };
        // The machine became half as quick: the variant is a tenth slower all the same.
        let off = vec![round(100.0, 10.0), round(50.0, 20.0)];
        let own = vec![round(90.0, 11.0), round(45.0, 22.0)];
        let ratio = Ratio::new(&own, "off", &off).expect("a ratio");
        assert!((ratio.throughput.median - 0.9).abs() < 1e-9 && (ratio.run_ms_p50.most - 1.1).abs() < 1e-9);
        assert_eq!(over(&own)[&Measure::TasksPerSecond], Spread { median: 67.5, least: 45.0, most: 90.0 });
        assert_eq!(Ratio::new(&own, "none", &Vec::new()), None);
    }
}
