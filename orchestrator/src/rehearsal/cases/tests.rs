use mesh_schemas::document::Format;

use super::*;
use crate::rehearsal::tests::known;

const ORDER: &str = "
mesh: v1
name: order
input: {type: object, required: [sum]}
output: {sent: '${tasks.ship.output}', note: '${run.correlation_id} ${run.started_at}'}
timeout: 1h
tasks:
  check: {agent: checker, timeout: 10s, retry: {initial: 1s, factor: 2, jitter: 0}}
  charge: {agent: bank, needs: [check], when: tasks.check.output.ok, with: {sum: '${input.sum}'}}
  log: {agent: logger, on_failure: continue, retry: {max_attempts: 1}}
  ship: {agent: carrier, needs: [charge], on_skipped: run, with: {paid: '${tasks.charge.output}'}}
";

/// The head of a file whose agents all answer well.
const WELL: &str = "
mesh: v1
input: {sum: 7}
mocks:
  check: {output: {ok: true, score: 3}}
  charge: {output: paid}
  log: {output: null}
  ship: {output: T-1}
cases:
";

fn reports(text: &str) -> Vec<CaseReport> {
    let known = known(ORDER);
    let cases = Cases::read(text, Format::Yaml, &known.plan.definition).unwrap_or_else(|e| panic!("{e}"));
    cases.cases.iter().map(|case| test(&known, &cases, case).unwrap()).collect()
}

/// What is found of one case: `line:column path: message`.
fn findings(case: &str) -> Vec<String> {
    let report = reports(&format!("{WELL}{case}")).remove(0);
    assert_eq!(report.passed, report.findings.is_empty());
    let told = |f: Finding| {
        let (line, column) = (f.line.unwrap() - WELL.lines().count(), f.column.unwrap());
        format!("{line}:{column} {}: {}", f.path, f.message)
    };
    report.findings.into_iter().map(told).collect()
}

fn problems(text: &str) -> String {
    let known = known(ORDER);
    match Cases::read(text, Format::Yaml, &known.plan.definition) {
        Err(problems) => problems.to_string(),
        Ok(cases) => panic!("no problem: {cases:?}"),
    }
}

#[test]
fn what_is_as_expected_passes() {
    let cases = "
- name: nothing is said, so it completes
- name: a plain word
  expect: completed
- name: all of it
  correlation_id: o-1
  started_at: 2026-03-01T00:00:00Z
  expect:
    completed:
      output: {sent: T-1, note: o-1 2026-03-01T00:00:00.000Z}
      output_contains: {sent: T-1}
    tasks:
      check: done
      charge: {status: done, attempts: 1, input: {sum: 7.0}}
      ship: {input_contains: {paid: paid}}
    took: 0s
- name: skipped
  mocks: {check: {output: {ok: false}}}
  expect:
    completed:
    tasks: {charge: {status: skipped, attempts: 0}, ship: {input: {paid: null}}}
- name: tried again, with pauses of one and two seconds
  mocks:
    check: [{error: busy, takes: 3s}, {error: {code: busy}}, {output: {ok: true}}]
  expect: {tasks: {check: {attempts: 3}}, took: 6s}
- name: the agent asks for time
  mocks: {check: [{error: {code: busy, retry_after: 1m}}, {output: {ok: true}}]}
  expect: {took: 1m}
- name: not worth another attempt
  mocks: {check: {error: {code: broken, message: no hope, retryable: false}}}
  expect:
    failed: {code: broken, task: check, message_contains: no hope}
    tasks: {check: {status: failed, attempts: 1}, charge: cancelled}
- name: a failure that is tolerated
  mocks: {log: {error: full}}
  expect: {tasks: {log: failed, ship: done}}
- name: a hanging agent is given up at the timeout of its task
  mocks: {check: {hangs: true}}
  expect: {failed: {code: timeout, task: check}, took: 33s}
- name: an answer that takes longer than that is none
  mocks: {check: [{output: {ok: true}, takes: 10s 1ms}, {output: {ok: true}, takes: 10s}]}
  expect: {tasks: {check: {attempts: 2}}, took: 21s}
- name: without a timeout, it hangs until the run ends
  mocks: {charge: {hangs: true}}
  expect: {failed: {code: timeout}, tasks: {charge: {status: cancelled, attempts: 1}}, took: 1h}
- name: nobody answers
  mocks: {check: {unanswered: true}}
  expect: {failed: {code: timeout}, took: {at_least: 1h, at_most: 1h}}
- name: cancelled
  mocks: {charge: {output: paid, takes: 1m}}
  events: [{after: 5s, signal: check}, {after: 30s, signal: cancel, reason: enough}]
  expect: {cancelled: {reason: enough}, tasks: {charge: cancelled}, took: 30s}
- name: cancelled at once, before anybody answers
  events: [{after: 0s, signal: cancel}]
  expect: {cancelled: , tasks: {check: {status: cancelled, attempts: 1}}}
- name: rejected
  input: {}
  expect: {rejected: {code: invalid_input, reasons_contain: [sum]}}
- name: rejected, with null as its input
  input:
  expect: rejected
";
    for report in reports(&format!("{WELL}{cases}")) {
        assert!(report.passed, "{report:#?}");
    }
}

#[test]
fn what_is_not_as_expected_is_told_with_its_line() {
    let cases: &[(&str, &[&str])] = &[
        (
            "- name: a\n  expect: failed",
            &["2:11 expect.failed: expected failed, found completed with {\"note\":"],
        ),
        (
            "- name: a\n  input: {}",
            &[
                "1:3 expect.completed: expected completed, found rejected (invalid_input: input: \"sum\" is a required",
            ],
        ),
        (
            "- name: a\n  mocks: {check: {error: {code: bad, retryable: false}}}\n  expect: {took: 0s, completed: {output: 1}}",
            &[
                "3:22 expect.completed: expected completed, found failed (bad: task 'check' failed: as the case has it)",
            ],
        ),
        (
            "- name: a\n  expect:\n    completed:\n      output_contains:\n        sent: T-2\n        more: 1\n      output: {sent: T-1}",
            &[
                "7:7 expect.completed.output.note: expected nothing, found \"",
                "6:15 expect.completed.output_contains.more: expected 1, found nothing",
                "5:15 expect.completed.output_contains.sent: expected \"T-2\", found \"T-1\"",
            ],
        ),
        (
            "- name: a\n  expect:\n    tasks:\n      check: skipped\n      charge: {attempts: 2, input: {sum: 8}}",
            &[
                "5:26 expect.tasks.charge.attempts: expected 2, found 1",
                "5:42 expect.tasks.charge.input.sum: expected 8, found 7",
                "4:14 expect.tasks.check.status: expected \"skipped\", found \"done\"",
            ],
        ),
        (
            "- name: a\n  mocks: {check: {output: {ok: false}}}\n  expect: {tasks: {charge: {input: {sum: 7}}}}",
            &[
                "3:29 expect.tasks.charge.input: expected {\"sum\":7}, found that no agent was asked: the task was skipped",
            ],
        ),
        (
            "- name: a\n  mocks: {check: {error: busy}}\n  expect:\n    failed: {code: bsy, task: ship, message_contains: fire}\n    took: {at_most: 1s}",
            &[
                "4:20 expect.failed.code: expected \"bsy\", found \"busy\"",
                "4:31 expect.failed.task: expected \"ship\", found \"check\"",
                "4:55 expect.failed.message_contains: expected a text with \"fire\" in it, found \"task 'check'",
                "5:21 expect.took.at_most: expected at most 1s, found 3s",
            ],
        ),
        ("- name: a\n  expect: {took: 1s}", &["2:18 expect.took: expected 1s, found 0s"]),
        (
            "- name: a\n  expect: {took: {at_least: 1s}}",
            &["2:29 expect.took.at_least: expected at least 1s, found 0s"],
        ),
        (
            "- name: a\n  events: [{after: 0s, signal: cancel}]\n  expect: {cancelled: {reason: why}}",
            &["3:32 expect.cancelled.reason: expected \"why\", found nothing"],
        ),
        (
            "- name: a\n  input: []\n  expect: {rejected: {code: malformed, reasons_contain: [object, name]}}",
            &[
                "3:29 expect.rejected.code: expected \"malformed\", found \"invalid_input\"",
                "3:66 expect.rejected.reasons_contain[1]: expected a text with \"name\" in it, found \"input: []",
            ],
        ),
    ];
    for (case, expected) in cases {
        let found = findings(case);
        assert_eq!(found.len(), expected.len(), "{case}\n{found:#?}");
        for (found, expected) in found.iter().zip(*expected) {
            assert!(found.starts_with(expected), "{case}\nfound    {found}\nexpected {expected}");
        }
    }
}

#[test]
fn a_task_without_a_mock_is_named_with_what_to_write() {
    let text = "mesh: v1\ninput: {sum: 7}\ncases:\n- name: a\n  mocks: {log: {output: 1}}\n";
    let report = reports(text).remove(0);
    assert_eq!((report.findings.len(), report.run.outcome), (1, "unfinished"));
    let Finding { line, path, message, .. } = &report.findings[0];
    assert_eq!((*line, path.as_str()), (Some(5), "mocks.check"));
    for words in
        ["task 'check' is asked for and has no mock", "`check: {output: …}`", "it is given {\"sum\":7}"]
    {
        assert!(message.contains(words), "{message}");
    }
    let found = findings("- name: a\n  mocks:\n    check: [{error: x}, {error: x}]");
    let told = "3:5 mocks.check: attempt 3 of task 'check' is asked for, and its mock has 2 answers: add one";
    assert!(found.len() == 1 && found[0].starts_with(told), "{found:?}");
    let found = findings("- name: a\n  mocks:\n    check: [{error: x}]");
    assert!(found[0].contains("its mock has 1 answer: add one"), "{found:?}");
}

#[test]
fn problems_of_a_file_are_all_told_with_the_nearest() {
    let text = "
mesh: v1
mokcs: {}
mocks:
  chek: {output: 1}
  check: {outptu: 1}
  charge: {output: 1, error: busy}
  log: {hangs: true, takes: 1s}
  ship: []
cases:
- name: a
  mocks: {check: {}, charge: {error: {}}, log: {unanswered: false}, ship: {error: {code: x, retry_after: 5}}}
  expct: {}
- name: a
  events: [{after: 1s}, {signal: check, after: 1s, reason: x}, {after: 1s, signal: cancle}]
  expect: {completed: {}, failed: {task: shp}, tasks: {check: skiped, log: {}, charge: {attempts: -1}}, took: {}}
- expect: {rejected: {}, took: 1s, tasks: {check: done}}
- name: b
  started_at: yesterday
  expect: complted
- name: c
  expect: {failed: {task: shp}, took: {at_least: 2s, at_most: 1s}}
";
    let told = problems(text);
    for expected in [
        "3:1: unknown key 'mokcs': did you mean 'mocks'?",
        "5:3: mocks.chek: 'order' has no task 'chek': did you mean 'check'?",
        "6:11: mocks.check: unknown key 'outptu': did you mean 'output'?",
        "7:23: mocks.charge.error: an attempt has one outcome, and 'output' is there too: leave one out",
        "8:22: mocks.log.takes: what is never answered takes no time: leave it out",
        "9:9: mocks.ship: a list has an answer for each attempt, so at least one",
        "12:18: cases[0].mocks.check: say what becomes of an attempt: output, error, 'hangs: true' or",
        "12:38: cases[0].mocks.charge.error: the key 'code' is missing: name what went wrong",
        "12:61: cases[0].mocks.log.unanswered: write 'true', or leave the key out",
        "12:106: cases[0].mocks.ship.error.retry_after: 5 is not a duration: add a unit, as in 5s",
        "13:3: cases[0]: unknown key 'expct': did you mean 'expect'?",
        "14:3: cases[1].name: there is another case 'a' above",
        "15:12: cases[1].events[0]: the key 'signal' is missing: name the signal: cancel or check",
        "15:52: cases[1].events[1].reason: only the signal 'cancel' has a reason: leave it out",
        "15:84: cases[1].events[2].signal: unknown value 'cancle': did you mean 'cancel'?",
        "16:27: cases[1].expect.failed: a run ends in one way, and 'completed' is there too: leave one out",
        "16:63: cases[1].expect.tasks.check: unknown value 'skiped': did you mean 'skipped'?",
        "16:76: cases[1].expect.tasks.log: say what is expected of the task, or leave it out",
        "16:99: cases[1].expect.tasks.charge.attempts: expected a whole number, found -1",
        "16:111: cases[1].expect.took: write at_least, at_most or both",
        "17:3: cases[2]: the key 'name' is missing: say what the case is about",
        "17:26: cases[2].expect.took: a request that is rejected starts no run: leave it out",
        "17:36: cases[2].expect.tasks: a request that is rejected starts no run: leave it out",
        "19:15: cases[3].started_at: 'yesterday' is no time",
        "20:11: cases[3].expect: unknown value 'complted': did you mean 'completed'?",
        "22:27: cases[4].expect.failed.task: 'order' has no task 'shp': did you mean 'ship'?",
        "22:40: cases[4].expect.took.at_least: 2s is more than the 1s of at_most",
    ] {
        assert!(told.lines().any(|line| line.starts_with(expected)), "{expected}\nis not in\n{told}");
    }
    assert_eq!(told.lines().count(), 27, "{told}");
    for (text, expected) in [
        ("mesh: v1\n", "1:1: the key 'cases' is missing"),
        ("mesh: v1\ncases: []\n", "2:1: cases: list at least one case"),
        ("mesh: v2\ncases: [{name: a}]\n", "unknown value 'v2': did you mean 'v1'?"),
        ("cases: [{name: a}]\n", "the key 'mesh' is missing: write 'mesh: v1'"),
        ("mesh: v1\ncases: [{name: ''}]\n", "a name is text on one line, and not empty"),
        (
            "mesh: v1\ncases: [{name: a, mocks: [x]}]\n",
            "expected an object with what is answered for each task",
        ),
        (
            "mesh: v1\ncases: [{name: a, correlation_id: ''}]\n",
            "2:35: cases[0].correlation_id: use text that is not empty, on one line",
        ),
        (
            "mesh: v1\ncases: [{name: a, correlation_id: \"a\\nb\"}]\n",
            "use text that is not empty, on one line",
        ),
        ("mesh: v1\ncases: [{name: a, expect: 5}]\n", "expected an object with the keys completed, failed"),
        ("- 1\n", "expected an object with the keys mesh, input, mocks, cases, found a list"),
    ] {
        let told = problems(text);
        assert!(told.contains(expected), "{told}");
    }
}

/// Runs that tasks start are answered for like work of agents; one that only has to start does.
#[test]
fn runs_within_runs_are_mocked() {
    let known = known(
        "{mesh: v1, name: order, output: {onboarded: '${tasks.onboard.output}', told: '${tasks.tell.output}'}, tasks: {
            onboard: {workflow: onboarding, with: '${input}', output: '${result.id}', timeout: 10m},
            tell: {workflow: telling, needs: [onboard], wait: false}}}",
    );
    let text = "
mesh: v1
mocks: {onboard: {output: {id: 7}, takes: 9m}}
cases:
- name: it goes well
  input: {name: Ada}
  expect:
    took: 9m
    completed: {output_contains: {onboarded: 7}}
    tasks: {onboard: {attempts: 1, input: {name: Ada}}}
- name: it takes too long
  mocks: {onboard: {hangs: true}}
  expect:
    failed: {code: timeout, task: onboard}
- name: nobody can be told
  mocks: {tell: {error: unknown_workflow}}
  expect:
    failed: {task: tell}
";
    let cases = Cases::read(text, Format::Yaml, &known.plan.definition).unwrap_or_else(|e| panic!("{e}"));
    for case in &cases.cases {
        let report = test(&known, &cases, case).unwrap();
        assert!(report.passed, "{}: {:?}", report.name, report.findings);
    }
}
