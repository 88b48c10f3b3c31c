//! Mistakes in what workflows are made of: groups, switches, loops, joins, failures, schemas, configuration, secrets.

use anyhow::Result;

use super::transcript::Transcript;
use crate::support::Person;

/// What every one of these definitions begins with.
const BEGIN: &str = "mesh: v1\nname: order\n";

/// What is wrong, and the rest of the definition.
const WRONG: &[(&str, &str)] = &[
    ("two things to do", "tasks:\n  a: {agent: x, tasks: {b: {agent: y}}}\n"),
    (
        "a group with the keys of an agent",
        "tasks:\n  a:\n    with: 1\n    retry: {max_attempts: 2}\n    tasks: {b: {agent: y}}\n",
    ),
    ("a group without tasks", "tasks:\n  a: {tasks: {}}\n"),
    ("a group as a list", "tasks:\n  a:\n    tasks: [b, c]\n"),
    (
        "a task of a group that is named as one around it",
        "tasks:\n  a: {agent: x}\n  g:\n    tasks: {a: {agent: x}}\n",
    ),
    (
        "a need of a task outside of the group",
        "tasks:\n  a: {agent: x}\n  g:\n    tasks:\n      b: {agent: x, needs: [a]}\n",
    ),
    (
        "the output of a task within a group",
        "tasks:\n  g:\n    tasks: {b: {agent: x}}\n  c: {agent: x, needs: [g], with: '${tasks.b.output}'}\n",
    ),
    (
        "an output that a group around does not need",
        "tasks:\n  a: {agent: x}\n  g:\n    tasks:\n      b: {agent: x, with: '${tasks.a.output}'}\n",
    ),
    (
        "a circle through a group",
        "tasks:\n  g:\n    needs: [c]\n    tasks: {b: {agent: x}}\n  c: {agent: x, needs: [g]}\n",
    ),
    (
        "groups within groups within groups",
        "tasks:\n  a: {tasks: {b: {tasks: {c: {tasks: {d: {tasks: {e: {tasks: {f: {tasks: {g: {tasks: {h: {tasks: {i: {tasks: {j: {agent: x}}}}}}}}}}}}}}}}}}}\n",
    ),
    ("an id with a number of an item", "tasks:\n  'a:1': {agent: x}\n"),
    ("an id with a dash", "tasks:\n  check-it: {agent: x}\n"),
    ("a switch as an object", "tasks:\n  a:\n    switch: {when: 'true', agent: x}\n"),
    ("a switch without cases", "tasks:\n  a: {switch: []}\n"),
    (
        "a case that is always done before the last",
        "tasks:\n  a:\n    switch:\n      - {agent: x}\n      - {when: input.b, agent: y}\n",
    ),
    ("a case that does nothing", "tasks:\n  a:\n    switch:\n      - {when: input.b}\n"),
    (
        "a case with needs",
        "tasks:\n  a: {agent: x}\n  b:\n    switch:\n      - {when: input.b, agent: y, needs: [a]}\n",
    ),
    (
        "a switch with an output of its own",
        "tasks:\n  a:\n    output: '${result}'\n    switch:\n      - {agent: x}\n",
    ),
    ("a loop over a text", "tasks:\n  a: {agent: x, foreach: input.items}\n"),
    ("a loop over nothing", "tasks:\n  a: {agent: x, foreach: {max_parallel: 2}}\n"),
    (
        "impossible numbers of a loop",
        "tasks:\n  a: {agent: x, foreach: {in: '${input}', max_parallel: 0, max_items: 200000, tolerate: 120%}}\n",
    ),
    ("a misspelt key of a loop", "tasks:\n  a: {agent: x, foreach: {in: '${input}', max_paralel: 2}}\n"),
    ("an item without a loop", "tasks:\n  a: {agent: x, with: '${item}'}\n"),
    (
        "two loops at once",
        "tasks:\n  a: {agent: x, foreach: '${input}', repeat: {until: result.ok, max: 3}}\n",
    ),
    ("a repetition without an end", "tasks:\n  a: {agent: x, repeat: {until: result.ok}}\n"),
    ("a repetition without a condition", "tasks:\n  a: {agent: x, repeat: {max: 3}}\n"),
    (
        "a repetition that never is",
        "tasks:\n  a: {agent: x, repeat: {until: result.ok, max: 0, on_max: go_on}}\n",
    ),
    ("an iteration without a repetition", "tasks:\n  a: {agent: x, when: iteration > 1}\n"),
    ("a result before there is one", "tasks:\n  a: {agent: x, with: '${result}'}\n"),
    ("the output of the task itself", "tasks:\n  a: {agent: x, output: '${tasks.a.output}'}\n"),
    ("a join of nothing", "tasks:\n  a: {agent: x, join: any}\n"),
    ("an unknown join", "tasks:\n  a: {agent: x}\n  b: {agent: x, needs: [a], join: some}\n"),
    ("a quorum that cannot be", "tasks:\n  a: {agent: x}\n  b: {agent: x, needs: [a], join: {quorum: 2}}\n"),
    (
        "a quorum of nobody",
        "tasks:\n  a: {agent: x}\n  b: {agent: x, needs: [a], join: {quorum: 0%, deadline: 0s}}\n",
    ),
    (
        "a quorum that is no number",
        "tasks:\n  a: {agent: x}\n  b: {agent: x, needs: [a], join: {quorum: most, grce: 1s}}\n",
    ),
    ("an unknown word for what follows a failure", "tasks:\n  a: {agent: x, on_failure: ignore}\n"),
    ("a task that stands in for itself", "tasks:\n  a: {agent: x, on_failure: {task: a}}\n"),
    (
        "an unknown task that stands in",
        "tasks:\n  a: {agent: x, on_failure: {task: repiar}}\n  repair: {agent: x}\n",
    ),
    (
        "a task that stands in for two",
        "tasks:\n  a: {agent: x, on_failure: {task: c}}\n  b: {agent: x, on_failure: {task: c}}\n  c: {agent: x}\n",
    ),
    (
        "a task that stands in and waits anyway",
        "tasks:\n  a: {agent: x, on_failure: {task: b}}\n  b: {agent: x, needs: [a]}\n",
    ),
    (
        "an unknown word for what follows a skipped need",
        "tasks:\n  a: {agent: x}\n  b: {agent: x, needs: [a], on_skipped: go}\n",
    ),
    ("a need twice", "tasks:\n  a: {agent: x}\n  b: {agent: x, needs: [a, a]}\n"),
    ("a condition that is no text", "tasks:\n  a: {agent: x, when: true}\n"),
    ("a condition that may have no value", "tasks:\n  a: {agent: x, when: input.?fast}\n"),
    ("text with something that may be missing", "tasks:\n  a: {agent: x, with: 'Hello ${input.?name}'}\n"),
    (
        "a default for what cannot be missing",
        "tasks:\n  a: {agent: x, with: '${tasks.b.?output.orValue(1)}', needs: [b]}\n  b: {agent: x}\n",
    ),
    ("brackets that are not closed", "tasks:\n  a: {agent: x, when: 'size(input.list > 3'}\n"),
    ("a comparison of one sign", "tasks:\n  a: {agent: x, when: 'input.kind = \"big\"'}\n"),
    ("words for signs", "tasks:\n  a: {agent: x, when: input.a and input.b}\n"),
    ("an empty condition", "tasks:\n  a: {agent: x, when: ''}\n"),
    ("a key with an expression", "tasks:\n  a: {agent: x, with: {'${input.key}': 1}}\n"),
    ("a key without a value", "tasks:\n  a:\n    agent: x\n    with:\n"),
    (
        "a wrong type in the schema of an output",
        "tasks:\n  a: {agent: x, output_schema: {type: object, properties: {n: {type: nubmer}}}}\n",
    ),
    (
        "a misspelt keyword in the schema of an output",
        "tasks:\n  a: {agent: x, output_schema: {type: object, requierd: [n]}}\n",
    ),
    (
        "a schema that is elsewhere",
        "output_schema: {$ref: 'https://example.org/order.json'}\ntasks:\n  a: {agent: x}\n",
    ),
    (
        "a schema of a switch",
        "tasks:\n  a:\n    output_schema: {type: object}\n    switch:\n      - {agent: x}\n",
    ),
    ("a schema of the input that is a text", "input: object\ntasks:\n  a: {agent: x}\n"),
    ("a list of values as configuration", "config: [model]\ntasks:\n  a: {agent: x}\n"),
    (
        "names of configuration that expressions cannot use",
        "config: {max-words: 5}\ntasks:\n  a: {agent: x}\n",
    ),
    ("an expression as configuration", "config: {model: '${input.model}'}\ntasks:\n  a: {agent: x}\n"),
    (
        "a misspelt name of configuration",
        "config: {model: small}\ntasks:\n  a: {agent: x, with: '${config.modle}'}\n",
    ),
    ("configuration that there is not", "tasks:\n  a: {agent: x, with: '${config.model}'}\n"),
    ("a secret in a condition", "tasks:\n  a: {agent: x, when: 'secret(\"key\") == input.key'}\n"),
    ("a secret in an output", "output: '${secret(\"key\")}'\ntasks:\n  a: {agent: x}\n"),
    ("a secret that is reckoned with", "tasks:\n  a: {agent: x, with: '${\"Bearer \" + secret(\"key\")}'}\n"),
    ("a secret whose name cannot be one", "tasks:\n  a: {agent: x, with: '${secret(\"API KEY\")}'}\n"),
    ("a timeout of nothing", "timeout: 0s\ntasks:\n  a: {agent: x, timeout: 0s}\n"),
    ("pauses that do not fit together", "tasks:\n  a: {agent: x, retry: {initial: 1h, max: 1m}}\n"),
    ("an unknown key of a retry", "tasks:\n  a: {agent: x, retry: {attempts: 3}}\n"),
    ("an anchor that there is not", "tasks:\n  a: *usual\n"),
    ("a text that is not closed", "tasks:\n  a: {agent: \"x}\n"),
    ("a colon without a space", "tasks:\n  a: {agent:x}\n"),
    ("a key without a colon", "tasks:\n  a\n    agent: x\n"),
    ("a tab within the lines of a task", "tasks:\n  a:\n    agent: x\n\twith: 1\n"),
    ("a dash too many", "tasks:\n  - a:\n      agent: x\n"),
];

#[tokio::test]
async fn what_workflows_are_made_of() -> Result<()> {
    let person = Person::new()?;
    let mut transcript = Transcript::new("constructs");
    for (mistake, rest) in WRONG {
        let definition = format!("{BEGIN}{rest}");
        let file = ("wrong.yaml", definition.as_str());
        transcript.tries_file(mistake, &person, file, &["workflow", "validate", "wrong.yaml"]).await?;
    }
    transcript.holds()
}
