//! Runs as they go when nothing is lost or late: everything in the order of time. They show how large workloads are, and that
//! every run ends.

use std::time::Duration;

use chrono::{DateTime, Utc};
use mesh_schemas::payload::TaskCreated;
use mesh_schemas::{TaskKey, Timer};
use mesh_simulation::workload::Workload;
use serde_json::json;

use crate::world::{World, moment, takes};

/// Something that comes at a time.
enum Coming {
    Answer(TaskKey, Box<TaskCreated>),
    Fired(Timer),
    Signal(usize),
    Resume,
}

/// Runs one of a workload to its end; none if it is still open when nothing comes any more.
fn run(workload: &Workload, place: usize) -> World {
    let mut world = World::new(workload, place);
    let (begin, first) = (world.now, world.script.sent[0].at);
    let mut coming: Vec<(DateTime<Utc>, Coming)> = Vec::new();
    for (at, signal) in world.script.signals.iter().enumerate() {
        // One that comes before the run is stored again behind its beginning.
        coming.push((begin + signal.at.saturating_sub(first), Coming::Signal(at)));
    }
    world.start();
    loop {
        while let Some((subject, data)) = world.unstored.pop() {
            world.now += moment();
            world.store(&subject, &data);
        }
        for (key, created) in std::mem::take(&mut world.open) {
            if let Some(takes) = takes(&world.script, &key, &created) {
                coming.push((world.now + takes + moment(), Coming::Answer(key, Box::new(created))));
            }
        }
        for (timer, due) in std::mem::take(&mut world.timers) {
            coming.push((due + Duration::from_millis(130), Coming::Fired(timer)));
        }
        if world.is_paused() && !coming.iter().any(|(_, what)| matches!(what, Coming::Resume)) {
            coming.push((world.now + Duration::from_secs(9), Coming::Resume));
        }
        let next = coming.iter().enumerate().min_by_key(|(_, (time, _))| *time).map(|(at, _)| at);
        let Some(next) = next.filter(|_| !world.has_ended()) else { return world };
        let (time, what) = coming.remove(next);
        world.now = time.max(world.now + moment());
        match what {
            Coming::Answer(key, created) => world.answer(&key, &created),
            Coming::Fired(timer) => world.fire(timer),
            Coming::Resume => {
                let id = format!("on-{}", world.log.len()).parse().expect("an id");
                world.store(&world.signalled("resume", id), &json!({}));
            }
            Coming::Signal(at) => {
                let signal = world.script.signals[at].clone();
                let (name, data) = signal.says.told();
                world.store(&world.signalled(name, signal.id), &data.unwrap_or_else(|| json!({})));
            }
        }
    }
}

#[test]
fn runs_end_as_the_interpreter_says_and_have_some_events() {
    let mut sizes = Vec::new();
    for seed in 0..500 {
        let workload = Workload::generate(seed);
        for place in 0..workload.runs.len() {
            let world = run(&workload, place);
            assert!(world.has_ended(), "seed {seed}, run {place}\n{}", world.told());
            let differences = world.differences();
            assert!(differences.is_empty(), "seed {seed}, run {place}: {differences:#?}\n{}", world.told());
            sizes.push(world.log.len() + world.found.created.len());
        }
    }
    sizes.sort_unstable();
    let share = |part: usize| sizes[sizes.len() * part / 100];
    println!("{} runs: half have up to {} events, 90 % up to {}", sizes.len(), share(50), share(90));
    let some = sizes.iter().filter(|size| (5..=40).contains(*size)).count();
    assert!(some * 100 >= 70 * sizes.len(), "only {some} of {} runs have 5 to 40 events", sizes.len());
}
