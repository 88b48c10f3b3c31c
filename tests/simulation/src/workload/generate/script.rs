use std::time::Duration;

use mesh_schemas::Attempt;

use crate::workload::behaviour::{Answer, Behaviour, Ending};
use crate::workload::choices::Choices;
use crate::workload::run::Script;
use crate::workload::task::{Recovery, Work};
use crate::workload::workflow::Workflow;

/// Codes of the errors of agents.
pub(super) const CODES: [&str; 3] = ["busy", "no_such_thing", "timeout"];

/// After how long an agent that shows no sign of life is taken for lost.
const ACK_WAIT: Duration = Duration::from_secs(30);

/// What agents do with the attempts of a run.
pub(super) fn script(workflow: &Workflow, choices: &mut Choices) -> Script {
    // Of how many attempts in a hundred something is wrong with.
    let trouble = choices.weighted(&[(30, 5), (40, 25), (20, 50), (10, 80)]);
    let mut script = Script::new();
    let more = match workflow.recovery {
        Recovery::Retry(more) => more,
        Recovery::Pause => 1,
        Recovery::Fail | Recovery::Continue => 0,
    };
    for (id, work) in workflow.works() {
        let mut attempt = Attempt::FIRST;
        for _ in 0..work.retry.as_ref().and_then(|retry| retry.max_attempts).unwrap_or(3) + more {
            let behaviour = behaviour(work, workflow.may_hang(&id), trouble, choices);
            if behaviour != Behaviour::PLAIN {
                script.insert((id.clone(), attempt), behaviour);
            }
            attempt = attempt.next();
        }
    }
    script
}

fn behaviour(work: &Work, may_hang: bool, trouble: u32, choices: &mut Choices) -> Behaviour {
    let (least, most) = choices.weighted(&[(55, (0, 0)), (30, (1, 300)), (15, (300, 3_000))]);
    let takes = Duration::from_millis(choices.among(least..=most));
    let answer = answer(choices);
    let quality = choices.chance("quality said", 25).then(|| choices.pick(&[0, 25, 50, 70, 90, 100]));
    if !choices.chance("trouble", trouble) {
        return Behaviour { takes, ending: Ending::Returns(answer), quality };
    }
    let fails = |retryable, retry_after, choices: &mut Choices| Ending::Fails {
        code: choices.pick(&CODES),
        retryable,
        retry_after,
    };
    match choices.weighted(&[
        (40, "retryable error"),
        (10, "retry_after"),
        (12, "fatal error"),
        (10, "panic"),
        (if may_hang { 8 } else { 0 }, "hang"),
        (if work.timeout.is_some() { 15 } else { 0 }, "slower than its timeout"),
        (10, "slower than ack_wait"),
    ]) {
        feature @ "retryable error" => noted(feature, takes, fails(true, None, choices), choices),
        feature @ "retry_after" => {
            let pause = Duration::from_millis(choices.pick(&[0, 250, 1_500, 12_000]));
            noted(feature, takes, fails(true, Some(pause), choices), choices)
        }
        feature @ "fatal error" => noted(feature, takes, fails(false, None, choices), choices),
        feature @ "panic" => noted(feature, takes, Ending::Panics, choices),
        feature @ "hang" => noted(feature, Duration::ZERO, Ending::Hangs, choices),
        feature @ "slower than its timeout" => {
            let timeout = work.timeout.unwrap_or_default();
            let takes = timeout + Duration::from_millis(choices.among(1..=2_000));
            noted(feature, takes, Ending::Returns(answer), choices)
        }
        feature => {
            let takes = ACK_WAIT + Duration::from_millis(choices.among(1..=40_000));
            noted(feature, takes, Ending::Returns(answer), choices)
        }
    }
}

fn noted(feature: &'static str, takes: Duration, ending: Ending, choices: &mut Choices) -> Behaviour {
    choices.note(feature);
    Behaviour { takes, ending, quality: None }
}

fn answer(choices: &mut Choices) -> Answer {
    if choices.chance("unusual answer", 2) {
        return choices.pick(&[Answer::Echo, Answer::Null, Answer::Number(1), Answer::Text(2)]);
    }
    // Attempts answer differently, so that the output of the wrong one would show.
    Answer::Object(choices.weighted(&[(60, 0), (20, 1), (20, 2)]))
}
