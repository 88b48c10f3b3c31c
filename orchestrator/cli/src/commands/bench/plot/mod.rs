//! The report as a picture: an SVG that a page can show, bright or dark.

mod chart;
mod columns;
mod cpu;
mod file;
mod latency;
mod legend;
mod page;
mod scale;
mod shape;
mod style;
mod svg;
#[cfg(test)]
mod tests;
mod text;
mod throughput;
mod words;

pub(super) use file::{check, write};

use super::figures::{Measure, Spread, Variant};

/// What is known of a variant and can be drawn.
fn known(variant: &Variant, measure: Measure) -> Option<Spread> {
    let can_be_drawn = |value: f64| value.is_finite() && value >= 0.0;
    let spread = variant.figures.get(&measure).copied()?;
    [spread.least, spread.median, spread.most].into_iter().all(can_be_drawn).then_some(spread)
}
