//! `mesh workflow test`: definitions tried on cases, and on runs that have ended.

use std::path::Path;

use anyhow::{Context as _, Result};
use mesh_agents::{Agent, Context, TaskFailure};
use mesh_bus::topology::Stream;
use mesh_schemas::RunId;
use mesh_tests::{TestServer, World};
use serde_json::{Value, json};

use crate::support::Person;

const ORDER: &str = "
mesh: v1
name: order
output: {sent: '${tasks.ship.output}'}
tasks:
  check: {agent: checker, retry: {initial: 20ms, jitter: 0}}
  charge: {agent: bank, needs: [check], when: tasks.check.output > 10, with: {sum: '${input.sum}'}}
  ship: {agent: carrier, needs: [charge], on_skipped: run}
";

const CASES: &str = "
mesh: v1
input: {sum: 50}
mocks: {check: {output: 50}, charge: {output: paid}, ship: {output: T-1}}
cases:
  - name: an order
    expect:
      completed: {output: {sent: T-1}}
  - name: an order that is free
    mocks: {check: {output: 0}}
    expect:
      tasks: {charge: skipped}
";

/// Somebody without a server.
fn alone() -> Result<Person> {
    let person = Person::new()?.with("MESH_NATS_URL", "nats://127.0.0.1:1");
    person.file("order.yaml", ORDER)?;
    person.file("cases.yaml", CASES)?;
    Ok(person)
}

#[tokio::test]
async fn cases_need_no_server() -> Result<()> {
    let person = alone()?;
    let test = ["workflow", "test", "order.yaml", "cases.yaml"];
    let all = person.says(&test).await?.well()?;
    assert_eq!(all, "ok      an order\nok      an order that is free\n2 cases: 2 ok\n");
    let one = person.says(&[&test[..], &["--case", "an order"]].concat()).await?.well()?;
    assert_eq!(one, "ok      an order\n1 case: 1 ok\n");
    let report = person.says(&[&test[..], &["-o", "json"]].concat()).await?.json()?;
    assert_eq!((&report["workflow"], &report["passed"]), (&json!("order"), &json!(true)));
    assert_eq!(
        report["cases"][1]["run"]["tasks"]["charge"],
        json!({"status": "skipped", "attempts": 0}),
        "{report}"
    );
    let yaml = person.says_to(ORDER, &["workflow", "test", "-", "cases.yaml", "-o", "yaml"]).await?.well()?;
    assert!(yaml.contains("passed: true\n"), "{yaml}");
    person.file(
        "cases.json",
        r#"{"mesh": "v1", "cases": [{"name": "a", "expect": {"took": "0s"}, "input": {"sum": 1},
        "mocks": {"check": {"output": 1}, "ship": {"output": 1}}}]}"#,
    )?;
    assert_eq!(
        person.says(&["workflow", "test", "order.yaml", "cases.json"]).await?.well()?,
        "ok      a\n1 case: 1 ok\n"
    );
    Ok(())
}

#[tokio::test]
async fn the_cases_of_the_guide_hold() -> Result<()> {
    let guide = include_str!("../../../orchestrator/cli/README.md");
    let blocks = || guide.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let block = |part| blocks().find(|block| block.contains(part)).with_context(|| format!("no {part:?}"));
    let person = Person::new()?;
    person.file("order.yaml", block("\nname: order\n")?)?;
    person.file("cases.yaml", block("\ncases:\n")?)?;
    let said = person.says(&["workflow", "test", "order.yaml", "cases.yaml"]).await?.well()?;
    assert!(said.ends_with("\n3 cases: 3 ok\n"), "{said}");
    Ok(())
}

#[tokio::test]
async fn what_is_not_as_expected_ends_in_1() -> Result<()> {
    let person = alone()?;
    // A changed definition, and the cases of before.
    let changed = ORDER.replace("> 10", ">= 0").replace("sent:", "number:");
    let said = person.says_to(&changed, &["workflow", "test", "-", "cases.yaml"]).await?;
    assert_eq!((said.code, said.err.as_str()), (1, ""));
    let expected = "\
FAILED  an order
        cases.yaml:8:34: expect.completed.output.sent: expected \"T-1\", found nothing
        cases.yaml:8:19: expect.completed.output.number: expected nothing, found \"T-1\"
FAILED  an order that is free
        cases.yaml:12:23: expect.tasks.charge.status: expected \"skipped\", found \"done\"
2 cases: 0 ok, 2 failed
";
    assert_eq!(said.out, expected);
    let said = person.says_to(&changed, &["workflow", "test", "-", "cases.yaml", "-o", "json"]).await?;
    let report: Value = serde_json::from_str(&said.out)?;
    assert_eq!((said.code, &report["passed"]), (1, &json!(false)));
    let finding = &report["cases"][1]["findings"][0];
    assert_eq!((&finding["line"], &finding["expected"]), (&json!(12), &json!("skipped")), "{report}");
    Ok(())
}

#[tokio::test]
async fn the_cases_of_the_example_pass() -> Result<()> {
    let person = Person::new()?.with("MESH_NATS_URL", "nats://127.0.0.1:1");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../agents/examples/merchant-onboarding");
    let (workflow, cases) = (example.join("workflow.yaml"), example.join("cases.yaml"));
    let files = [workflow.to_str().context("a path")?, cases.to_str().context("a path")?];
    let said = person.says(&["workflow", "test", files[0], files[1]]).await?.well()?;
    assert!(said.ends_with("\n10 cases: 10 ok\n"), "{said}");
    Ok(())
}

#[tokio::test]
async fn the_example_of_the_help_holds() -> Result<()> {
    let person = alone()?;
    let helped = "
mesh: v1
name: order
output: {status: refused, by: '${tasks.notify.output}'}
tasks:
  check: {agent: checker}
  charge: {agent: bank, needs: [check], when: tasks.check.output.ok}
  notify: {agent: mailer, needs: [charge], on_skipped: run}
";
    let help = person.says(&["workflow", "test", "--help"]).await?.well()?;
    let (_, example) = help.split_once("A file of cases:\n").context("an example")?;
    let (example, _) = example.split_once("All keys").context("its end")?;
    person.file("order.yaml", helped)?;
    let said = person.says_to(example, &["workflow", "test", "order.yaml", "-"]).await?.well()?;
    assert_eq!(said, "ok      an order that is too large\n1 case: 1 ok\n");
    Ok(())
}

/// An agent whose check gives the sum, after as many failures as the input asks for.
async fn check(ctx: Context, input: Value) -> Result<Value, TaskFailure> {
    if u64::from(ctx.attempt().get()) <= input["fail_first"].as_u64().unwrap_or_default() {
        return Err(TaskFailure::retryable("busy", "not yet"));
    }
    Ok(input["sum"].clone())
}

async fn done(_ctx: Context, _input: Value) -> Result<Value, TaskFailure> {
    Ok(json!("T-1"))
}

/// Starts a run, and waits for its end.
async fn ended(world: &World, input: Value) -> Result<RunId> {
    let run = world.start("order", input).await?;
    world.ended(run).await?;
    Ok(run)
}

#[tokio::test]
async fn recorded_runs_are_played_again_with_a_changed_definition() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(ORDER).await?;
    let person = Person::of(&world)?;
    person.file("order.yaml", ORDER)?;
    person.file("cases.yaml", CASES)?;
    let none = person.says(&["workflow", "test", "order.yaml", "--against", "last:5"]).await?;
    assert!(none.code == 1 && none.err.contains("no run of 'order' has ended yet"), "{none:?}");

    let agent = Agent::builder("all")
        .capability("checker", check)
        .capability("bank", done)
        .capability("carrier", done);
    let agent = world.agent(agent).await?;
    let large = ended(&world, json!({"sum": 50})).await?;
    let tried_again = ended(&world, json!({"sum": 20, "fail_first": 2})).await?;
    let free = ended(&world, json!({"sum": 0})).await?;
    let failed = ended(&world, json!({"sum": 20, "fail_first": 3})).await?;
    agent.stop().await?;
    // One that nobody works at is cancelled, and one goes on.
    let cancelled = world.start("order", json!({"sum": 1})).await?;
    world.first(Stream::Events, &format!("workflow.started.order.-.{cancelled}")).await?;
    person.says(&["runs", "cancel", &cancelled.to_string(), "--wait"]).await?.well()?;
    world.start("order", json!({"sum": 1})).await?;

    let same = person.says(&["workflow", "test", "order.yaml", "cases.yaml", "--against", "last:9"]).await?;
    assert_eq!(same.err, "'order' has only 5 runs that ended\n");
    let same = same.well()?;
    assert!(same.starts_with("ok      an order\n") && same.ends_with("\n5 runs: 5 same\n"), "{same}");

    // Charges from 0 on, tries once more, and has orders above 40 looked at by somebody new.
    let changed = ORDER.replace("> 10", ">= 0").replace("{initial: 20ms", "{max_attempts: 4, initial: 20ms")
        + "  look: {agent: person, needs: [check], when: tasks.check.output > 40}\n";
    let said = person.says_to(&changed, &["workflow", "test", "-", "--against", "last:5"]).await?;
    assert_eq!((said.code, said.err.as_str()), (1, ""));
    let sections: Vec<&str> = said.out.split("\n\n").collect();
    let rows: Vec<Vec<&str>> = sections[0].lines().map(|line| line.split_whitespace().collect()).collect();
    let run = |run: RunId| run.to_string();
    let names = [run(large), run(tried_again), run(free), run(failed), run(cancelled)];
    assert_eq!(
        rows,
        [
            vec!["RUN", "RESULT", "WAS", "WOULD", "BE"],
            vec![&names[0], "unknown", "completed", "?"],
            vec![&names[1], "same", "completed", "completed"],
            vec![&names[2], "unknown", "completed", "?"],
            vec![&names[3], "unknown", "failed", "?"],
            vec![&names[4], "same", "cancelled", "cancelled"],
        ]
    );
    let untold = |task: &str, attempt: u32| {
        format!(
            "  attempt {attempt} of task '{task}' has no recorded outcome: how the run goes on from there cannot be told"
        )
    };
    let expected = [
        format!("{large}\n  task 'look' was not there, would be active\n{}", untold("look", 1)),
        format!("{free}\n  task 'charge' was skipped, would be active\n{}", untold("charge", 1)),
        format!("{failed}\n  task 'check': attempts was 3, would be 4\n{}", untold("check", 4)),
        "5 runs: 2 same, 3 not known\n".to_owned(),
    ];
    assert_eq!(sections[1..], expected);

    // What it returns has another name.
    person.file("renamed.yaml", &ORDER.replace("sent:", "number:"))?;
    let against = ["workflow", "test", "renamed.yaml", "--against", "last:3", "-o", "json"];
    let said = person.says(&against).await?;
    let report: Value = serde_json::from_str(&said.out)?;
    assert_eq!((said.code, &report["passed"], &report["cases"]), (1, &json!(false), &Value::Null));
    let runs = report["runs"].as_array().context("runs")?;
    let results: Vec<_> = runs.iter().map(|run| [&run["run"], &run["result"]]).collect();
    let expected = [(free, "differs"), (failed, "same"), (cancelled, "same")]
        .map(|(run, result)| [json!(run), json!(result)]);
    assert_eq!(results, expected.each_ref().map(|[run, result]| [run, result]));
    let change = &runs[0]["changes"][0];
    assert_eq!(
        (&change["what"], &change["place"], &change["was"]),
        (&json!("output"), &json!(".sent"), &json!("T-1")),
        "{report}"
    );
    orchestrator.stop().await
}

#[tokio::test]
async fn runs_of_older_definitions_are_played_again_too() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = Agent::builder("all")
        .capability("checker", check)
        .capability("bank", done)
        .capability("carrier", done);
    let agent = world.agent(agent).await?;
    world.apply(ORDER).await?;
    ended(&world, json!({"sum": 20})).await?;
    world.apply(&ORDER.replace("> 10", "> 30")).await?;
    ended(&world, json!({"sum": 20})).await?;
    let person = Person::of(&world)?;
    person.file("order.yaml", ORDER)?;
    let said = person.says(&["workflow", "test", "order.yaml", "--against", "last:2", "-o", "json"]).await?;
    let report: Value = serde_json::from_str(&said.out)?;
    let results = [&report["runs"][0]["result"], &report["runs"][1]["result"]];
    assert_eq!((said.code, results), (1, [&json!("same"), &json!("unknown")]), "{report}");
    let unrecorded = &report["runs"][1]["unrecorded"];
    assert_eq!(unrecorded, &json!([{"task": "charge", "attempt": 1}]), "{report}");
    agent.stop().await?;
    orchestrator.stop().await
}
