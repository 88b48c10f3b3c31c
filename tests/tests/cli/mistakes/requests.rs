//! Runs that cannot start, or fail, and agents that cannot.

use anyhow::Result;
use mesh_tests::{TestServer, World};

use super::transcript::Transcript;
use crate::support::Person;
use crate::worker::{SINGLE, worker};

const STRICT: &str = "
mesh: v1
name: strict
input:
  type: object
  required: [id]
  additionalProperties: false
  properties: {n: {type: integer}, id: {type: string}, mail: {type: string, minLength: 3}}
tasks: {work: {agent: work}}
";

const MISSING: &str = "
mesh: v1
name: missing
tasks: {work: {agent: work, with: {total: '${input.order.total}'}}}
";

#[tokio::test]
async fn requests() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    gate.open_for_good();
    for definition in [SINGLE, STRICT, MISSING] {
        world.apply(definition).await?;
    }
    let person = Person::of(&world)?;
    let mut transcript = Transcript::of("requests", &world);
    transcript.tries("a workflow that is misspelt", &person, &["start", "sngle"]).await?;
    transcript.tries("a workflow that is not registered", &person, &["start", "other"]).await?;
    transcript.tries("a file instead of a name", &person, &["start", "order.yaml"]).await?;
    for (mistake, input) in [
        ("JSON that is not closed", "{\"a\": "),
        ("JSON with single quotes", "{'a': 1}"),
        ("JSON without quotes around a key", "{a: 1}"),
        ("a text without quotes", "hello"),
        ("a file that is not there", "nowhere.json"),
        ("a folder", "."),
        ("nothing on stdin", "-"),
    ] {
        transcript.tries(mistake, &person, &["start", "single", "--input", input]).await?;
    }
    let file = ("input.json", "{\"a\": 1,}\n");
    transcript
        .tries_file("a file that is not JSON", &person, file, &["start", "single", "--input", "input.json"])
        .await?;
    let wrong = ["start", "strict", "--input", r#"{"n": "x", "mail": "", "colour": "red"}"#];
    transcript.tries("an input that does not fit", &person, &wrong).await?;
    person.file("large.json", &format!("\"{}\"", "x".repeat(17_000_000)))?;
    transcript
        .tries("an input that is too large", &person, &["start", "single", "--input", "large.json"])
        .await?;
    person.file("deep.json", &format!("{}{}", "[".repeat(101), "]".repeat(101)))?;
    transcript
        .tries("an input that is too deep", &person, &["start", "single", "--input", "deep.json"])
        .await?;
    let missing = ["start", "missing", "--wait"];
    transcript.tries("an expression on a field that is missing", &person, &missing).await?;
    let broken = ["start", "single", "--wait", "--input", r#"{"fatal": true}"#];
    transcript.tries("an error of the agent", &person, &broken).await?;
    let call = ["call", "wrok", "{}", "--timeout", "6s"];
    transcript.tries("a capability that is misspelt", &person, &call).await?;
    transcript.tries("a capability that cannot be one", &person, &["call", "My Work", "{}"]).await?;
    transcript.tries("a call without input", &person, &["call", "work"]).await?;
    transcript.tries("a time that is none", &person, &["call", "work", "1", "--timeout", "soon"]).await?;
    agent.stop().await?;
    orchestrator.stop().await?;
    transcript.holds()
}

#[tokio::test]
async fn agents() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    world.orchestrator().await?.stop().await?;
    let person = Person::of(&world)?;
    person.file("agent.py", "print(1)\n")?;
    person.file("full/notes.txt", "mine\n")?;
    person.file("ca.pem", "no certificate\n")?;
    let mut transcript = Transcript::of("agents", &world);
    let exec = ["agent", "exec", "--capability", "greet"];
    for (mistake, rest) in [
        ("a program that is not there", &["--", "no-such-program"][..]),
        ("a path that is not there", &["--", "./nowhere.sh"]),
        ("a file that may not be executed", &["--", "./agent.py"]),
        ("a folder that is not there", &["--dir", "nowhere", "--", "cat"]),
        ("a variable that is taken", &["--env", "MESH_RUN_ID=x", "--", "cat"]),
        ("a variable without a value", &["--env", "COLOUR", "--", "cat"]),
        ("no program", &[]),
        ("a program without --", &["cat"]),
        ("a capacity of nothing", &["--capacity", "0", "--", "cat"]),
    ] {
        transcript.tries(mistake, &person, &[&exec[..], rest].concat()).await?;
    }
    let http = ["agent", "http", "--capability", "greet"];
    for (mistake, rest) in [
        ("an address without http", &["--url", "localhost:8080/greet"][..]),
        ("an address of something else", &["--url", "ftp://example.com/"]),
        ("no address", &[]),
        ("a header without a value", &["--url", "http://127.0.0.1:1/", "--header", "authorization"]),
        ("a header that is taken", &["--url", "http://127.0.0.1:1/", "--header", "mesh-run-id: x"]),
        ("an authority that is none", &["--url", "https://127.0.0.1:1/", "--ca", "ca.pem"]),
        ("an authority that is not there", &["--url", "https://127.0.0.1:1/", "--ca", "nowhere.pem"]),
    ] {
        transcript.tries(mistake, &person, &[&http[..], rest].concat()).await?;
    }
    transcript.tries("an agent without a capability", &person, &["agent", "exec", "--", "cat"]).await?;
    transcript.tries("an unknown language", &person, &["agent", "new", "--lang", "cobol", "mine"]).await?;
    transcript
        .tries("a folder that is not empty", &person, &["agent", "new", "--lang", "shell", "full"])
        .await?;
    transcript
        .tries("a folder with a name that is none", &person, &["agent", "new", "--lang", "shell", "My Agent"])
        .await?;
    let checkout = ["agent", "new", "--lang", "rust", "--checkout", "full", "mine"];
    transcript.tries("a checkout that is none", &person, &checkout).await?;
    let below = ["agent", "new", "--lang", "shell", "--capability", "greet", "agent.py/below"];
    transcript.tries("a folder below a file", &person, &below).await?;
    transcript.holds()
}
