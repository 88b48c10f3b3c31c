use std::time::Duration;

use mesh_schemas::Capability;

use super::data::{data, object};
use super::script::CODES;
use super::terms::Terms;
use super::view::{Shape, View};
use crate::workload::choices::Choices;
use crate::workload::task::{Retry, Work};

/// Work for an agent of which the result looks like something, and what its output looks like.
pub(super) fn work(
    capabilities: &[Capability],
    view: &View,
    result: Shape,
    choices: &mut Choices,
) -> (Work, Shape) {
    let mut work = Work::new(capabilities[choices.below(capabilities.len())].clone());
    let mut terms = Terms { choices, view, result: None };
    work.with = terms.choices.chance("with", 65).then(|| data(&mut terms));
    terms.result = Some(result);
    let (output, shape) = if terms.choices.chance("task output", 25) {
        let usual = terms.choices.chance("usual task output", 80);
        let output = if usual { object(&mut terms) } else { data(&mut terms) };
        (Some(output), if usual { Shape::Usual } else { Shape::Other })
    } else {
        (None, result)
    };
    work.output = output;
    work.action = choices.chance("action", 15).then(|| choices.pick(&["quickly", "with care"]).to_owned());
    work.retry = choices.chance("retry", 55).then(|| retry(choices));
    work.timeout = choices.chance("timeout", 35).then(|| {
        let long = choices.chance("timeout longer than ack_wait", 10);
        Duration::from_millis(if long { 40_000 } else { choices.among(100..=4_000) })
    });
    (work, shape)
}

fn retry(choices: &mut Choices) -> Retry {
    let initial =
        choices.weighted(&[(30, None), (25, Some(0)), (20, Some(50)), (15, Some(1_000)), (10, Some(5_000))]);
    if initial == Some(0) {
        choices.note("no pause");
    }
    let longest = choices.weighted(&[(50, None), (25, Some(5_000)), (25, Some(8_000))]);
    let fatal_on = choices.chance("fatal_on", 20);
    Retry {
        max_attempts: choices.weighted(&[
            (30, None),
            (15, Some(1)),
            (30, Some(2)),
            (15, Some(3)),
            (10, Some(4)),
        ]),
        initial: initial.map(Duration::from_millis),
        factor: choices.weighted(&[(50, None), (15, Some(1.0)), (15, Some(1.5)), (20, Some(3.0))]),
        max: longest.map(Duration::from_millis),
        jitter: choices.weighted(&[(40, None), (40, Some(0.0)), (20, Some(0.5))]),
        fatal_on: if fatal_on { vec![choices.pick(&CODES).to_owned()] } else { Vec::new() },
    }
}
