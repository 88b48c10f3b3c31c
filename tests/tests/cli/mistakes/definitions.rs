//! Mistakes in definitions of workflows.

use anyhow::Result;

use super::transcript::Transcript;
use crate::support::Person;

/// What is wrong, and the definition.
const WRONG: &[(&str, &str)] = &[
    ("a wrong indent", "mesh: v1\nname: order\ntasks:\n  check:\n    agent: checker\n   needs: []\n"),
    ("a tab", "mesh: v1\nname: order\ntasks:\n\tcheck: {agent: checker}\n"),
    ("a key that is misspelt", "mesh: v1\nname: order\ntasks:\n  check: {agnet: checker}\n"),
    (
        "a key a level too high",
        "mesh: v1\nname: order\nretry: {max_attempts: 3}\ntasks:\n  check: {agent: checker}\n",
    ),
    (
        "a key of a version to come",
        "mesh: v1\nname: order\ntasks:\n  check: {agent: checker, compensate: {agent: undoer}}\n",
    ),
    ("a number where a name belongs", "mesh: v1\nname: order\ntasks:\n  check: {agent: 7}\n"),
    (
        "a text where a list belongs",
        "mesh: v1\nname: order\ntasks:\n  check: {agent: checker}\n  ship: {agent: carrier, needs: check}\n",
    ),
    ("tasks as a list", "mesh: v1\nname: order\ntasks:\n  - agent: checker\n"),
    ("no agent", "mesh: v1\nname: order\ntasks:\n  check: {needs: []}\n"),
    ("no name", "mesh: v1\ntasks:\n  check: {agent: checker}\n"),
    ("no tasks", "mesh: v1\nname: order\n"),
    ("tasks without any", "mesh: v1\nname: order\ntasks: {}\n"),
    ("no version", "name: order\ntasks:\n  check: {agent: checker}\n"),
    ("an unknown version", "mesh: v2\nname: order\ntasks:\n  check: {agent: checker}\n"),
    ("a task twice", "mesh: v1\nname: order\ntasks:\n  check: {agent: checker}\n  check: {agent: carrier}\n"),
    ("a name with capitals and spaces", "mesh: v1\nname: My Order\ntasks:\n  check: {agent: checker}\n"),
    (
        "tasks in a circle",
        "mesh: v1\nname: order\ntasks:\n  a: {agent: x, needs: [b]}\n  b: {agent: x, needs: [a]}\n",
    ),
    ("a task that needs itself", "mesh: v1\nname: order\ntasks:\n  a: {agent: x, needs: [a]}\n"),
    (
        "an unknown task in needs",
        "mesh: v1\nname: order\ntasks:\n  check: {agent: checker}\n  ship: {agent: carrier, needs: [chek]}\n",
    ),
    (
        "an unknown task in an expression",
        "mesh: v1\nname: order\ntasks:\n  check: {agent: checker}\noutput: '${tasks.chek.output}'\n",
    ),
    (
        "the output of a task that is not needed",
        "mesh: v1\nname: order\ntasks:\n  check: {agent: checker}\n  ship: {agent: carrier, with: '${tasks.check.output}'}\n",
    ),
    (
        "an expression with an error",
        "mesh: v1\nname: order\ntasks:\n  check: {agent: checker, when: 'input.amount >'}\n",
    ),
    (
        "an expression that is not closed",
        "mesh: v1\nname: order\ntasks:\n  check: {agent: checker, with: {a: '${input.amount'}}\n",
    ),
    (
        "an unknown function",
        "mesh: v1\nname: order\ntasks:\n  check: {agent: checker, when: 'len(input.list) > 1'}\n",
    ),
    (
        "an unknown variable",
        "mesh: v1\nname: order\ntasks:\n  check: {agent: checker, when: 'inptu.amount > 1'}\n",
    ),
    (
        "a duration without a unit",
        "mesh: v1\nname: order\ntasks:\n  check: {agent: checker, timeout: '30'}\n",
    ),
    ("a number as a duration", "mesh: v1\nname: order\ntasks:\n  check: {agent: checker, timeout: 30}\n"),
    (
        "a duration that is too long",
        "mesh: v1\nname: order\ntasks:\n  check: {agent: checker, timeout: 200y}\n",
    ),
    (
        "a duration that is too fine",
        "mesh: v1\nname: order\ntasks:\n  check: {agent: checker, timeout: 5us}\n",
    ),
    (
        "impossible numbers of a retry",
        "mesh: v1\nname: order\ntasks:\n  check: {agent: checker, retry: {max_attempts: 0, factor: 0.5, jitter: 2}}\n",
    ),
    (
        "a schema that is none",
        "mesh: v1\nname: order\ninput: {type: strnig}\ntasks:\n  check: {agent: checker}\n",
    ),
    ("an empty file", ""),
    ("no YAML", "Hello, this is no workflow.\n"),
    ("a bracket that is not closed", "mesh: v1\nname: order\ntasks: {check: {agent: checker}\n"),
    ("several documents", "mesh: v1\nname: order\ntasks:\n  check: {agent: checker}\n---\nmesh: v1\n"),
];

#[tokio::test]
async fn definitions() -> Result<()> {
    let person = Person::new()?;
    let mut transcript = Transcript::new("definitions");
    let validate = ["workflow", "validate", "wrong.yaml"];
    for (mistake, definition) in WRONG {
        transcript.tries_file(mistake, &person, ("wrong.yaml", definition), &validate).await?;
    }
    let json = "{\n  \"mesh\": \"v1\",\n  \"name\": \"order\",\n  \"tasks\": {\"check\": {\"agent\": \"checker\"}},\n}\n";
    let validate = ["workflow", "validate", "wrong.json"];
    transcript.tries_file("a comma too many in JSON", &person, ("wrong.json", json), &validate).await?;
    transcript.tries("no such file", &person, &["workflow", "apply", "nowhere.yaml"]).await?;
    transcript.tries("a folder", &person, &["workflow", "validate", "."]).await?;
    transcript.tries("nothing on stdin", &person, &["workflow", "validate", "-"]).await?;
    let digest = ["workflow", "graph", "wrong.yaml", "--digest", "abc"];
    transcript.tries("a version of a file", &person, &digest).await?;
    transcript.holds()
}
