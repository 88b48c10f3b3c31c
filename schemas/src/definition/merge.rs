use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_default;
use crate::name::TaskId;

/// Makes one output of those of several tasks, without an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Merge {
    /// How.
    pub by: MergeBy,
    /// The tasks whose outputs are taken, of those that it needs; all of them, in the order of `needs`, if nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<TaskId>,
    /// What counts for how much; only by `quality`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub weights: Weights,
    /// Quality, from 0 to 1, of an output whose agent said nothing of it; only by `quality`.
    #[serde(default = "default_quality", skip_serializing_if = "is_default_quality")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub default_quality: f64,
}

/// How outputs are made one. What failed or was skipped has none; of a loop over items, each item counts by itself but with
/// `object`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MergeBy {
    /// Weighed by quality and speed: `{result, primary, quality, sources: [{source, share, quality, seconds, output}],
    /// failed: [{source, code, message}], missing: [source]}`, where `result` is the output with the greatest share. Fails
    /// with the code `nothing_to_merge` if none went well.
    Quality,
    /// The list of the outputs.
    Collect,
    /// The output that was there first. Fails with the code `nothing_to_merge` if none went well.
    First,
    /// An object with the output of each task under its id.
    Object,
}

/// What counts for how much in a merge by quality: the weight of an output is `quality` × its quality + `speed` ×
/// 1 / (1 + minutes), with the time from when its task began to when the output was stored.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// Of the quality that the agent said its output has. 0.7 if nothing is said.
    #[serde(default = "quality_weight")]
    #[schemars(range(min = 0.0))]
    pub quality: f64,
    /// Of how fast it was there. 0.3 if nothing is said.
    #[serde(default = "speed_weight")]
    #[schemars(range(min = 0.0))]
    pub speed: f64,
}

impl Merge {
    /// All that the task needs, in this way.
    #[must_use]
    pub fn by(by: MergeBy) -> Self {
        Self { by, from: Vec::new(), weights: Weights::default(), default_quality: default_quality() }
    }
}

impl Default for Weights {
    fn default() -> Self {
        Self { quality: quality_weight(), speed: speed_weight() }
    }
}

fn quality_weight() -> f64 {
    0.7
}

fn speed_weight() -> f64 {
    0.3
}

fn default_quality() -> f64 {
    0.5
}

#[expect(clippy::float_cmp, reason = "it is the default only if nothing is said, or the very same")]
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_default_quality(quality: &f64) -> bool {
    *quality == default_quality()
}
