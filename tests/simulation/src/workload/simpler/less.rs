use serde_json::json;

use crate::workload::{
    Body, Expression, Join, Merge, MergeBy, Often, OnFailure, Planner, Task, Template, Work,
};

pub(super) type Change<T> = Box<dyn FnOnce(&mut T)>;

fn change<T>(change: impl FnOnce(&mut T) + 'static) -> Change<T> {
    Box::new(change)
}

fn literal(truth: bool) -> Expression {
    Expression::Literal(truth.into())
}

/// Changes that may make a task simpler, apart from what it does.
pub(super) fn of_task(task: &Task) -> Vec<Change<Task>> {
    let always: [fn(&mut Task); 9] = [
        |task| task.when = None,
        |task| task.when = task.when.is_some().then(|| literal(false)),
        |task| task.when = task.when.is_some().then(|| literal(true)),
        |task| task.on_failure = OnFailure::Fail,
        |task| task.on_failure = OnFailure::Continue,
        |task| task.runs_when_skipped = false,
        |task| task.pause_before = false,
        |task| task.join = Join::All,
        |task| task.often = Often::Once,
    ];
    let mut all: Vec<Change<Task>> = always.into_iter().map(change).collect();
    if let Join::Quorum { .. } = task.join {
        all.push(change(|task: &mut Task| task.join = Join::Any));
        all.push(change(|task: &mut Task| {
            if let Join::Quorum { grace, .. } = &mut task.join {
                *grace = None;
            }
        }));
        all.push(change(|task: &mut Task| {
            if let Join::Quorum { deadline, .. } = &mut task.join {
                *deadline = None;
            }
        }));
    }
    for need in task.needs.clone() {
        all.push(change(move |task: &mut Task| task.needs.retain(|other| *other != need)));
    }
    all.extend(
        of_often(&task.often).into_iter().map(|less| change(move |task: &mut Task| less(&mut task.often))),
    );
    all
}

fn of_often(often: &Often) -> Vec<Change<Often>> {
    let each = |less: fn(&mut crate::workload::Each)| {
        change(move |often: &mut Often| {
            if let Often::Each(each) = often {
                less(each);
            }
        })
    };
    let repeat = |less: fn(&mut crate::workload::Repeat)| {
        change(move |often: &mut Often| {
            if let Often::Repeat(repeat) = often {
                less(repeat);
            }
        })
    };
    match often {
        Often::Once => Vec::new(),
        Often::Each(_) => vec![
            each(|each| each.items = Template::Plain(json!([]))),
            each(|each| each.items = Template::Plain(json!([1]))),
            each(|each| each.items = Template::Plain(json!([1, 2]))),
            each(|each| each.max_parallel = None),
            each(|each| each.adaptive = None),
            each(|each| each.max_items = None),
            each(|each| each.tolerate = None),
        ],
        Often::Repeat(_) => vec![
            repeat(|repeat| repeat.until = literal(true)),
            repeat(|repeat| repeat.until = literal(false)),
            repeat(|repeat| repeat.max = 1),
            repeat(|repeat| repeat.max = repeat.max.min(2)),
            repeat(|repeat| repeat.goes_on = true),
        ],
    }
}

/// Work of which nothing is said.
pub(super) fn plain_work() -> Body {
    let agent = "draw".parse().unwrap_or_else(|_| unreachable!("it is a name"));
    Body::Work(Work::new(agent))
}

/// Changes that may make simpler what is done.
pub(super) fn of_body(body: &Body) -> Vec<Change<Body>> {
    let work = |less: fn(&mut Work)| {
        change(move |body: &mut Body| {
            if let Body::Work(work) = body {
                less(work);
            }
        })
    };
    let merge = |less: fn(&mut Merge)| {
        change(move |body: &mut Body| {
            if let Body::Merge(merge) = body {
                less(merge);
            }
        })
    };
    let mut all = Vec::new();
    match body {
        Body::Work(whole) => {
            all.extend(whole.plan.iter().flat_map(|planner| of_planner(planner)));
            if whole.call.is_some() {
                all.push(change(|body: &mut Body| *body = plain_work()));
            }
            all.push(work(|work| work.call.iter_mut().for_each(|call| call.wait = true)));
            all.push(work(|work| work.call.iter_mut().for_each(|call| call.version = None)));
            all.push(work(|work| work.plan = None));
            all.push(work(|work| work.with = None));
            all.push(work(|work| work.with = Some(Template::Plain(1.into()))));
            all.push(work(|work| work.output = None));
            all.push(work(|work| work.retry = None));
            all.push(work(|work| work.timeout = None));
            all.push(work(|work| work.action = None));
        }
        Body::Merge(_) => {
            all.push(change(|body: &mut Body| *body = plain_work()));
            all.push(merge(|merge| merge.by = MergeBy::Collect));
            all.push(merge(|merge| merge.by = MergeBy::First));
            all.push(merge(|merge| merge.names_them = false));
            all.push(merge(|merge| merge.weights = None));
            all.push(merge(|merge| merge.default_quality = None));
        }
        Body::Group(group) => {
            // With one of its tasks in its place.
            for task in group.tasks.values() {
                let inner = task.body.clone();
                all.push(change(move |body: &mut Body| *body = inner));
            }
            all.push(change(|body: &mut Body| {
                if let Body::Group(group) = body {
                    group.output = None;
                }
            }));
        }
        Body::Switch(cases) => {
            for (number, case) in cases.iter().enumerate() {
                let inner = case.body.clone();
                all.push(change(move |body: &mut Body| *body = inner));
                for truth in [false, true] {
                    all.push(change(move |body: &mut Body| {
                        if let Body::Switch(cases) = body {
                            cases[number].when = cases[number].when.is_some().then(|| literal(truth));
                        }
                    }));
                }
                if cases.len() > 1 {
                    all.push(change(move |body: &mut Body| {
                        if let Body::Switch(cases) = body {
                            cases.remove(number);
                        }
                    }));
                }
            }
        }
    }
    all
}

/// Changes that may make simpler what an agent plans, or put a task of its plans in the place of all.
fn of_planner(planner: &Planner) -> Vec<Change<Body>> {
    let less = |less: Change<Planner>| {
        change(move |body: &mut Body| {
            if let Body::Work(Work { plan: Some(planner), .. }) = body {
                less(planner);
            }
        })
    };
    let mut all = vec![
        less(change(|planner: &mut Planner| planner.capabilities.clear())),
        less(change(|planner: &mut Planner| planner.max_tasks = None)),
        less(change(|planner: &mut Planner| planner.max_depth = None)),
    ];
    for (number, plan) in planner.plans.iter().enumerate() {
        for task in plan.tasks.values() {
            let inner = task.body.clone();
            all.push(change(move |body: &mut Body| *body = inner));
        }
        all.push(less(change(move |planner: &mut Planner| planner.plans[number].output = None)));
        if planner.plans.len() > 1 {
            all.push(less(change(move |planner: &mut Planner| drop(planner.plans.remove(number)))));
        }
    }
    all
}
