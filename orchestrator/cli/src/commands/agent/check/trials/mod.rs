//! The trials: each tries some rules on an agent of its own.

mod cancel;
mod contents;
mod first;
mod judge;
mod kill;
mod long;
mod outage;
mod own_error;
mod reconnect;
mod redelivery;
mod stop;

use futures::future::BoxFuture;

use super::Settings;
use super::bench::Place;
use super::report::Findings;
use super::rule::Rule;

/// Some rules that are tried together.
pub(super) struct Trial {
    pub(super) rules: &'static [Rule],
    /// Whether it can be made with agents of a mesh that others use.
    pub(super) live: bool,
    pub(super) run: for<'a> fn(&'a Place, &'a Settings) -> BoxFuture<'a, anyhow::Result<Findings>>,
}

/// What everything else depends on: an agent that does nothing cannot be tried further.
pub(super) const FIRST: Trial =
    Trial { rules: first::RULES, live: true, run: |place, settings| Box::pin(first::run(place, settings)) };

/// The others, those that take long before those that do not.
pub(super) const OTHERS: &[Trial] = &[
    Trial { rules: long::RULES, live: true, run: |place, settings| Box::pin(long::run(place, settings)) },
    Trial { rules: kill::RULES, live: false, run: |place, settings| Box::pin(kill::run(place, settings)) },
    Trial { rules: stop::RULES, live: false, run: |place, settings| Box::pin(stop::run(place, settings)) },
    Trial { rules: cancel::RULES, live: true, run: |place, settings| Box::pin(cancel::run(place, settings)) },
    Trial {
        rules: reconnect::RULES,
        live: false,
        run: |place, settings| Box::pin(reconnect::run(place, settings)),
    },
    Trial {
        rules: outage::RULES,
        live: false,
        run: |place, settings| Box::pin(outage::run(place, settings)),
    },
    Trial {
        rules: redelivery::RULES,
        live: false,
        run: |place, settings| Box::pin(redelivery::run(place, settings)),
    },
    Trial {
        rules: contents::RULES,
        live: false,
        run: |place, settings| Box::pin(contents::run(place, settings)),
    },
    Trial {
        rules: own_error::RULES,
        live: true,
        run: |place, settings| Box::pin(own_error::run(place, settings)),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_tried() {
        let trials = OTHERS.iter().chain([&FIRST]);
        let mut tried: Vec<Rule> = trials.flat_map(|trial| trial.rules.iter().copied()).collect();
        tried.sort();
        tried.dedup();
        assert_eq!(tried, Rule::ALL);
    }
}
