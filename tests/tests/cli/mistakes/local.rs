//! Runs without a server that cannot begin, or fail.

use anyhow::Result;

use super::transcript::Transcript;
use crate::support::Person;

const ORDER: &str = "
mesh: v1
name: order
input: {type: object, required: [id]}
tasks:
  check: {agent: checker}
  ship: {agent: carrier, needs: [check]}
  bill: {agent: carrier, needs: [check]}
";

#[tokio::test]
async fn local() -> Result<()> {
    // What is logged has the time in it.
    let person = Person::new()?.with("MESH_LOG", "error");
    person.file("order.yaml", ORDER)?;
    person.file("ship.sh", "cat\n")?;
    let mut transcript = Transcript::new("local");
    let order = ["start", "--local", "order.yaml"];
    let served = ["--agent", "checker=cat", "--agent", "carrier=cat"];
    for (mistake, rest) in [
        ("no agents", &[][..]),
        ("a capability that is misspelt", &["--agent", "checker=cat", "--agent", "carier=cat"]),
        ("an agent too many", &[&served[..], &["--agent", "printer=lp"]].concat()),
        ("two agents for one capability", &[&served[..], &["--agent", "carrier=sh ship.sh"]].concat()),
        ("an agent without a capability", &["--agent", "cat"]),
        ("an agent that does nothing", &["--agent", "checker="]),
        ("programs that are not there", &["--agent", "checker=chekc --all", "--agent", "carrier=./ship"]),
        ("a script that may not be executed", &["--agent", "checker=cat", "--agent", "carrier=./ship.sh"]),
        ("an address that is none", &["--agent", "checker=cat", "--agent", "carrier=http://:80:/"]),
        ("an input that does not fit", &served),
        ("a name beside the file", &["order"]),
        ("an id", &["--id", "order-1"]),
        ("a server", &["--nats-url", "nats://127.0.0.1:4222"]),
        (
            "events into a folder that is not there",
            &[&served[..], &["--events", "logs/order.jsonl"]].concat(),
        ),
        (
            "a command that fails",
            &[
                "--agent",
                "checker=echo nobody to ask >&2; exit 65",
                "--agent",
                "carrier=cat",
                "--input",
                "{\"id\": 1}",
            ],
        ),
    ] {
        transcript.tries(mistake, &person, &[&order[..], rest].concat()).await?;
    }
    transcript.tries("no such file", &person, &["start", "--local", "nowhere.yaml"]).await?;
    transcript.tries("the file where the name belongs", &person, &["start", "order.yaml", "--local"]).await?;
    transcript.tries("agents, and no file", &person, &["start", "order", "--agent", "checker=cat"]).await?;
    transcript.tries("events, and no file", &person, &["start", "order", "--events", "-"]).await?;
    transcript.tries("two things on stdin", &person, &["start", "--local", "-", "--input", "-"]).await?;
    transcript.holds()
}
