use std::fmt::Write as _;
use std::sync::Arc;

use mesh_schemas::definition::TaskBuilder;
use mesh_schemas::document::{Format, Problems};
use mesh_schemas::{Definition, TaskId};
use serde_json::{Value, json};

use super::*;
use crate::expression::Scope;

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
    let ids: Vec<_> = plan.tasks.iter().map(|task| task.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c", "d"]);
    let needs: Vec<_> = plan.tasks.iter().map(|task| task.needs.clone()).collect();
    assert_eq!(needs, [vec![], vec![0], vec![0], vec![1, 2]]);
    let dependents: Vec<_> = plan.tasks.iter().map(|task| task.dependents.clone()).collect();
    assert_eq!(dependents, [vec![1, 2], vec![3], vec![3], vec![]]);
    assert_eq!(plan.index(&TaskId::new("c").unwrap()), Some(2));
    assert_eq!(plan.index(&TaskId::new("z").unwrap()), None);
    assert!(plan.tasks[2].when.is_some() && plan.tasks[1].when.is_none());
    assert_eq!(plan.timeout(), Duration::from_secs(7200));
    assert_eq!(plan.digest, plan.definition.digest());
    assert_eq!(compile(&chain("")).unwrap().timeout(), DEFAULT_RUN_TIMEOUT.get());
}

fn output(plan: &Plan) -> Value {
    let outputs = plan.tasks.iter().map(|task| (task.id.clone(), json!(task.id.as_str()))).collect();
    let (input, run) = (json!({"n": 1}), json!({"id": "0.x"}));
    plan.output.render(&Scope { input: &input, outputs: &outputs, run: &run, result: None }).unwrap()
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

#[test]
fn size_and_depth_are_bounded() {
    let build = |count: usize, needs_before: bool| {
        let mut builder = Definition::builder("w").unwrap();
        for n in 0..count {
            let mut task = TaskBuilder::new("x").unwrap();
            if needs_before && n > 0 {
                task = task.needs(&format!("t{:04}", n - 1)).unwrap();
            }
            builder = builder.task(&format!("t{n:04}"), task).unwrap();
        }
        Plan::compile(&builder.build())
    };
    let message = |problems: Result<Plan, Vec<Problem>>| {
        let problems = problems.unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].to_string()
    };
    assert!(build(MAX_TASKS, false).is_ok());
    assert_eq!(
        message(build(MAX_TASKS + 1, false)),
        "tasks: a workflow has at most 1000 tasks, this one 1001"
    );
    assert!(build(MAX_DEPTH, true).is_ok());
    let deep = message(build(600, true));
    assert_eq!(deep, "tasks.t0500.needs: a chain of tasks that need each other has more than 500");
}

#[test]
fn null_cannot_be_told_from_absent() {
    let task = TaskBuilder::new("x").unwrap().with(Value::Null).output(Value::Null);
    let definition = Definition::builder("w").unwrap().task("a", task).unwrap().output(Value::Null).build();
    let problems = Plan::compile(&definition).unwrap_err();
    let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["output", "tasks.a.output", "tasks.a.with"]);
}
