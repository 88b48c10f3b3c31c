//! Random workflows.

use std::sync::Arc;

use mesh_core::Plan;
use mesh_schemas::Definition;
use mesh_schemas::definition::{
    Adaptive, Finally, Foreach, Join, Merge, MergeBy, OnFailure, OnMax, OnSkipped, Planner, Quorum, Quota,
    Recovery, Repeat, Retry, Span, TaskBuilder,
};
use proptest::prelude::*;
use serde_json::json;

/// What a task does and how it is tied to others; the bits of `needs` are earlier tasks.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    needs: u8,
    conditional: bool,
    runs_when_skipped: bool,
    continues: bool,
    attempts: u32,
    pauses: bool,
    maps_output: bool,
    looks_far: bool,
    made_of: Made,
    join: Join,
    has_rescuer: bool,
}

/// What a task is made of.
#[derive(Debug, Clone, Copy)]
enum Made {
    Work,
    Child,
    Group,
    Switch,
    Each,
    EachGroup,
    Loop,
    Merge,
    Plan,
    EachPlan,
}

pub(crate) fn shapes() -> impl Strategy<Value = Vec<Shape>> {
    let made_of = prop_oneof![
        4 => Just(Made::Work),
        1 => Just(Made::Child),
        1 => Just(Made::Group),
        1 => Just(Made::Switch),
        1 => Just(Made::Each),
        1 => Just(Made::EachGroup),
        1 => Just(Made::Loop),
        1 => Just(Made::Merge),
        1 => Just(Made::Plan),
        1 => Just(Made::EachPlan),
    ];
    let quorum = |quorum, grace, deadline| Join::Quorum(Quorum { quorum, grace, deadline });
    let join = prop_oneof![
        4 => Just(Join::All),
        1 => Just(Join::Any),
        1 => Just(quorum(Quota::Percent(60.0), Some(Span::from_secs(1)), None)),
        1 => Just(quorum(Quota::Percent(60.0), Some(Span::from_secs(1)), Some(Span::from_secs(2)))),
    ];
    let shape = (any::<u8>(), any::<[bool; 7]>(), 1..3u32, made_of, join).prop_map(
        |(needs, flags, attempts, made_of, join)| {
            let [conditional, runs_when_skipped, continues, pauses, maps_output, looks_far, has_rescuer] =
                flags;
            Shape {
                needs,
                conditional,
                runs_when_skipped,
                continues,
                attempts,
                pauses,
                maps_output,
                looks_far,
                made_of,
                join,
                has_rescuer,
            }
        },
    );
    prop::collection::vec(shape, 1..7)
}

pub(crate) fn plan(shapes: &[Shape]) -> Arc<Plan> {
    let recovery = match shapes.iter().map(|shape| usize::from(shape.needs)).sum::<usize>() % 8 {
        0 => Recovery::Continue,
        1 | 2 => Recovery::Pause,
        3 => Recovery::Retry(1),
        _ => Recovery::Fail,
    };
    let mut workflow = Definition::builder("random").unwrap().recovery(recovery);
    for (index, shape) in shapes.iter().enumerate() {
        let pause = if shape.pauses { Span::from_secs(1) } else { Span::from_millis(0) };
        let retry = Retry { max_attempts: shape.attempts, initial: pause, ..Retry::default() };
        let mut task = made(index, shape, retry);
        let needs: Vec<usize> = (0..index).filter(|need| shape.needs >> need & 1 == 1).collect();
        for need in &needs {
            task = task.needs(&format!("t{need}")).unwrap();
        }
        if let Some(need) = needs.first().filter(|_| shape.conditional) {
            // False for odd results, and an error when the need was skipped and gave no number.
            task = task.when(format!("tasks.t{need}.output % 2 == 0"));
        }
        if !needs.is_empty() {
            task = task.join(shape.join);
        }
        // A task far before: what its needs needed. Fractions that JSON has to carry exactly.
        let far = needs.last().and_then(|need| (0..*need).find(|far| shapes[*need].needs >> far & 1 == 1));
        if let Some(far) = far.filter(|_| shape.looks_far && matches!(shape.made_of, Made::Work)) {
            task = task.with(json!({"far": format!("${{tasks.t{far}.output}}"), "n": 0.1}));
        }
        if shape.needs % 16 == 3 {
            task = task.pause_before();
        }
        if shape.runs_when_skipped {
            task = task.on_skipped(OnSkipped::Run);
        }
        if shape.continues {
            task = task.on_failure(OnFailure::Continue);
        } else if shape.has_rescuer {
            task = task.on_failure(OnFailure::Task(format!("r{index}").parse().unwrap()));
            let rescuer = TaskBuilder::new("worker").unwrap().on_failure(OnFailure::Continue);
            workflow = workflow.task(&format!("r{index}"), rescuer).unwrap();
        }
        workflow = workflow.task(&format!("t{index}"), task).unwrap();
    }
    if shapes.iter().any(|shape| shape.needs % 5 == 4) {
        let tell = TaskBuilder::new("worker").unwrap().retry(Retry { max_attempts: 1, ..Retry::default() });
        let tasks = [("last".parse().unwrap(), tell.with(json!("${run.outcome.status}")).build())].into();
        workflow = workflow.finally(Finally { tasks, timeout: None });
    }
    Arc::new(Plan::compile(&workflow.build()).unwrap())
}

/// A task without what ties it to others.
fn made(index: usize, shape: &Shape, retry: Retry) -> TaskBuilder {
    let work = || {
        let work = TaskBuilder::new("worker").unwrap().retry(retry.clone());
        // Results may be fractions, which some do not take.
        let work = if shape.looks_far { work.output_schema(json!({"type": "integer"})) } else { work };
        if shape.maps_output { work.output(json!("${result + 1}")) } else { work }
    };
    let child = || {
        let child = TaskBuilder::workflow("inner").unwrap().retry(retry.clone());
        if shape.looks_far { child.no_wait() } else { child }
    };
    let group = || {
        let second = work().needs(&format!("a{index}")).unwrap();
        let second = second.when(format!("tasks.a{index}.output > 100"));
        let third = if shape.conditional { child() } else { TaskBuilder::new("worker").unwrap() };
        let third = third.on_failure(OnFailure::Continue);
        let group = TaskBuilder::group().task(&format!("a{index}"), work()).unwrap();
        let group = group.task(&format!("b{index}"), second).unwrap();
        group.task(&format!("c{index}"), third).unwrap().output(json!(format!("${{tasks.a{index}.output}}")))
    };
    let each = Foreach {
        items: json!([1, 2, 3]),
        max_parallel: shape.pauses.then_some(2),
        adaptive: shape.conditional.then(|| Adaptive { complexity: json!(0.5), dependency: json!(0.1) }),
        max_items: None,
        tolerate: shape.looks_far.then_some(Quota::Count(1)),
    };
    let plan = || TaskBuilder::new("planner").unwrap().retry(retry.clone()).plan(Planner::Plain(true));
    let by = [MergeBy::Quality, MergeBy::Collect, MergeBy::First, MergeBy::Object][index % 4];
    match shape.made_of {
        Made::Merge if (0..index).any(|need| shape.needs >> need & 1 == 1) => {
            TaskBuilder::merge(Merge::by(by))
        }
        Made::Work | Made::Merge => work(),
        Made::Plan => plan(),
        Made::EachPlan => plan().foreach(each),
        Made::Child => child(),
        Made::Group => group(),
        Made::Switch => {
            TaskBuilder::switch().case("run.id.contains('7')", work()).case("size(run.id) > 3", group())
        }
        Made::Each => work().foreach(each),
        Made::EachGroup => group().foreach(each),
        Made::Loop => work().repeat(Repeat {
            until: "result > 1000".to_owned(),
            max: 3,
            on_max: if shape.looks_far { OnMax::Continue } else { OnMax::Fail },
        }),
    }
}
