//! `mesh start --local`: a workflow in one process, without a server.

use anyhow::{Context as _, Result, ensure};
use mesh_tests::{Fifo, patiently};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::spoken::{Spoken, normal};
use crate::support::Person;

const NOTHING_IS_DURABLE: &str =
    "nothing is durable: the run is in this process only, and when the process ends, all of it is gone\n";

const ONE: &str = "
mesh: v1
name: one
output: '${tasks.t.output}'
tasks: {t: {agent: work, retry: {initial: 20ms, jitter: 0}}}
";

const CHAIN: &str = "
mesh: v1
name: chain
input: {type: object, properties: {n: {type: integer}, mail: {type: string, minLength: 3}}}
output: '${tasks.b.output}'
tasks:
  a: {agent: first, with: {n: '${input.n + 1}'}}
  b: {agent: second, needs: [a], with: '${tasks.a.output}'}
";

/// Somebody with a workflow, and nothing that could be a server.
fn somebody(workflow: &str) -> Result<Person> {
    // Were it used, this address would be an error.
    let person = Person::new()?.with("MESH_NATS_URL", "nats://127.0.0.1:1");
    person.file("flow.yaml", workflow)?;
    Ok(person)
}

/// The arguments of a run of the workflow whose work a command does.
fn by<'a>(agent: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["start", "--local", "flow.yaml", "--agent", agent], more].concat()
}

#[tokio::test]
async fn a_workflow_starts_runs_of_others_without_a_server() -> Result<()> {
    let outer = "{mesh: v1, name: outer, output: '${tasks.all.output}', tasks: {all: {foreach: {in: [1, 2]}, workflow: inner, with: \
                 '${item}'}}}";
    let person = somebody(outer)?;
    person.file(
        "inner.yaml",
        "{mesh: v1, name: inner, output: ['${tasks.t.output}'], tasks: {t: {agent: work, with: '${input}'}}}",
    )?;
    let said = person.says(&by("work=cat", &["--local", "inner.yaml"])).await?;
    assert_eq!(said.json()?, json!([[1], [2]]));
    Ok(())
}

#[tokio::test]
async fn a_workflow_runs_without_a_server() -> Result<()> {
    let person = somebody(CHAIN)?;
    // A pipe, a variable and two commands: what is written for a shell means what it means there.
    let more = [
        "--agent",
        "second=echo seen >&2; read -r task; echo \"[$task, \\\"$MESH_TASK\\\"]\"",
        "--input",
        r#"{"n": 1}"#,
    ];
    let arguments = by("first=cat | cat", &more);
    let said = person.says(&arguments).await?;
    assert_eq!(said.err.matches(NOTHING_IS_DURABLE).count(), 1, "{said:?}");
    let line = said.err.lines().find(|line| line.ends_with(r#"seen from="stderr""#)).unwrap_or_default();
    assert!(line.contains("task=b ") && !said.err.contains("ready"), "{said:?}");
    assert_eq!(said.json()?, json!([{"n": 2}, "b"]));
    let yaml = person.says(&[&arguments[..], &["-o", "yaml", "--wait"]].concat()).await?;
    assert_eq!(yaml.well()?, "- \"n\": 2\n- b\n");
    let mine = "work=echo \"\\\"$MESH_CORRELATION_ID\\\"\"";
    let piped = ["start", "--local", "-", "--agent", mine, "--correlation-id", "mine"];
    assert_eq!(person.says_to(ONE, &piped).await?.json()?, "mine");
    Ok(())
}

#[tokio::test]
async fn a_url_is_an_http_service() -> Result<()> {
    let person = somebody(ONE)?;
    let service = TcpListener::bind("127.0.0.1:0").await?;
    let agent = format!("work=http://{}/do?key=hunter2", service.local_addr()?);
    let arguments = by(&agent, &["--input", r#"{"n":1}"#]);
    let asked = async {
        let (mut stream, _) = patiently("a request", service.accept()).await??;
        let mut request = String::new();
        while !request.ends_with(r#"{"n":1}"#) {
            let mut part = [0; 4096];
            let count = patiently("the request", stream.read(&mut part)).await??;
            ensure!(count > 0, "the request ends early: {request}");
            request.push_str(std::str::from_utf8(&part[..count])?);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n\"ok\"").await?;
        Ok(request)
    };
    let (said, request) = tokio::try_join!(person.says(&arguments), asked)?;
    assert!(request.starts_with("POST /do?key=hunter2 HTTP/1.1\r\n"), "{request}");
    assert!(!said.err.contains("hunter2"), "{said:?}");
    assert_eq!(said.json()?, "ok");
    Ok(())
}

#[tokio::test]
async fn the_exit_code_tells_the_outcome() -> Result<()> {
    let person = somebody(ONE)?;
    let failed = person.says(&by("work=echo what is wrong >&2; exit 65", &[])).await?;
    assert_eq!((failed.code, failed.out.as_str()), (4, ""), "{failed:?}");
    assert!(failed.err.contains("failed: task 't' failed: what is wrong (exit_65)\n"), "{failed:?}");
    assert!(!failed.err.contains("mesh runs"), "there is nothing to look at any more: {failed:?}");
    // The third attempt does it.
    let again = "work=test $MESH_ATTEMPT -eq 3 && echo $MESH_ATTEMPT";
    assert_eq!(person.says(&by(again, &[])).await?.well()?, "3\n");
    let person = somebody(CHAIN)?;
    let wrong = ["--agent", "second=cat", "--input", r#"{"n": "x", "mail": ""}"#];
    let rejected = person.says(&by("first=cat", &wrong)).await?;
    assert_eq!((rejected.code, rejected.out.as_str()), (3, ""), "{rejected:?}");
    for reason in ["rejected (invalid_input):", "input/n: ", "input/mail: "] {
        assert!(rejected.err.contains(reason), "{rejected:?}");
    }
    Ok(())
}

#[tokio::test]
async fn every_problem_of_a_definition_is_told_as_ever() -> Result<()> {
    let person = somebody("mesh: v1\nname: order\ntasks:\n  a: {agnet: x}\n  b: {agent: x, neds: [a]}\n")?;
    let validated = person.says(&["workflow", "validate", "flow.yaml"]).await?;
    let started = person.says(&by("x=cat", &[])).await?;
    assert_eq!((started.code, started.out, &started.err), (1, String::new(), &validated.err));
    assert!(started.err.lines().count() >= 2, "{validated:?}");
    Ok(())
}

/// What cannot go well is told before anything runs, and all of it.
#[tokio::test]
async fn nothing_runs_unless_every_task_has_its_agent() -> Result<()> {
    let person = somebody(CHAIN)?;
    let run = ["--agent", "second=touch second"];
    let cases: [(&str, &[&str], &[&str]); 6] = [
        (
            "frist=touch first",
            &[],
            &["--agent first=COMMAND", "--agent second=COMMAND", "did you mean 'first'?"],
        ),
        (
            "first=touch first",
            &["--agent", "first=cat"],
            &["--agent second=COMMAND", "'first' has 2 agents and can have one"],
        ),
        ("first=touch first", &["--agent", "second=no-such-program"], &["no program 'no-such-program'"]),
        ("first=touch first; (cat", &run, &["'first' cannot be run: the shell cannot read it: "]),
        (
            "first=./flow.yaml",
            &["--agent", "second=./nowhere"],
            &["./flow.yaml is no file", "there is no file ./nowhere"],
        ),
        (
            "first=http://:::/",
            &["--agent", "second=no-such-program"],
            &[
                "error[MESH-503]: the service for 'first': the URL cannot be used",
                "no program 'no-such-program'",
            ],
        ),
    ];
    for (agent, more, expected) in cases {
        let said = person.says(&by(agent, more)).await?;
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
        for expected in expected {
            assert!(said.err.contains(expected), "{expected} is missing: {said:?}");
        }
    }
    let unwritable =
        person.says(&by("first=touch first", &[&run[..], &["--events", "no/folder"]].concat())).await?;
    assert!(
        unwritable.code == 1 && unwritable.err.contains("cannot write the events to no/folder"),
        "{unwritable:?}"
    );
    for name in ["first", "second"] {
        assert!(!person.home().join(name).exists(), "{name} ran");
    }
    Ok(())
}

#[tokio::test]
async fn a_watched_run_shows_its_tasks() -> Result<()> {
    let person = somebody(CHAIN)?;
    let more = ["--agent", "second=echo no >&2; exit 65", "--input", r#"{"n": 1}"#, "--watch"];
    let said = person.says(&by("first=cat", &more)).await?;
    assert_eq!(said.code, 4, "{said:?}");
    let told = normal(&said.err);
    let lines: Vec<&str> = told.lines().filter(|line| !line.contains("  active  ")).collect();
    let expected = [
        NOTHING_IS_DURABLE.trim_end(),
        "TIME  run RUN of chain began",
        "TIME  a  done       #1 by local in DURATION",
        "TIME  b  failed     #1 by local in DURATION: exit_65: no",
        "TIME  run failed in DURATION",
        "failed: task 'b' failed: no (exit_65)",
        "`--events -` shows every event",
    ];
    assert_eq!(lines, expected);
    assert!(told.contains("TIME  a  active     #1 by local\n"), "{told}");
    Ok(())
}

#[tokio::test]
async fn the_events_of_a_run_can_be_kept() -> Result<()> {
    const TYPES: [&str; 5] =
        ["workflow.started", "task.created", "task.assigned", "task.completed", "workflow.completed"];
    let person = somebody(ONE)?;
    let said = person.says(&by("work=cat", &["--input", "[1]", "--events", "-", "-o", "json"])).await?;
    let events =
        said.well()?.lines().map(serde_json::from_str).collect::<serde_json::Result<Vec<Value>>>()?;
    let types: Vec<&Value> = events.iter().map(|event| &event["type"]).collect();
    assert_eq!(types, TYPES);
    assert_eq!(events[4]["data"]["output"], json!([1]));
    // Into a file, beside the output, and for people.
    let said = person.says(&by("work=cat", &["--input", "[1]", "--events", "log", "-o", "table"])).await?;
    assert_eq!(said.json()?, json!([1]));
    let log = std::fs::read_to_string(person.home().join("log"))?;
    let types: Vec<&str> = log.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(types, TYPES, "{log}");
    // Of a run that is refused, that is the event.
    let person = somebody(CHAIN)?;
    let wrong = ["--agent", "second=cat", "--input", "1", "--events", "-"];
    let refused = person.says(&by("first=cat", &wrong)).await?;
    assert!(refused.code == 3 && refused.out.contains("request.rejected"), "{refused:?}");
    Ok(())
}

/// Ctrl-C ends the run, and all that programs have started: also what does not heed SIGTERM.
#[tokio::test]
async fn an_interrupted_run_leaves_nothing_behind() -> Result<()> {
    for (how, signal) in [("--wait", Signal::INT), ("--watch", Signal::TERM)] {
        let mut pipe = Fifo::new()?;
        let person = somebody(ONE)?.with("PIPE", &pipe.path().to_string_lossy());
        let agent =
            "work=exec 3> \"$PIPE\"; trap '' TERM; sleep 1000 & echo begun >&3; while :; do sleep 1000; done";
        let running = Spoken::on_stderr(&person, &by(agent, &[how, "--events", "log"]))?;
        pipe.says("begun").await?;
        running.signal(signal)?;
        let said = running.ended().await?;
        assert_eq!((said.code, said.out.as_str()), (130, ""), "{said:?}");
        assert!(said.err.contains("cancelled: interrupted\n"), "{said:?}");
        pipe.ends().await?;
        let log = std::fs::read_to_string(person.home().join("log"))?;
        assert!(log.contains("cancel: interrupted\n") && log.contains("  workflow.cancelled  "), "{log}");
    }
    Ok(())
}

/// When a run has failed, nobody waits for its other tasks.
#[tokio::test]
async fn a_failed_run_leaves_nothing_behind() -> Result<()> {
    let mut pipe = Fifo::new()?;
    let workflow = "{mesh: v1, name: two, tasks: {a: {agent: slow}, b: {agent: bad}}}";
    let person = somebody(workflow)?.with("PIPE", &pipe.path().to_string_lossy()).with("MESH_LOG", "error");
    // The second fails as soon as the first is at it.
    let gate = pipe.folder().join("gate");
    let made = std::process::Command::new("mkfifo").arg(&gate).status()?;
    ensure!(made.success(), "mkfifo failed");
    let person = person.with("GATE", &gate.to_string_lossy());
    let slow = "slow=exec 3> \"$PIPE\"; echo begun >&3; echo > \"$GATE\"; sleep 1000";
    let said = person.says(&by(slow, &["--agent", "bad=cat \"$GATE\"; exit 65"])).await?;
    assert_eq!(said.code, 4, "{said:?}");
    pipe.says("begun").await?;
    pipe.ends().await
}

#[tokio::test]
async fn arguments_that_make_no_sense_are_refused() -> Result<()> {
    let person = somebody(ONE)?;
    let cases: [(&[&str], i32, &str); 8] = [
        (&["start", "one", "--local", "flow.yaml"], 2, "cannot be used with '--local <FILE>'"),
        (&["start", "--local", "flow.yaml", "--id", "1"], 2, "cannot be used with '--id <KEY>'"),
        (&["start", "--local", "flow.yaml", "--agent", "work"], 2, "write CAPABILITY=COMMAND"),
        (&["start", "--local", "flow.yaml", "--agent", "my work=cat"], 2, "is not a valid capability"),
        (&["start", "--local", "flow.yaml", "--nats-url", "nats://x"], 1, "takes no --nats-url"),
        (&["start", "one", "--agent", "work=cat"], 1, "`mesh agent exec`"),
        (&["start", "one", "--events", "-"], 1, "`mesh events --run @last`"),
        (&["start", "--local", "-", "--input", "-"], 1, "can be on stdin"),
    ];
    for (arguments, code, expected) in cases {
        let said = person.says(arguments).await?;
        assert!(said.code == code && said.err.contains(expected), "{arguments:?}: {said:?}");
    }
    let person = somebody("{mesh: v1, name: outer, tasks: {a: {workflow: inner}}}")?;
    let said = person.says(&["start", "--local", "flow.yaml"]).await?;
    assert!(
        said.err.contains("task 'a' starts a run of the workflow 'inner', which is not here: --local FILE"),
        "{said:?}"
    );
    Ok(())
}

/// More tasks than agents do at once, each a process, some of which fail at first.
#[tokio::test]
async fn a_wide_run_comes_to_its_end() -> Result<()> {
    let tasks: String = (0..100).map(|n| format!("  t{n}: {{agent: work, with: {n}}}\n")).collect();
    let sum: Vec<String> = (0..100).map(|n| format!("tasks.t{n}.output")).collect();
    let workflow = format!("mesh: v1\nname: wide\noutput: '${{{}}}'\ntasks:\n{tasks}", sum.join(" + "));
    let person = somebody(&workflow)?.with("MESH_LOG", "error");
    let agent = "work=read -r n; test $((n % 10)) -ne 0 -o $MESH_ATTEMPT -gt 1 || exit 1; echo $n";
    let said = person.says(&by(agent, &[])).await.context("a hundred tasks")?;
    assert_eq!(said.well()?, "4950\n");
    Ok(())
}

const CONFIGURED: &str = "
mesh: v1
name: configured
config: {model: small, limits: {words: 100}}
output: '${tasks.t.output}'
tasks: {t: {agent: work, with: '${config}'}}
";

#[tokio::test]
async fn values_of_the_configuration_are_set_by_hand_or_by_a_file() -> Result<()> {
    let person = somebody(CONFIGURED)?;
    person.file("config.yaml", "limits: {words: 9}\nmodel: medium\n")?;
    let said = person.says(&by("work=cat", &["--set-file", "config.yaml", "--set", "model=large"])).await?;
    assert_eq!(said.json()?, json!({"model": "large", "limits": {"words": 9}}));
    let said = person.says(&by("work=cat", &["--set", "limits.word=5", "--set", "model=7"])).await?;
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("config.limits.word: there is no such key: did you mean 'words'?"), "{said:?}");
    assert!(
        said.err.contains("config.model: expected text, found a number: put it in double quotes"),
        "{said:?}"
    );
    Ok(())
}

const GUARDED: &str = "
mesh: v1
name: guarded
output: '${tasks.t.output}'
tasks: {t: {agent: work, with: {key: 'a ${secret(\"api-key\")}'}, retry: {max_attempts: 1}}}
";

#[tokio::test]
async fn programs_are_given_secrets_and_do_not_tell_them() -> Result<()> {
    let person = somebody(GUARDED)?.with("MESH_SECRET_API_KEY", "hunter2");
    let agent =
        "work=task=$(cat); echo \"$task\" >&2; echo \"[$task, ${#task}, \\\"$MESH_SECRET_API_KEY\\\"]\"";
    let said = person.says(&by(agent, &["--events", "events.json", "--output", "json"])).await?;
    assert!(said.err.contains("[secret api-key]") && !said.err.contains("hunter2"), "{said:?}");
    assert_eq!(said.json()?, json!([{"key": "a [secret api-key]"}, r#"{"key":"a hunter2"}"#.len(), ""]));
    let events = std::fs::read_to_string(person.home().join("events.json"))?;
    assert!(events.contains("api-key") && !events.contains("hunter2"), "{events}");
    let said = somebody(GUARDED)?.says(&by(agent, &[])).await?;
    assert!(said.err.contains("the secret 'api-key' is not in the variable MESH_SECRET_API_KEY"), "{said:?}");
    Ok(())
}
