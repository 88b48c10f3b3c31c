//! Many ways that runs may go, by a chance that is always the same.

use super::*;

/// Runs that are played again with their own definition, and with each change.
const RUNS: u64 = 200;
const RUNS_FOR_CHANGE: u64 = 60;
/// A bit of everything.
const TANGLE: &str = "
mesh: v1
name: order
output: {a: '${tasks.a.output}', f: '${tasks.f.output}'}
timeout: 20s
tasks:
  a: {agent: x, retry: {max_attempts: 3, initial: 300ms, jitter: 0.5}}
  b: {agent: x, needs: [a], when: tasks.a.output > 40, with: '${tasks.a.output}'}
  c: {agent: y, on_failure: continue, retry: {max_attempts: 2, initial: 2s}, timeout: 3s}
  d: {agent: y, needs: [b, c], on_skipped: run, with: ['${tasks.b.output}', '${tasks.c.output}']}
  e: {agent: z, needs: [a], with: '${tasks.a.output % 7}', output: '${100 / (result % 5)}', on_failure: continue}
  f: {agent: z, needs: [d, e]}
";
const CHANGES: [(&str, &str); 9] = [
    ("output > 40", "output > 60"),
    ("initial: 300ms", "initial: 700ms"),
    ("max_attempts: 2", "max_attempts: 1"),
    ("max_attempts: 3", "max_attempts: 2"),
    ("timeout: 20s", "timeout: 4s"),
    ("timeout: 20s", "timeout: 40s"),
    ("on_skipped: run, ", ""),
    ("c: {agent: y, on_failure: continue", "c: {agent: y"),
    ("needs: [d, e]", "needs: [d]"),
];

/// A number that follows from others: SplitMix64.
fn number(parts: &[u64]) -> u64 {
    parts.iter().fold(0, |state, part| {
        let mut z = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

fn deed(seed: u64, task: &str, attempt: u32) -> Deed {
    let task = u64::from(task.as_bytes()[0]);
    let chance = |of: u64| number(&[seed, task, u64::from(attempt), of]);
    let millis = i64::try_from(chance(1) % 2_900).unwrap();
    let result = match chance(2) % 10 {
        0 => return None,
        1 | 2 => Err(error("busy")),
        3 => Err(TaskError { retry_after: Some(1.5), ..error("later") }),
        4 => Err(TaskError { retryable: false, ..error("broken") }),
        _ => Ok(json!(chance(3) % 100)),
    };
    Some((millis, result))
}

/// One run in three is cancelled.
fn cancel(seed: u64) -> Option<i64> {
    let chance = number(&[seed, 99]);
    chance.is_multiple_of(3).then(|| i64::try_from(chance / 3 % 9_000).unwrap())
}

fn run(seed: u64, definition: &Known, late: TimeDelta) -> Recorded {
    let world = |task: &str, attempt| deed(seed, task, attempt);
    recorded(&record(definition, &world, cancel(seed), late), definition)
}

#[test]
fn a_run_goes_as_it_went_whatever_happened() {
    let followed = known(TANGLE);
    let mut outcomes = BTreeMap::new();
    for seed in 0..RUNS {
        let late = TimeDelta::milliseconds(i64::try_from(number(&[seed, 7]) % 255).unwrap());
        let recorded = run(seed, &followed, late);
        let replayed = replay(&recorded, &followed).unwrap();
        assert!(replayed.is_same(), "seed {seed}: {replayed:#?}");
        assert_eq!(replayed.course.as_ref(), Some(recorded.course()), "seed {seed}");
        *outcomes.entry(outcome_name(recorded.course().outcome.as_ref().unwrap())).or_insert(0) += 1;
    }
    assert!(outcomes.len() == 3 && outcomes.values().all(|runs| *runs > 20), "{outcomes:?}");
}

/// Agents do the same with the same attempts, so how a run would go can be seen by having it go.
#[test]
fn what_is_told_of_another_way_is_how_it_goes() {
    let followed = known(TANGLE);
    let on_time = TimeDelta::zero();
    let runs: Vec<Recorded> = (0..RUNS_FOR_CHANGE).map(|seed| run(seed, &followed, on_time)).collect();
    for (old, new) in CHANGES {
        let changed = known(&TANGLE.replace(old, new));
        assert_ne!(changed.plan.digest, followed.plan.digest, "{old}");
        let (mut told, mut differ) = (0, 0);
        for (seed, recorded) in (0..).zip(&runs) {
            let replayed = replay(recorded, &changed).unwrap();
            differ += u32::from(!replayed.is_same());
            if replayed.is_told() {
                told += 1;
                let truth = run(seed, &changed, on_time);
                assert_eq!(replayed.course.as_ref(), Some(truth.course()), "{new}, seed {seed}");
            }
        }
        assert!(told > 20 && differ > 0, "{new}: {told} told, {differ} differ");
    }
}
