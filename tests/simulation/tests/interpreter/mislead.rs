//! A mesh that gets a rule wrong is found out: the fold follows another definition than the one that the interpreter knows,
//! which differs in one thing.

use mesh_simulation::workload::{
    Body, Choices, Expression, Join, MergeBy, Often, OnFailure, Quota, Recovery, Task, Template, Work,
    Workflow, Workload,
};
use serde_json::Value;

use crate::storm;
use crate::world::World;

/// Within how many seeds a mistake must show.
const SEEDS: u64 = 2_000;
/// In how many runs.
const LEAST: usize = 4;

/// Makes a mistake in a task, if the task is such that it can be made.
type InTask = fn(&mut Task);
/// Makes a mistake in a workflow.
type InWorkflow = fn(&mut Workflow);

const IN_WORKFLOWS: &[(&str, InWorkflow)] = &[
    ("nothing is recovered", |workflow| workflow.recovery = Recovery::Fail),
    ("the workflow allows a try more", |workflow| {
        if let Recovery::Retry(more) = &mut workflow.recovery {
            *more += 1;
        }
    }),
    ("a failure does not pause the run", |workflow| {
        if workflow.recovery == Recovery::Pause {
            workflow.recovery = Recovery::Retry(1);
        }
    }),
    ("nothing is done finally", |workflow| workflow.finally = None),
    ("what is done finally has more time", |workflow| {
        if let Some(finally) = &mut workflow.finally {
            finally.timeout = finally.timeout.map(|timeout| 2 * timeout);
        }
    }),
    ("of what is done finally one is forgotten", |workflow| {
        if let Some(finally) = &mut workflow.finally
            && finally.tasks.len() > 1
        {
            finally.tasks.pop_last();
        }
    }),
    ("what is done finally may fail", |workflow| {
        for task in workflow.finally.iter_mut().flat_map(|finally| finally.tasks.values_mut()) {
            if task.on_failure == OnFailure::Fail {
                task.on_failure = OnFailure::Continue;
            }
        }
    }),
];

const IN_TASKS: &[(&str, InTask)] = &[
    ("the last item is forgotten", |task| {
        if let Often::Each(each) = &mut task.often {
            match &mut each.items {
                Template::List(items) => drop(items.pop()),
                Template::Plain(Value::Array(items)) => drop(items.pop()),
                Template::Object(items) => drop(items.pop_last()),
                _ => {}
            }
        }
    }),
    ("too many items are under way", |task| {
        if let Often::Each(each) = &mut task.often {
            each.max_parallel = None;
        }
    }),
    ("items are not counted", |task| {
        if let Often::Each(each) = &mut task.often {
            each.max_items = None;
        }
    }),
    ("one more item may fail", |task| {
        if let Often::Each(each) = &mut task.often {
            each.tolerate = match each.tolerate {
                None => Some(Quota::Count(1)),
                Some(Quota::Count(count)) => Some(Quota::Count(count + 1)),
                Some(Quota::Percent(percent)) => Some(Quota::Percent(100.min(percent + 34))),
            };
        }
    }),
    ("the last iteration is lost", |task| {
        if let Often::Repeat(repeat) = &mut task.often {
            repeat.max = 1.max(repeat.max - 1);
        }
    }),
    ("a loop goes on as long as its condition holds", |task| {
        if let Often::Repeat(repeat) = &mut task.often {
            repeat.until = Expression::Not(Box::new(repeat.until.clone()));
        }
    }),
    ("an exhausted loop is done", |task| {
        if let Often::Repeat(repeat) = &mut task.often {
            repeat.goes_on = !repeat.goes_on;
        }
    }),
    ("the case behind the right one is done", |task| {
        if let Body::Switch(cases) = &mut task.body {
            let bodies: Vec<Body> = cases.iter().map(|case| case.body.clone()).collect();
            cases
                .iter_mut()
                .zip(bodies.iter().cycle().skip(1))
                .for_each(|(case, body)| case.body = body.clone());
        }
    }),
    ("a group gives something else", |task| {
        if let Body::Group(group) = &mut task.body {
            group.output = Some(Template::Plain(0.into()));
        }
    }),
    ("a join waits for one less", |task| {
        let needs = task.needs.len();
        if let Join::Quorum { quorum, .. } = &mut task.join {
            let fewer = quorum.at_least(needs).saturating_sub(1).max(1);
            *quorum = Quota::Count(u32::try_from(fewer).expect("a few"));
        }
    }),
    ("a join waits for all", |task| task.join = Join::All),
    ("a join does not wait for the others", |task| {
        if let Join::Quorum { grace, .. } = &mut task.join {
            *grace = None;
        }
    }),
    ("a join waits for ever", |task| {
        if let Join::Quorum { deadline, .. } = &mut task.join {
            *deadline = None;
        }
    }),
    ("a failure passes that should not", |task| {
        if task.on_failure == OnFailure::Fail {
            task.on_failure = OnFailure::Continue;
        }
    }),
    ("nobody stands in for one that fails", |task| {
        if let OnFailure::Task(_) = task.on_failure {
            task.on_failure = OnFailure::Fail;
        }
    }),
    ("a merge is made in another way", |task| {
        if let Body::Merge(merge) = &mut task.body {
            merge.by = match merge.by {
                MergeBy::Quality | MergeBy::Object => MergeBy::Collect,
                MergeBy::Collect | MergeBy::First => MergeBy::Object,
            };
            (merge.weights, merge.default_quality) = (None, None);
        }
    }),
    ("a merge forgets one", |task| {
        if let Body::Merge(merge) = &mut task.body
            && merge.of.len() > 1
        {
            merge.names_them = true;
            merge.of.pop();
        }
    }),
    ("a merge goes the wrong way round", |task| {
        if let Body::Merge(merge) = &mut task.body {
            merge.names_them = true;
            merge.of.reverse();
        }
    }),
    ("speed does not count", |task| {
        if let Body::Merge(merge) = &mut task.body
            && merge.by == MergeBy::Quality
        {
            merge.weights = Some((7, 0));
        }
    }),
    ("what says nothing of its quality has none", |task| {
        if let Body::Merge(merge) = &mut task.body
            && merge.by == MergeBy::Quality
        {
            merge.default_quality = Some(0);
        }
    }),
    ("what is missing stands as null", |task| {
        if let Body::Work(Work { with: Some(Template::Object(map)), .. }) = &mut task.body {
            for value in map.values_mut() {
                if let Template::Whole(Expression::Maybe(optional)) = value {
                    let null = Box::new(Expression::Literal(Value::Null));
                    *value = Template::Whole(Expression::OrValue(optional.clone(), null));
                }
            }
        }
    }),
    ("how many items are under way is not chosen", |task| {
        if let Often::Each(each) = &mut task.often {
            each.adaptive = None;
        }
    }),
    ("the run does not stand before a task", |task| task.pause_before = false),
    ("what an agent planned is not done", |task| {
        if let Body::Work(work) = &mut task.body {
            work.plan = None;
        }
    }),
    ("a plan may have one task only", |task| {
        if let Body::Work(Work { plan: Some(planner), .. }) = &mut task.body {
            planner.max_tasks = Some(1);
        }
    }),
    ("a plan may have too many tasks", |task| {
        if let Body::Work(Work { plan: Some(planner), .. }) = &mut task.body {
            planner.max_tasks = None;
        }
    }),
    ("a plan may ask for what it may not", |task| {
        if let Body::Work(Work { plan: Some(planner), .. }) = &mut task.body {
            planner.capabilities.extend(["draw", "paint", "weigh", "carve"].map(crate::log::capability));
        }
    }),
    ("plans stand in plans too deep", |task| {
        if let Body::Work(Work { plan: Some(planner), .. }) = &mut task.body {
            planner.max_depth = Some(4);
        }
    }),
    ("no plan stands in a plan", |task| {
        if let Body::Work(Work { plan: Some(planner), .. }) = &mut task.body {
            planner.max_depth = Some(1);
        }
    }),
    ("a run is not waited for", |task| {
        if let Body::Work(Work { call: Some(call), .. }) = &mut task.body {
            call.wait = false;
        }
    }),
    ("a run that nobody waits for is waited for", |task| {
        if let Body::Work(Work { call: Some(call), .. }) = &mut task.body {
            call.wait = true;
        }
    }),
    ("a run has more time than its task", |task| {
        if let Body::Work(Work { call: Some(_), timeout, .. }) = &mut task.body {
            *timeout = timeout.map(|timeout| 2 * timeout);
        }
    }),
    ("a run follows another version", |task| {
        if let Body::Work(Work { call: Some(call), .. }) = &mut task.body {
            call.version = None;
        }
    }),
    ("what stands in does not count", |task| {
        if let OnFailure::Task(_) = task.on_failure {
            task.on_failure = OnFailure::Continue;
        }
    }),
];

/// The runs of a workload that go otherwise with a mistake, each with whether that shows.
fn tried(workload: &Workload, mistake: &dyn Fn(&mut Workflow)) -> Vec<bool> {
    let mut shows = Vec::new();
    for place in 0..workload.runs.len() {
        let workflow = workload.workflow(&workload.runs[place]).expect("the run's workflow is there");
        let mut other: Workflow = workflow.clone();
        mistake(&mut other);
        if other == workflow {
            continue;
        }
        let Some(world) = World::misled(workload, place, &other) else { continue };
        let seed = workload.seed ^ (place as u64) << 40;
        shows.push(!storm::live(world, &mut Choices::new(seed)).differences().is_empty());
    }
    shows
}

fn find_out(what: &str, mistake: &dyn Fn(&mut Workflow)) {
    let (mut runs, mut shown) = (0, 0);
    for workload in (0..SEEDS).map(Workload::generate) {
        if shown >= LEAST {
            break;
        }
        let shows = tried(&workload, mistake);
        runs += shows.len();
        shown += shows.into_iter().filter(|shows| *shows).count();
    }
    println!("{what}: it shows in {shown} of {runs} runs");
    assert!(shown >= LEAST, "'{what}' shows in {shown} of {runs} runs only");
}

#[test]
fn a_mesh_that_gets_a_rule_wrong_is_found_out() {
    for (what, mistake) in IN_TASKS {
        find_out(what, &|workflow| workflow.for_each_task(&mut |task| mistake(task)));
    }
    for (what, mistake) in IN_WORKFLOWS {
        find_out(what, mistake);
    }
}

#[test]
fn without_a_mistake_nothing_shows() {
    for seed in 0..40 {
        let workload = Workload::generate(seed);
        let workflow = workload.workflow(&workload.runs[0]).expect("the run's workflow is there");
        let world = World::misled(&workload, 0, &workflow).expect("it is sound");
        let world = storm::live(world, &mut Choices::new(seed));
        assert_eq!(world.differences(), Vec::<String>::new());
    }
}
