//! Which height a value has.

/// Parts of a power of ten that are shown at an axis.
const ROUND: [f64; 3] = [1.0, 2.0, 5.0];
/// Values at a logarithmic axis from which on only powers of ten are shown.
const MANY: usize = 11;

/// An axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// From nothing.
    Linear { most: f64 },
    /// Between two round values, both above nothing.
    Logarithmic { least: f64, most: f64 },
}

impl Scale {
    /// One for all values up to this one.
    pub(super) fn linear(most: f64) -> Self {
        Self::Linear { most: if most > 0.0 { most } else { 1.0 } }
    }

    /// One for all values between these, which are above nothing.
    pub(super) fn logarithmic(least: f64, most: f64) -> Self {
        let values = || round_values(least / 10.0, most * 10.0);
        let below = values().take_while(|value| *value <= least).last().unwrap_or(least);
        // Two different values, whatever there is between them.
        let above = values().find(|value| *value >= most && *value > below).unwrap_or(most);
        Self::Logarithmic { least: below, most: above }
    }

    /// The part of the axis below a value: 0 for the lowest, 1 for the highest.
    pub(super) fn part(self, value: f64) -> f64 {
        let part = match self {
            Self::Linear { most } => value / most,
            Self::Logarithmic { least, most } => (value / least).ln() / (most / least).ln(),
        };
        part.clamp(0.0, 1.0)
    }

    /// The values that are shown at the axis.
    pub(super) fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear { most } => {
                let step = round_values(most / 50.0, most).find(|step| most / step <= 5.0).unwrap_or(most);
                let steps = (0..=5_u8).map(|place| f64::from(place) * step);
                steps.take_while(|value| *value <= most).collect()
            }
            Self::Logarithmic { least, most } => {
                let all: Vec<f64> = round_values(least, most).collect();
                if all.len() < MANY {
                    return all;
                }
                all.into_iter().filter(|value| (value.log10() - value.log10().round()).abs() < 1e-9).collect()
            }
        }
    }
}

/// Round values between two, both included.
fn round_values(least: f64, most: f64) -> impl Iterator<Item = f64> {
    // Powers of ten of all numbers that there are.
    let powers = (-308..=308)
        .filter(move |power| (least.log10().floor()..=most.log10().ceil()).contains(&f64::from(*power)));
    // Read as people write them: 10 times -1 by multiplication would be off in its last digit.
    let values = powers
        .flat_map(|power| ROUND.into_iter().filter_map(move |round| format!("{round}e{power}").parse().ok()));
    let slack = 1e-9;
    values.filter(move |value: &f64| *value >= least * (1.0 - slack) && *value <= most * (1.0 + slack))
}

#[cfg(test)]
mod tests {
    use super::super::text::number;
    use super::*;

    #[test]
    fn axes_have_few_round_values() {
        assert_eq!(Scale::linear(13_210.0).ticks(), [0.0, 5_000.0, 10_000.0]);
        assert_eq!(
            Scale::linear(0.9).ticks().into_iter().map(number).collect::<Vec<_>>(),
            ["0", "0.2", "0.4", "0.6", "0.8"]
        );
        assert_eq!(Scale::linear(0.0).ticks().last(), Some(&1.0));
        assert_eq!(Scale::logarithmic(3.1, 40.0).ticks(), [2.0, 5.0, 10.0, 20.0, 50.0]);
        assert_eq!(Scale::logarithmic(0.2, 40_000.0).ticks(), [1.0, 10.0, 100.0, 1_000.0, 10_000.0]);
    }

    #[test]
    fn values_have_a_height() {
        let scale = Scale::logarithmic(1.0, 100.0);
        assert_eq!([0.1, 1.0, 10.0, 100.0, 1e9].map(|value| scale.part(value)), [0.0, 0.0, 0.5, 1.0, 1.0]);
        assert_eq!([0.0, 5.0, 20.0].map(|value| Scale::linear(10.0).part(value)), [0.0, 0.5, 1.0]);
        // One value is enough.
        assert_eq!(Scale::logarithmic(5.0, 5.0), Scale::Logarithmic { least: 5.0, most: 10.0 });
    }
}
