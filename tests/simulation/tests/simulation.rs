//! Nothing is lost and nothing is doubled, whatever goes wrong; and whoever breaks a rule is found out.

use std::time::Duration;

use mesh_simulation::{Campaign, Report, Sabotage, Scenario};

const README: &str = include_str!("../README.md");
const MAIN_README: &str = include_str!("../../../README.md");

/// For how long seeds are played; `make sim` plays more of them.
const TIME: Duration = Duration::from_secs(60);

/// Within how many seeds a broken rule shows: several times as many as it has taken.
const WITHIN: &[(Sabotage, u64)] = &[
    (Sabotage::FactsRepeat, 20),
    (Sabotage::NoGapCheck, 400),
    (Sabotage::NoEndCheck, 200),
    (Sabotage::AckBeforeStoring, 200),
    (Sabotage::AckBeforeOutcome, 800),
    (Sabotage::NoDeadline, 400),
    (Sabotage::NoLook, 400),
    (Sabotage::LastOutcomeWins, 200),
    (Sabotage::UnlatchedCancel, 200),
    (Sabotage::GapBehindCheckpoint, 100),
    (Sabotage::NoHistory, 20),
    (Sabotage::NoSettling, 400),
    (Sabotage::NoCancelWithin, 400),
    (Sabotage::NoReport, 400),
];

#[test]
fn nothing_is_lost_and_nothing_is_doubled() {
    let Report { seeds, took, failure, .. } =
        Campaign { time: Some(TIME), ..Campaign::new(0, u64::MAX) }.run();
    println!("{seeds} seeds in {took:?}");
    if let Some(failure) = failure {
        let (seed, small) = (failure.scenario.workload.seed, failure.scenario.shrink());
        panic!(
            "seed {seed}: {}\na smaller scenario that fails:\n{small}\n{:?}",
            failure.violation.0,
            small.run()
        );
    }
}

#[test]
fn a_campaign_ends_with_the_greatest_seed() {
    let Report { seeds, failure, .. } = Campaign::new(u64::MAX - 1, 10).run();
    assert_eq!((seeds, failure), (2, None));
}

#[test]
fn the_same_seed_goes_the_same_way() {
    for seed in 0..20 {
        assert_eq!(Scenario::generate(seed).run(), Scenario::generate(seed).run(), "seed {seed}");
    }
}

#[test]
fn whoever_breaks_a_rule_is_found_out() {
    for &(sabotage, within) in WITHIN {
        let campaign = Campaign { sabotage: Some(sabotage), threads: 1, ..Campaign::new(0, within) };
        let Report { seeds, failure, .. } = campaign.run();
        assert!(failure.is_some(), "{sabotage} is not seen within {within} seeds");
        println!("{sabotage} is seen at seed {seeds}");
    }
    assert_eq!(WITHIN.len(), Sabotage::ALL.len(), "every sabotage is tried");
}

#[test]
fn the_readme_says_when_a_broken_rule_shows() {
    for (sabotage, within) in WITHIN {
        let (begin, end) = (format!("| `{sabotage}` |"), format!("| {within} |"));
        let row = README.lines().find(|line| line.starts_with(&begin));
        assert!(row.is_some_and(|row| row.ends_with(&end)), "README.md has {row:?}, and not {begin} … {end}");
    }
    assert_eq!(WITHIN.len(), 14);
    assert!(MAIN_README.contains("each of fourteen rules that is broken on purpose"));
}
