//! Mistakes in cases of workflows.

use anyhow::Result;

use super::transcript::Transcript;
use crate::support::Person;

const ORDER: &str = "\
mesh: v1
name: order
tasks:
  check: {agent: checker}
  ship: {agent: carrier, needs: [check], when: tasks.check.output.ok}
";

/// What is wrong, and the cases.
const WRONG: &[(&str, &str)] = &[
    ("an empty file of cases", ""),
    ("a definition in place of cases", ORDER),
    ("no case", "mesh: v1\ncases: []\n"),
    ("a case without a name", "mesh: v1\ncases:\n  - input: {}\n"),
    ("two cases of one name", "mesh: v1\ncases:\n  - name: a\n  - name: a\n"),
    ("a key of a case that is misspelt", "mesh: v1\ncases:\n  - name: a\n    mock: {check: {output: 1}}\n"),
    ("a mock of an unknown task", "mesh: v1\nmocks: {chekc: {output: 1}}\ncases:\n  - name: a\n"),
    ("a mock that is the output itself", "mesh: v1\nmocks: {check: {ok: true}}\ncases:\n  - name: a\n"),
    ("a mock with two outcomes", "mesh: v1\nmocks: {check: {output: 1, error: busy}}\ncases:\n  - name: a\n"),
    ("a task without a mock", "mesh: v1\ncases:\n  - name: a\n    input: {sum: 1}\n"),
    (
        "fewer answers than attempts",
        "mesh: v1\ncases:\n  - name: a\n    mocks: {check: [{error: busy}, {error: busy}]}\n",
    ),
    (
        "an expression that what is mocked does not fit",
        "mesh: v1\nmocks: {check: {output: 1}}\ncases:\n  - name: a\n",
    ),
    ("an unknown status", "mesh: v1\ncases:\n  - name: a\n    expect: {tasks: {ship: skiped}}\n"),
    ("two endings", "mesh: v1\ncases:\n  - name: a\n    expect: {failed: {}, cancelled: {}}\n"),
    (
        "something else than is expected",
        "mesh: v1\nmocks: {check: {output: {ok: false}}}\ncases:\n  - name: a\n    expect: {completed: {output: {ship: T-1}}}\n",
    ),
];

#[tokio::test]
async fn cases() -> Result<()> {
    let person = Person::new()?.with("MESH_NATS_URL", "nats://127.0.0.1:1");
    person.file("order.yaml", ORDER)?;
    let mut transcript = Transcript::new("cases");
    let test = ["workflow", "test", "order.yaml", "cases.yaml"];
    for (mistake, cases) in WRONG {
        transcript.tries_file(mistake, &person, ("cases.yaml", cases), &test).await?;
    }
    for (mistake, arguments) in [
        ("nothing to try it on", &["order.yaml"][..]),
        ("an unknown case", &["order.yaml", "cases.yaml", "--case", "b"]),
        ("a case of no file", &["order.yaml", "--against", "last:1", "--case", "b"]),
        ("both from stdin", &["-", "-"]),
        ("no such file of cases", &["order.yaml", "nowhere.yaml"]),
        ("runs that are not counted", &["order.yaml", "--against", "last"]),
        ("no runs at all", &["order.yaml", "--against", "last:0"]),
    ] {
        let typed = [&["workflow", "test"], arguments].concat();
        transcript.tries(mistake, &person, &typed).await?;
    }
    transcript.holds()
}
