//! Properties of the fold over random workflows and random logs: what was decided stays decided.

mod workflow;
mod world;

use std::collections::BTreeSet;
use std::sync::Arc;

use mesh_core::{Action, Decision, Event, Fact, Plan, Run, replay};
use mesh_schemas::payload::CancelSignal;
use mesh_schemas::{TaskId, Timer};
use proptest::prelude::*;

use self::workflow::shapes;
use self::world::World;

fn all_decisions(plan: &Arc<Plan>, log: &[Event]) -> Vec<Decision> {
    let Fact::Started(started) = &log[0].fact else { unreachable!("a log begins with started") };
    let (mut run, step) = Run::start(&log[0], started, Arc::clone(plan));
    let mut decisions = step.decisions;
    for event in &log[1..] {
        decisions.extend(run.apply(event).decisions);
    }
    decisions
}

/// What a decision would be stored under: one subject holds one fact.
fn place(decision: &Decision) -> String {
    match &decision.action {
        Action::Create(key, _) | Action::StartChild(key, _) => format!("created {key:?}"),
        Action::CancelChild(key, _) => format!("cancelled {key:?}"),
        Action::Report(key, _) => format!("reported {key:?}"),
        Action::GiveUp(key, _) => format!("failed {key:?}"),
        Action::SetTimer(timer, _) => format!("timer {timer}"),
        Action::Route(task, _) => format!("routed {task}"),
        Action::Pause(number, _) => format!("paused {number}"),
        Action::Resume(number) => format!("resumed {number}"),
        Action::End(_) => "end".to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// For prefixes p ⊂ q of a log: all that p decides, q decides too, word for word. No two decisions want the
    /// same place in the log.
    #[test]
    fn what_a_prefix_decides_every_longer_one_decides(
        shapes in shapes(),
        choices in prop::collection::vec(any::<u16>(), 0..40),
    ) {
        let mut world = World::new(workflow::plan(&shapes));
        for choice in choices {
            world.happen(choice);
        }
        let decided: Vec<_> =
            (1..=world.log.len()).map(|end| all_decisions(&world.plan, &world.log[..end])).collect();
        for (shorter, p) in decided.iter().enumerate() {
            for q in &decided[shorter..] {
                prop_assert_eq!(p.as_slice(), &q[..p.len()]);
            }
        }
        let places: BTreeSet<_> = world.decided.iter().map(place).collect();
        prop_assert!(places.len() == world.decided.len(), "{:?}", world.decided.iter().map(place).collect::<Vec<_>>());
    }

    /// Made anew from any prefix, a run is what it was, and what may be missing from the log is offered again.
    #[test]
    fn a_run_made_anew_is_the_same_run(
        shapes in shapes(),
        choices in prop::collection::vec(any::<u16>(), 0..40),
    ) {
        let mut world = World::new(workflow::plan(&shapes));
        for choice in choices {
            world.happen(choice);
        }
        let (run, missing) = replay(&world.plan, &world.log).expect("the log begins with started");
        prop_assert_eq!(format!("{run:?}"), format!("{:?}", world.run));
        let views = run.tasks();
        let stands = |task: &TaskId, status: &str| {
            views.iter().any(|view| view.id == *task && view.status == status)
        };
        for decision in &world.decided {
            let answered = match &decision.action {
                // What a part of the run had open when it was over is given up.
                Action::Create(key, _) | Action::StartChild(key, _) => {
                    !world.open.contains(key) || !stands(&key.task, "active")
                }
                Action::CancelChild(..) | Action::Report(..) => {
                    world.log.iter().any(|event| event.fact == Fact::Ended)
                }
                Action::SetTimer(timer, _) => {
                    let is_waited_for = match timer {
                        Timer::Deadline | Timer::Finally => !run.has_ended(),
                        Timer::Grace(task) | Timer::Join(task) => stands(task, "pending"),
                        Timer::Retry { task, .. } => stands(task, "retrying"),
                    };
                    !world.timers.contains(timer) || !is_waited_for
                }
                Action::Route(task, _) => !world.routes.contains(task) || !stands(task, "active"),
                // Whether they are stored, the world does not know.
                Action::Pause(..) | Action::Resume(_) => true,
                Action::GiveUp(..) | Action::End(_) => !world.unstored.contains(decision),
            };
            prop_assert!(answered || missing.contains(decision), "lost: {:?}", decision);
        }
    }

    /// A state that was saved after any event is the run up to there: with the rest of the log it is the same run and
    /// leads to the same decisions, and saved again it is the same state.
    #[test]
    fn a_saved_state_stands_for_the_log_up_to_it(
        shapes in shapes(),
        choices in prop::collection::vec(any::<u16>(), 0..40),
    ) {
        let mut world = World::new(workflow::plan(&shapes));
        for choice in choices {
            world.happen(choice);
        }
        let Fact::Started(started) = &world.log[0].fact else { unreachable!("a log begins with started") };
        for end in 1..=world.log.len() {
            let (mut folded, _) = replay(&world.plan, &world.log[..end]).expect("the log begins with started");
            let Some(state) = folded.save() else {
                prop_assert!(folded.has_ended() || folded.is_closing());
                continue;
            };
            let mut restored =
                Run::restore(&world.log[0], started, Arc::clone(&world.plan), &state).expect("it was saved");
            prop_assert_eq!(&restored, &folded);
            prop_assert_eq!(restored.save(), Some(state));
            for event in &world.log[end..] {
                prop_assert_eq!(restored.stray(event), folded.stray(event));
                prop_assert_eq!(restored.apply(event), folded.apply(event));
                prop_assert_eq!(&restored, &folded);
            }
            for decision in &world.decided {
                prop_assert_eq!(restored.may_be_missing(decision), folded.may_be_missing(decision));
            }
        }
    }

    /// Whatever becomes of a saved state on the way, it is refused or the run that it was of: never a panic.
    #[test]
    fn a_saved_state_that_was_changed_is_no_danger(
        shapes in shapes(),
        choices in prop::collection::vec(any::<u16>(), 0..20),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut world = World::new(workflow::plan(&shapes));
        for choice in choices {
            world.happen(choice);
        }
        let Fact::Started(started) = &world.log[0].fact else { unreachable!("a log begins with started") };
        if let Some(mut state) = world.run.save() {
            for (place, byte) in changes {
                let place = place.index(state.len());
                state[place] = byte % 128;
            }
            if let Ok(mut run) = Run::restore(&world.log[0], started, Arc::clone(&world.plan), &state) {
                world.log.iter().for_each(|event| drop(run.apply(event)));
            }
        }
    }

    /// Of an archived run a beginning of the log is left, and its end. From that follows nothing that does not follow from
    /// all of the log: no task, no timer and no end at all, and no attempt is given up that was not.
    #[test]
    fn from_what_is_left_of_an_archived_run_nothing_new_follows(
        shapes in shapes(),
        choices in prop::collection::vec(any::<u16>(), 0..40),
    ) {
        let mut world = World::new(workflow::plan(&shapes));
        for choice in choices {
            world.happen(choice);
        }
        if !world.run.has_ended() {
            world.push(Fact::Cancel(CancelSignal::default()));
        }
        world.push(Fact::Ended);
        let decided = all_decisions(&world.plan, &world.log);
        let (end, events) = world.log.split_last().expect("the end");
        for length in 1..=events.len() {
            let mut left = events[..length].to_vec();
            left.push(end.clone());
            let (run, follows) = replay(&world.plan, &left).expect("the log begins with started");
            prop_assert!(run.has_ended());
            for decision in follows {
                prop_assert!(matches!(decision.action, Action::GiveUp(..)), "{:?}", decision);
                prop_assert!(decided.contains(&decision), "{:?}", decision);
            }
        }
    }

    /// An event that comes again changes nothing and leads to nothing.
    #[test]
    fn an_event_that_comes_again_changes_nothing(
        shapes in shapes(),
        choices in prop::collection::vec(any::<u16>(), 0..40),
    ) {
        let mut world = World::new(workflow::plan(&shapes));
        for choice in choices {
            world.happen(choice);
        }
        let before = format!("{:?}", world.run);
        for event in &world.log {
            let step = world.run.apply(event);
            prop_assert_eq!(step.decisions, vec![]);
            prop_assert_eq!(&before, &format!("{:?}", world.run));
        }
    }

    /// A run whose every task is answered, and whose every timer fires, ends.
    #[test]
    fn every_run_ends(shapes in shapes(), choices in prop::collection::vec(any::<u16>(), 0..20)) {
        let mut world = World::new(workflow::plan(&shapes));
        for choice in choices {
            world.happen(choice);
        }
        world.end();
        prop_assert!(world.run.has_ended(), "{:?}", world.run);
    }

    /// A run that does another again has none of what it takes over done, and ends.
    #[test]
    fn what_is_taken_over_is_not_done_again(
        shapes in shapes(),
        choices in prop::collection::vec(any::<u16>(), 0..40),
        from in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut world = World::new(workflow::plan(&shapes));
        for choice in choices {
            world.happen(choice);
        }
        world.end();
        let tasks: Vec<TaskId> = world.plan.definition.tasks.keys().cloned().collect();
        let from: Vec<TaskId> = from.iter().map(|from| from.get(&tasks).clone()).collect();
        if let Some((mut again, taken)) = world.again(&from) {
            again.end();
            prop_assert!(again.run.has_ended(), "{:?}", again.run);
            for decision in &again.decided {
                if let Action::Create(key, _) | Action::StartChild(key, _) = &decision.action {
                    let belongs_to = key.task.parts().next().expect("an id");
                    prop_assert!(!taken.iter().any(|task| task.as_str() == belongs_to), "{}", key.task);
                }
            }
            let (run, _) = replay(&again.plan, &again.log).expect("the log begins with started");
            prop_assert_eq!(run, again.run);
        }
    }
}
