use std::fmt::Write as _;
use std::sync::Arc;

use mesh_schemas::definition::TaskBuilder;
use mesh_schemas::document::{Format, Problems};
use mesh_schemas::{Definition, TaskId};
use serde_json::{Value, json};

use super::*;
use crate::expression::{Around, Ended, Scope};

const HEAD: &str = "mesh: v1\nname: w\n";

fn compile(text: &str) -> Result<Plan, Problems> {
    check(text, Format::Yaml, |_| Vec::new()).map(|(_, plan)| plan)
}

/// A workflow of the tasks `a`, `b` (needs a) and `c` (needs b), the last one with these further lines.
fn chain(lines: &str) -> String {
    let mut text =
        format!("{HEAD}tasks:\n  a: {{agent: x}}\n  b: {{agent: x, needs: [a]}}\n  c:\n    agent: x\n");
    if !lines.contains("needs") {
        text.push_str("    needs: [b]\n");
    }
    for line in lines.lines() {
        let _ = writeln!(text, "    {line}");
    }
    text
}

#[test]
fn a_plan_knows_its_graph() {
    let text = format!(
        "{HEAD}timeout: 2h\ntasks:\n  d: {{agent: x, needs: [c, b]}}\n  b: {{agent: x, needs: [a]}}\n  a: {{agent: x}}\n  \
         c: {{agent: x, needs: [a], when: tasks.a.output.ok}}\n"
    );
    let plan = compile(&text).unwrap();
    let ids: Vec<_> = plan.root.nodes.iter().map(|task| task.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c", "d"]);
    let needs: Vec<_> = plan.root.nodes.iter().map(|task| task.needs.clone()).collect();
    assert_eq!(needs, [vec![], vec![0], vec![0], vec![1, 2]]);
    let dependents: Vec<_> = plan.root.nodes.iter().map(|task| task.dependents.clone()).collect();
    assert_eq!(dependents, [vec![1, 2], vec![3], vec![3], vec![]]);
    assert_eq!(plan.root.index("c"), Some(2));
    assert_eq!(plan.root.index("z"), None);
    assert!(plan.root.nodes[2].when.is_some() && plan.root.nodes[1].when.is_none());
    assert_eq!(plan.timeout(), Duration::from_secs(7200));
    assert_eq!(plan.digest, plan.definition.digest());
    assert_eq!(compile(&chain("")).unwrap().timeout(), DEFAULT_RUN_TIMEOUT.get());
}

fn output(plan: &Plan) -> Value {
    let ended = |id: &TaskId| Ended { output: json!(id.as_str()), ..Ended::default() };
    let outputs = plan.root.nodes.iter().map(|task| (task.id.clone(), ended(&task.id))).collect();
    let (input, run) = (json!({"n": 1}), json!({"id": "0.x"}));
    let around = Around::tasks(&outputs);
    plan.root
        .output
        .render(&Scope { input: &input, config: &Value::Null, run: &run, around: &around, result: None })
        .unwrap()
}

#[test]
fn a_run_gives_what_is_defined_or_what_the_last_tasks_gave() {
    let text = format!(
        "{HEAD}tasks: {{a: {{agent: x}}, b: {{agent: x, needs: [a]}}, c: {{agent: x, needs: [a]}}}}\n"
    );
    assert_eq!(output(&compile(&text).unwrap()), json!({"b": "b", "c": "c"}));
    let text = format!("{text}output: {{all: '${{tasks.a.output}}-${{input.n}}', run: '${{run.id}}'}}\n");
    assert_eq!(output(&compile(&text).unwrap()), json!({"all": "a-1", "run": "0.x"}));
    let single = Definition::single_task(&mesh_schemas::Capability::new("x").unwrap());
    assert_eq!(output(&Plan::compile(&single).unwrap()), json!("task"));
}

#[test]
fn a_plan_can_be_shared() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    shared(&Arc::new(compile(&chain("")).unwrap()));
}

#[test]
fn every_refusal_names_its_place() {
    let tasks = |tasks: &str| format!("{HEAD}tasks: {tasks}\n");
    let a = "a: {agent: x}";
    let merge = |merge: &str| tasks(&format!("{{{a}, b: {{needs: [a], merge: {merge}}}}}"));
    let cases: &[(String, &str)] = &[
        (tasks("{}"), "3:1: tasks: a workflow has at least one task"),
        (
            tasks("{b: {agent: x, needs: [risc]}, risk: {agent: x}}"),
            "3:31: tasks.b.needs[0]: there is no task 'risc': did you mean 'risk'?",
        ),
        (tasks("{b: {agent: x, needs: [other]}}"), "tasks.b.needs[0]: there is no task 'other'"),
        (tasks("{b: {agent: x, needs: [b]}}"), "tasks.b.needs[0]: a task cannot need itself"),
        (chain("needs: [a, b, a]"), "8:19: tasks.c.needs[2]: 'a' is already in the list"),
        (
            tasks("{b: {agent: x, needs: [c]}, c: {agent: x, needs: [d]}, d: {agent: x, needs: [b]}}"),
            "3:23: tasks.b.needs: tasks need each other in a cycle: b → c → d → b",
        ),
        (tasks("{'a:1': {agent: x}}"), "tasks.a:1: a task id has no ':'"),
        (
            chain("tasks: {d: {agent: x}}"),
            "tasks.c.tasks: a task has one thing to do, and this one has 'agent' already",
        ),
        (tasks("{b: {tasks: {}}}"), "tasks.b.tasks: a group has at least one task"),
        (
            tasks("{b: {timeout: 3s, tasks: {c: {agent: x}}}}"),
            "tasks.b.timeout: 'timeout' goes with an agent: write it with the tasks of the group",
        ),
        (
            tasks("{b: {output: 1, switch: [{agent: x}]}}"),
            "'output' goes with an agent: write it with the cases of the switch",
        ),
        (
            tasks("{b: {workflow: w, agent: x}}"),
            "tasks.b.workflow: a task has one thing to do, and this one has 'agent' already",
        ),
        (
            tasks("{b: {workflow: w, action: x}}"),
            "tasks.b.action: 'action' goes with an agent: pass it to the workflow in 'with'",
        ),
        (tasks("{b: {agent: w, wait: false}}"), "tasks.b.wait: 'wait' goes with a workflow: leave it out"),
        (
            tasks(&format!("{{b: {{agent: w, version: 'sha256:{}'}}}}", "0".repeat(64))),
            "tasks.b.version: 'version' goes with a workflow: leave it out",
        ),
        (tasks("{b: {workflow: w, timeout: 0s}}"), "tasks.b.timeout: a timeout is longer than 0s"),
        (tasks("{b: {switch: []}}"), "tasks.b.switch: a switch has at least one case"),
        (
            tasks("{b: {switch: [{agent: x}, {when: 'true', agent: y}]}}"),
            "tasks.b.switch[0]: only the last case may go without 'when'",
        ),
        (tasks("{b: {merge: first}}"), "tasks.b.merge: there is nothing to merge: name the tasks in needs"),
        (merge("{by: first, from: [d]}"), "tasks.b.merge.from[0]: add 'd' to needs: it is not there"),
        (merge("{by: first, from: [a, a]}"), "tasks.b.merge.from[1]: 'a' is already in the list"),
        (
            merge("{by: first, weights: {quality: 1, speed: 0}}"),
            "tasks.b.merge.weights: weights count only where it is 'by: quality': leave them out",
        ),
        (
            merge("{by: first, default_quality: 0.9}"),
            "tasks.b.merge.default_quality: a quality counts only where it is 'by: quality': leave it out",
        ),
        (
            merge("{by: quality, weights: {quality: -1, speed: 2}}"),
            "tasks.b.merge.weights: weights are 0 or more, and one of them is more",
        ),
        (merge("{by: quality, default_quality: 2}"), "merge.default_quality: must be from 0 to 1, not 2"),
        (
            chain("foreach: {in: 5}"),
            "tasks.c.foreach.in: must be a list or an object, or one ${…} that gives one",
        ),
        (chain("foreach: {in: [1], max_parallel: 0}"), "tasks.c.foreach.max_parallel: must be at least 1"),
        (
            chain("foreach: {in: [1], max_items: 0}"),
            "tasks.c.foreach.max_items: must be from 1 to 100000, not 0",
        ),
        (chain("repeat: {until: 'true', max: 0}"), "tasks.c.repeat.max: must be from 1 to 10000, not 0"),
        (
            chain("foreach: [1]\nrepeat: {until: 'true', max: 1}")
                .replace("foreach: [1]", "foreach: {in: [1]}"),
            "tasks.c.repeat: a task has one loop: put the other one around a group",
        ),
        (tasks(&format!("{{{a}, b: {{agent: x, join: any}}}}")), "tasks.b.join: there is nothing to join"),
        (chain("join: {quorum: 2}"), "tasks.c.join.quorum: must be from 1 to 1, as many as it needs, not 2"),
        (chain("join: {quorum: 0%}"), "tasks.c.join.quorum: must be more than 0%"),
        (chain("with: '${item}'"), "tasks.c.with: there is no loop over items around"),
        (chain("foreach: {in: '${item}'}"), "tasks.c.foreach.in: there is no loop over items around"),
        (chain("with: '${previous}'"), "tasks.c.with: there is no loop that repeats around"),
        (chain("on_failure: {task: d}"), "tasks.c.on_failure.task: there is no task 'd'"),
        (chain("on_failure: {task: c}"), "tasks.c.on_failure.task: a task cannot stand in for itself"),
        (
            tasks("{b: {agent: x, on_failure: {task: c}}, c: {agent: x, needs: [b]}}"),
            "tasks.b.on_failure.task: 'c' waits for 'b' anyway: take 'b' out of its needs",
        ),
        (
            tasks(
                "{b: {agent: x, on_failure: {task: d}}, c: {agent: x, on_failure: {task: d}}, d: {agent: x}}",
            ),
            "tasks.c.on_failure.task: 'd' stands in for 'b' already",
        ),
        (
            tasks(
                "{b: {agent: x, on_failure: {task: d}}, c: {agent: x, needs: [b]}, d: {agent: x, needs: [c]}}",
            ),
            "tasks need each other in a cycle: c → d → c",
        ),
        (
            tasks("{b: {tasks: {b: {agent: x}}}}"),
            "tasks.b.tasks.b: 'b' is also a task around this one: expressions could mean either",
        ),
        (
            tasks("{b: {tasks: {c: {agent: x, with: '${tasks.d.output}'}}}, d: {agent: x}}"),
            "tasks.b.tasks.c.with: uses the output of 'd', which may not have ended: add 'd' to needs of 'b'",
        ),
        (
            tasks("{b: {tasks: {c: {agent: x, with: '${tasks.b.output}'}}}}"),
            "tasks.b.tasks.c.with: a task cannot use its own output",
        ),
        (
            tasks("{b: {tasks: {c: {agent: x}}}, d: {agent: x, needs: [b], with: '${tasks.c.output}'}}"),
            "tasks.d.with: 'c' is a task of 'b', and what is in there is not seen here",
        ),
        (chain("when: tasks.x.output"), "9:11: tasks.c.when: there is no task 'x'"),
        (
            chain("needs: []\nwhen: tasks.b.output"),
            "9:11: tasks.c.when: uses the output of 'b', which may not have ended: add 'b' to needs",
        ),
        (
            chain("needs: []\nwith: {x: ['${tasks.a.output}']}"),
            "9:16: tasks.c.with.x[0]: uses the output of 'a'",
        ),
        (chain("with: '${tasks.c.output}'"), "tasks.c.with: a task cannot use its own output: use 'result'"),
        (chain("with: '${result.x}'"), "9:11: tasks.c.with: 'result' is what the agent returned"),
        (chain("when: result.x"), "tasks.c.when: 'result' is what the agent returned"),
        (
            format!("{}output: '${{result}}'", tasks(&format!("{{{a}}}"))),
            "4:9: output: 'result' is what the agent returned",
        ),
        (
            format!("{}output: {{y: '${{tasks.z.output}}'}}", tasks(&format!("{{{a}}}"))),
            "4:13: output.y: there is no task 'z'",
        ),
        (chain("with: {x: '${inptu}'}"), "9:15: tasks.c.with.x: unknown name 'inptu': did you mean 'input'?"),
        (chain("when: sise(input) > 1"), "unknown function 'sise': did you mean 'size'?"),
        (chain("when: input.a >"), "9:11: tasks.c.when: "),
        (chain("when: '${input.a'"), "'${' without its '}'"),
        (
            chain("retry: {max_attempts: 0}"),
            "9:27: tasks.c.retry.max_attempts: must be from 1 to 1000, not 0",
        ),
        (
            chain("retry: {max_attempts: 1001}"),
            "tasks.c.retry.max_attempts: must be from 1 to 1000, not 1001",
        ),
        (chain("retry: {factor: 0.5}"), "tasks.c.retry.factor: must be from 1 to 100, not 0.5"),
        (chain("retry: {jitter: 1.5}"), "tasks.c.retry.jitter: must be from 0 to 1, not 1.5"),
        (
            chain("retry: {initial: 1m}"),
            "9:22: tasks.c.retry.initial: the first pause (1m) is longer than the longest (30s)",
        ),
        (chain("timeout: 0s"), "9:14: tasks.c.timeout: a timeout is longer than 0s"),
        (
            format!("timeout: 0s\n{}", tasks(&format!("{{{a}}}"))),
            "1:10: timeout: a timeout is longer than 0s",
        ),
    ];
    for (text, expected) in cases {
        let problems = compile(text).expect_err(text);
        assert!(problems.to_string().contains(expected), "{text}\n{problems}\nlacks: {expected}");
        assert_eq!(problems.0.len(), 1, "{text}\n{problems}");
        assert!(problems.0[0].position.is_some());
    }
}

#[test]
fn outputs_of_all_that_ended_before_can_be_used() {
    assert!(
        compile(&chain(
            "when: tasks.a.output && tasks.b.output\nwith: ${run.id}\noutput: '${result} ${tasks.a.output}'"
        ))
        .is_ok()
    );
    assert!(compile(&format!("{}output: '${{tasks.a.output}}'\n", chain(""))).is_ok());
}

#[test]
fn all_problems_come_at_once() {
    let text = format!(
        "{HEAD}output: ${{tasks.q.output}}\ntasks:\n  a: {{agent: x, needs: [b], when: foo && bar}}\n  \
         b: {{agent: x, needs: [a], timeout: 0s}}\n  c: {{agent: x, needs: [d]}}\n  d: {{agent: x, needs: [c, z]}}\n"
    );
    let problems = compile(&text).unwrap_err();
    let told = problems.to_string();
    for part in ["no task 'q'", "a → b → a", "'foo'", "'bar'", "0s", "c → d → c", "no task 'z'"] {
        assert!(told.contains(part), "{told}\nlacks: {part}");
    }
    assert_eq!(problems.0.len(), 7, "{told}");
    assert!(problems.0.is_sorted_by_key(|problem| problem.position));
    assert!(
        compile("mesh: v1\nname: w\ntasks: {a: {agnet: x}}")
            .unwrap_err()
            .to_string()
            .starts_with("3:13: tasks.a: unknown key")
    );
}

/// What cannot be read hides nothing of the rest, and makes nothing wrong that refers to it.
#[test]
fn problems_of_the_whole_come_beside_those_of_a_part() {
    let broken = [
        "b: {agent: No Name, timeout: soon}",
        "b: 5",
        "b: {}",
        "b: {tasks: {No: {agent: x}}}",
        "b: {switch: [1, {agent: x}]}",
        "No: {agent: x}\n  b: {agent: x, when: ''}",
    ];
    for broken in broken {
        for head in [HEAD, "mesh: v1\nname: No Name\n", "name: w\n"] {
            let text = format!(
                "{head}tasks:\n  a: {{agent: x, needs: [zz]}}\n  c: {{agent: x, needs: [b], with: '${{tasks.b.output}}'}}\n  {broken}\n"
            );
            let told = compile(&text).unwrap_err();
            let of = |part: &str| told.0.iter().filter(|problem| problem.path.starts_with(part)).count();
            assert!(told.to_string().contains("no task 'zz'"), "{text}\n{told}");
            assert_eq!((of("tasks.a"), of("tasks.c")), (1, 0), "{text}\n{told}");
        }
    }
    let newer = compile("mesh: v2\nname: w\ntasks: {a: {agent: x, needs: [zz]}}").unwrap_err();
    assert_eq!(newer.0.len(), 1, "{newer}");
}

/// A workflow of so many tasks; each needs those at the places that `needs` gives it.
fn built(count: usize, needs: impl Fn(usize) -> Vec<usize>, with: impl Fn(usize) -> Value) -> Definition {
    let mut builder = Definition::builder("w").unwrap();
    for n in 0..count {
        let mut task = TaskBuilder::new("x").unwrap().with(with(n));
        for need in needs(n) {
            task = task.needs(&format!("t{need:06}")).unwrap();
        }
        builder = builder.task(&format!("t{n:06}"), task).unwrap();
    }
    builder.output(json!("done")).build()
}

fn before(n: usize) -> Vec<usize> {
    n.checked_sub(1).into_iter().collect()
}

fn the_problem(definition: &Definition) -> String {
    let problems = Plan::compile(definition).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].to_string()
}

#[test]
fn as_many_tasks_as_are_allowed_are_compiled_in_sequence_and_side_by_side() {
    // Each in a time that grows with their number, or this test would not end.
    assert!(Plan::compile(&built(MAX_TASKS, before, |n| json!(n))).is_ok());
    assert!(Plan::compile(&built(10_000, |_| Vec::new(), |n| json!(n))).is_ok());
    assert_eq!(
        the_problem(&built(MAX_TASKS + 1, before, |n| json!(n))),
        "tasks: a workflow has at most 100000 tasks, this one 100001"
    );
    // Two layers of which each task needs every one of the other.
    let layers = |n: usize| if n < 1_001 { Vec::new() } else { (0..1_001).collect() };
    assert_eq!(
        the_problem(&built(2_001, layers, |n| json!(n))),
        "tasks: the tasks of a workflow have at most 1000000 needs in all, these 1001000"
    );
}

#[test]
fn what_stands_far_before_can_be_used_by_many() {
    let uses = |other: usize| json!(format!("${{tasks.t{other:06}.output}}"));
    // The first, that which is two before, and the middle of a chain; in a chain nothing has to be searched for.
    let far = |n: usize| if n < 2 { json!(0) } else { uses([0, n - 2, n / 2][n % 3]) };
    assert!(Plan::compile(&built(3_000, before, far)).is_ok());
    // All of a layer, by way of a gate, from each of another layer.
    let gate = |n: usize| match n {
        0..1_000 => Vec::new(),
        1_000 => (0..1_000).collect(),
        _ => vec![1_000],
    };
    assert!(
        Plan::compile(&built(2_000, gate, |n| if n > 1_000 { uses(n - 1_001) } else { json!(0) })).is_ok()
    );
}

#[test]
fn a_long_cycle_is_told_in_short() {
    let around = |n: usize| vec![(n + 99_999) % 100_000];
    assert_eq!(
        the_problem(&built(100_000, around, |n| json!(n))),
        "tasks.t000000.needs: tasks need each other in a cycle: t000000 → t099999 → t099998 → t099997 → t099996 → \
         (99990 more) → t000005 → t000004 → t000003 → t000002 → t000001 → t000000"
    );
}

#[test]
fn many_slips_are_told_as_quickly_as_one() {
    let mut definition = built(20_000, |_| Vec::new(), |n| json!(n));
    for task in definition.tasks.values_mut() {
        task.needs.push("t00000".parse().unwrap());
    }
    let problems = Plan::compile(&definition).unwrap_err();
    assert_eq!(problems.len(), 20_000);
    assert_eq!(problems[0].message, "there is no task 't00000': did you mean 't000000'?");
    assert_eq!(problems[19_999].message, "there is no task 't00000'");
}

#[test]
fn null_cannot_be_told_from_absent() {
    let task = TaskBuilder::new("x").unwrap().with(Value::Null).output(Value::Null);
    let definition = Definition::builder("w").unwrap().task("a", task).unwrap().output(Value::Null).build();
    let problems = Plan::compile(&definition).unwrap_err();
    let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["output", "tasks.a.output", "tasks.a.with"]);
}
