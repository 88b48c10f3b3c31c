use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::definition::{
    Foreach, Join, OnFailure, OnMax, OnSkipped, Quorum, Quota, Repeat, Retry, Span, TaskBuilder,
};
use crate::document::MAX_TEXT_BYTES;
use crate::id::Digest;
use crate::name::TaskId;

const YAML: &str = r#"# Onboards a merchant.
mesh: v1
name: onboarding
description: |
  Checks a merchant,
  then opens an account.
input:
  type: object
  required: [name]
output: ${tasks.open.output}
timeout: 1h 30m
tasks:
  check:
    agent: compliance
    action: kyc
    with: {name: "${input.name}", limits: [1, 2.5, -3, null, true, "007"]}
    output: ${result.score}
    retry: &patient
      max_attempts: 5
      initial: 500ms
      factor: 1.5
      max: 1m
      jitter: 0.1
      fatal_on: [bad_name]
    timeout: 30s
  open:
    agent: accounts
    needs: [check]
    when: tasks.check.output > 0.8
    on_skipped: run
    retry: *patient
    on_failure: continue
"#;

fn built() -> Definition {
    let retry = Retry {
        max_attempts: 5,
        initial: Span::from_millis(500),
        factor: 1.5,
        max: Span::from_secs(60),
        jitter: 0.1,
        fatal_on: vec!["bad_name".to_owned()],
    };
    let check = TaskBuilder::new("compliance")
        .unwrap()
        .action("kyc")
        .with(json!({"name": "${input.name}", "limits": [1, 2.5, -3, null, true, "007"]}))
        .output(json!("${result.score}"))
        .retry(retry.clone())
        .timeout(Span::from_secs(30));
    let open = TaskBuilder::new("accounts")
        .unwrap()
        .needs("check")
        .unwrap()
        .when("tasks.check.output > 0.8")
        .on_skipped(OnSkipped::Run)
        .retry(retry)
        .on_failure(OnFailure::Continue);
    Definition::builder("onboarding")
        .unwrap()
        .description("Checks a merchant,\nthen opens an account.\n")
        .input(json!({"type": "object", "required": ["name"]}))
        .output(json!("${tasks.open.output}"))
        .timeout(Span::from_secs(5400))
        .task("check", check)
        .unwrap()
        .task("open", open)
        .unwrap()
        .build()
}

#[test]
fn yaml_json_and_builder_make_one_definition() {
    let definition = parse(YAML, Format::Yaml).unwrap();
    assert_eq!(definition, built());
    let again = [
        parse(&definition.to_yaml(), Format::Yaml),
        parse(&definition.to_json(), Format::Json),
        parse(&definition.canonical_json(), Format::Json),
    ];
    for again in again {
        let again = again.unwrap();
        assert_eq!(again, definition);
        assert_eq!(again.digest(), definition.digest());
    }
}

const MADE_OF_OTHERS: &str = r#"
mesh: v1
name: release
tasks:
  build: {agent: builder}
  check:
    needs: [build]
    foreach: {in: "${input.targets}", max_parallel: 4, max_items: 50, tolerate: 12.5%}
    output: ${tasks.smoke.output}
    tasks:
      install: {agent: installer, with: "${item}"}
      smoke: {agent: tester, needs: [install], timeout: 5m}
  notes:
    needs: [build]
    repeat: {until: result.approved, max: 3, on_max: continue}
    agent: writer
    on_failure: {task: plain}
  plain: {agent: writer, foreach: "${input.commits}"}
  publish:
    needs: [check, notes]
    join: {quorum: 1, grace: 10s, deadline: 1h}
    switch:
      - {when: input.beta, agent: publisher, action: beta}
      - tasks: {one: {agent: publisher, join: any, needs: [two]}, two: {agent: publisher}}
  announce:
    needs: [publish]
    workflow: announcement
    version: sha256:4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a
    with: {text: "${tasks.notes.output}"}
    timeout: 10m
    retry: {max_attempts: 1}
    output: ${result.id}
  tell: {workflow: telling, wait: false, foreach: "${input.people}"}
"#;

#[test]
fn what_is_made_of_others_is_one_model_too() {
    let task = |agent: &str| TaskBuilder::new(agent).unwrap();
    let foreach = |items: &str| Foreach {
        items: json!(items),
        max_parallel: None,
        adaptive: None,
        max_items: None,
        tolerate: None,
    };
    let each = Foreach {
        max_parallel: Some(4),
        max_items: Some(50),
        tolerate: Some(Quota::Percent(12.5)),
        ..foreach("${input.targets}")
    };
    let smoke = task("tester").needs("install").unwrap().timeout(Span::from_secs(300));
    let check = TaskBuilder::group()
        .task("install", task("installer").with(json!("${item}")))
        .and_then(|group| group.task("smoke", smoke))
        .and_then(|group| group.needs("build"))
        .unwrap()
        .foreach(each)
        .output(json!("${tasks.smoke.output}"));
    let repeat = Repeat { until: "result.approved".to_owned(), max: 3, on_max: OnMax::Continue };
    let instead = OnFailure::Task(TaskId::new("plain").unwrap());
    let notes = task("writer").needs("build").unwrap().repeat(repeat).on_failure(instead);
    let pair = TaskBuilder::group()
        .task("one", task("publisher").join(Join::Any).needs("two").unwrap())
        .and_then(|group| group.task("two", task("publisher")))
        .unwrap();
    let (grace, deadline) = (Some(Span::from_secs(10)), Some(Span::from_secs(3600)));
    let publish = TaskBuilder::switch()
        .case("input.beta", task("publisher").action("beta"))
        .otherwise(pair)
        .needs("check")
        .and_then(|switch| switch.needs("notes"))
        .unwrap()
        .join(Join::Quorum(Quorum { quorum: Quota::Count(1), grace, deadline }));
    let announce = TaskBuilder::workflow("announcement")
        .and_then(|task| task.needs("publish"))
        .unwrap()
        .version(Digest::of(&[1]))
        .with(json!({"text": "${tasks.notes.output}"}))
        .timeout(Span::from_secs(600))
        .retry(Retry { max_attempts: 1, ..Retry::default() })
        .output(json!("${result.id}"));
    let tell = TaskBuilder::workflow("telling").unwrap().no_wait().foreach(foreach("${input.people}"));
    let built = Definition::builder("release")
        .and_then(|workflow| workflow.task("announce", announce))
        .and_then(|workflow| workflow.task("tell", tell))
        .and_then(|workflow| workflow.task("build", task("builder")))
        .and_then(|workflow| workflow.task("check", check))
        .and_then(|workflow| workflow.task("notes", notes))
        .and_then(|workflow| workflow.task("plain", task("writer").foreach(foreach("${input.commits}"))))
        .and_then(|workflow| workflow.task("publish", publish))
        .unwrap()
        .build();
    let definition = parse(MADE_OF_OTHERS, Format::Yaml).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(definition, built);
    for (text, format) in [
        (definition.to_yaml(), Format::Yaml),
        (definition.to_json(), Format::Json),
        (definition.canonical_json(), Format::Json),
    ] {
        assert_eq!(parse(&text, format).unwrap_or_else(|problems| panic!("{text}\n{problems}")), definition);
        assert_eq!(parse(&text, format).unwrap().digest(), definition.digest());
    }
    let read: Definition = serde_json::from_str(&definition.canonical_json()).unwrap();
    assert_eq!(read, definition);
    let ids: Vec<String> = definition.work().into_iter().map(|(id, _)| id.to_string()).collect();
    let expected = [
        "announce",
        "build",
        "check:install",
        "check:smoke",
        "notes",
        "plain",
        "publish",
        "publish:one",
        "publish:two",
        "tell",
    ];
    assert_eq!((ids, definition.size()), (expected.map(str::to_owned).to_vec(), 11));
    let started: Vec<&str> = definition.workflows().into_iter().map(|name| name.as_str()).collect();
    assert_eq!(started, ["announcement", "telling"]);
    let capabilities: Vec<&str> = definition.capabilities().into_iter().map(|name| name.as_str()).collect();
    assert!(!capabilities.contains(&"announcement"), "{capabilities:?}");
}

#[test]
fn to_wait_is_what_is_done_anyway() {
    let with = |text: &str| {
        let text = format!("mesh: v1\nname: a\ntasks: {{b: {{workflow: c{text}}}}}");
        parse(&text, Format::Yaml).unwrap_or_else(|problems| panic!("{text}\n{problems}")).digest()
    };
    assert_eq!(with(", wait: true"), with(""));
    assert_ne!(with(", wait: false"), with(""));
}

#[test]
fn a_minimal_definition_takes_the_defaults() {
    let definition = parse("mesh: v1\nname: a\ntasks: {b: {agent: c}}", Format::Yaml).unwrap();
    let expected =
        Definition::builder("a").unwrap().task("b", TaskBuilder::new("c").unwrap()).unwrap().build();
    assert_eq!(definition, expected);
}

#[test]
fn positions_lead_to_values_and_to_the_keys_of_objects() {
    let positions = read(YAML, Format::Yaml).positions;
    let of = |path: &str| positions.of(path).map(|p| (p.line, p.column));
    assert_eq!(of("tasks.open.when"), Some((29, 11)));
    assert_eq!(of("tasks.open.needs[0]"), Some((28, 13)));
    assert_eq!(of("tasks.check"), Some((13, 3)));
    assert_eq!(of("tasks.check.with.limits[1]"), Some((16, 47)));
    assert_eq!(of("tasks.check.needs"), Some((13, 3)), "the nearest part around it");
    assert_eq!(of(""), Some((2, 1)));

    let text = "{\"mesh\": \"v1\", \"name\": \"ä\\u00e4\",\n  \"x\": [{\"tasks\": 1}]}";
    let (positions, _) = tree(text, Format::Json).unwrap().survey();
    assert_eq!(positions.of("name").map(|p| (p.line, p.column)), Some((1, 24)));
    assert_eq!(positions.of("x[0].tasks").map(|p| (p.line, p.column)), Some((2, 19)));
}

/// A definition whose one task has these further lines.
fn with_task(lines: &str) -> String {
    let mut text = "mesh: v1\nname: a\ntasks:\n  b:\n    agent: c\n".to_owned();
    for line in lines.lines() {
        text.push_str(&format!("    {line}\n"));
    }
    text
}

#[test]
fn every_problem_names_its_place_and_the_way_out() {
    let head = "mesh: v1\nname: a\n";
    let tasks = "tasks: {b: {agent: c}}\n";
    let cases: &[(String, &str)] = &[
        (with_task("agnet: x"), "6:5: tasks.b: unknown key 'agnet': did you mean 'agent'?"),
        (with_task("cache: x"), "6:5: tasks.b: 'cache' is not supported yet: leave it out"),
        (
            with_task("retry: {colour: red}"),
            "6:13: tasks.b.retry: unknown key 'colour': the keys here are max_attempts, initial, factor, max, \
             jitter, fatal_on",
        ),
        (
            format!("{head}{tasks}finally: x"),
            "4:10: finally: expected an object with the keys tasks, timeout, found text",
        ),
        (format!("{head}{tasks}triggers: x"), "4:1: 'triggers' is not supported yet: leave it out"),
        (format!("mesh: v2\nname: a\n{tasks}"), "1:7: mesh: unknown version 'v2': this mesh reads 'v1'"),
        (format!("name: a\n{tasks}"), "1:1: the key 'mesh' is missing: write 'mesh: v1'"),
        (format!("mesh: v1\n{tasks}"), "1:1: the key 'name' is missing: name the workflow"),
        (head.to_owned(), "1:1: the key 'tasks' is missing: a workflow has at least one task"),
        (
            format!("{head}tasks:\n  b:\n    needs: []"),
            "4:3: tasks.b: the key 'agent' is missing: name the capability that does the task, or write 'workflow', 'tasks', 'switch' or 'merge'",
        ),
        (format!("{head}tasks: [b]"), "3:8: tasks: expected an object with a task for each id, found a list"),
        (
            format!("mesh: v1\nname: A b\n{tasks}"),
            "2:7: name: \"A b\" is not a valid workflow name: use 1 to 64 characters of a-z, 0-9, '_' and '-', \
             beginning with a letter, a digit or '_'",
        ),
        (
            format!("mesh: v1\nname: 12\n{tasks}"),
            "2:7: name: expected text, found a number: put it in quotes if it is meant as text",
        ),
        (with_task("timeout: 30"), "6:14: tasks.b.timeout: 30 is not a duration: add a unit, as in 30s"),
        (
            with_task("timeout: soon"),
            "6:14: tasks.b.timeout: \"soon\" is not a duration: write a number with a unit, such as 500ms, 30s, \
             5m, 2h, 1d or 1h 30m",
        ),
        (with_task("needs: a"), "6:12: tasks.b.needs: expected a list, such as [first, second], found text"),
        (with_task("needs: [a, 3]"), "6:16: tasks.b.needs[1]: expected text, found a number"),
        (with_task("on_failure: contnue"), "did you mean 'continue'?"),
        (with_task("on_skipped: x"), "6:17: tasks.b.on_skipped: unknown value 'x': write one of skip, run"),
        (
            with_task("foreach: {max_items: 3}"),
            "6:5: tasks.b.foreach: the key 'in' is missing: name the list, as in 'in: ${input.items}'",
        ),
        (
            with_task("foreach: {in: [], tolerate: most}"),
            "\"most\" is neither a number nor a share: write a whole number",
        ),
        (
            with_task("foreach: {in: [], max_items: -1}"),
            "6:34: tasks.b.foreach.max_items: expected a whole number, found -1",
        ),
        (
            with_task("repeat: {max: 3}"),
            "6:5: tasks.b.repeat: the key 'until' is missing: write the condition to end",
        ),
        (
            with_task("repeat: 3"),
            "6:13: tasks.b.repeat: expected an object with the keys until, max, on_max, found a number",
        ),
        (
            with_task("join: most"),
            "6:11: tasks.b.join: unknown value 'most': write one of all, any, or a quorum, as in",
        ),
        (
            with_task("join: {quorum: 3.5}"),
            "tasks.b.join.quorum: expected a whole number, found 3.5: write a whole number or",
        ),
        (
            with_task("on_failure: {tsak: c}"),
            "6:18: tasks.b.on_failure: unknown key 'tsak': did you mean 'task'?",
        ),
        (
            with_task("switch: {a: b}"),
            "6:13: tasks.b.switch: expected a list, such as [first, second], found an object",
        ),
        (
            format!("{head}tasks:\n  b:\n    switch:\n      - {{when: a}}"),
            "tasks.b.switch[0]: the key 'agent' is missing: name the capability that does the task, or write",
        ),
        (
            format!("{head}tasks:\n  b:\n    tasks:\n      c: {{agnet: d}}"),
            "6:11: tasks.b.tasks.c: unknown key 'agnet': did you mean 'agent'?",
        ),
        (with_task("wait: true"), "6:5: tasks.b.wait: 'wait' goes with a workflow: leave it out"),
        (with_task("wait: never"), "6:11: tasks.b.wait: expected"),
        (
            format!("{head}tasks: {{b: {{workflow: A b}}}}"),
            "3:23: tasks.b.workflow: \"A b\" is not a valid workflow name",
        ),
        (
            format!("{head}tasks: {{b: {{workflow: c, version: 4bf5}}}}"),
            "3:35: tasks.b.version: \"4bf5\" is not a valid digest: use 'sha256:' and 64",
        ),
        (with_task("when:"), "6:5: tasks.b.when: has no value: write one, or leave the key out"),
        (with_task("when: [a]"), "6:11: tasks.b.when: expected text, found a list"),
        (
            with_task("retry: {max_attempts: 2.5}"),
            "6:27: tasks.b.retry.max_attempts: expected a whole number, found 2.5",
        ),
        (with_task("retry: {factor: no}"), "6:21: tasks.b.retry.factor: expected a number, found text"),
        (with_task("agent: d"), "6:5: tasks.b: the key 'agent' is already there, at 5:5"),
        (
            format!("{head}tasks:\n  b: {{agent: c}}\n  b: {{agent: d}}"),
            "5:3: tasks: the key 'b' is already there, at 4:3",
        ),
        (
            format!("{head}tasks: {{Bad-id: {{agent: c}}}}"),
            "3:9: tasks.Bad-id: \"Bad-id\" is not a valid task id",
        ),
        (with_task("with: {a: 1, a: 2}"), "6:18: tasks.b.with: the key 'a' is already there, at 6:12"),
        (with_task("with: .nan"), ".nan is not a number that JSON can hold"),
        (format!("{head}{tasks}---\nx: 1"), "4:1: one text holds one document"),
        (with_task("with: !!str 5"), "tags ('!') are not supported"),
        (with_task("<<: {action: x}"), "6:5: merge keys ('<<') are not part of YAML 1.2"),
        (with_task("with: {[a]: b}"), "a key must be text"),
        (with_task("with: &a [*a]"), "the alias stands inside the part that it names"),
        ("mesh: [v1".to_owned(), "1:"),
        (
            with_task("with: {a: ${input.a}}"),
            "6:16: while parsing a flow mapping, did not find expected ',' or '}'; if it is about '${…}', put that in quotes",
        ),
        (String::new(), "1:1: expected an object with the keys mesh, name, "),
    ];
    for (text, expected) in cases {
        let problems = parse(text, Format::Yaml).expect_err(text);
        assert!(problems.to_string().contains(expected), "{text}\n{problems}\nlacks: {expected}");
        assert!(problems.0.iter().all(|problem| problem.position.is_some()), "{problems:?}");
    }
}

#[test]
fn all_problems_come_at_once_and_in_order() {
    let text =
        "mesh: v1\nnmae: a\ntasks:\n  b:\n    agent: C C\n    timeout: 3\n  c:\n    agent: c\n    when: 1\n";
    let problems = parse(text, Format::Yaml).unwrap_err();
    let lines: Vec<_> = problems.0.iter().filter_map(|p| p.position).map(|p| p.line).collect();
    assert_eq!(lines, [2, 5, 6, 9], "{problems}");
}

#[test]
fn json_errors_read_like_json() {
    let text = "{\"mesh\": \"v1\",\n \"name\": \"a\"\n \"tasks\": {}}";
    assert_eq!(parse(text, Format::Json).unwrap_err().to_string(), "3:2: expected `,` or `}`");
    let text =
        "{\"mesh\": \"v1\", \"name\": \"a\",\n \"tasks\": {\"b\": {\"agnet\": \"c\", \"agent\": \"c\"}}}";
    let expected = "2:18: tasks.b: unknown key 'agnet': did you mean 'agent'?";
    assert_eq!(parse(text, Format::Json).unwrap_err().to_string(), expected);
    assert!(parse(YAML, Format::Json).is_err(), "YAML is not JSON");
    let (text, emoji) = (r#"{"a": "\/\ud83d\ude00\\", "b": [1e2, {}, [], -0.5]}"#, "/\u{1f600}\\");
    assert_eq!(tree(text, Format::Json).unwrap().to_value(), json!({"a": emoji, "b": [1e2, {}, [], -0.5]}));
}

#[test]
fn texts_are_bounded() {
    let long = format!("description: {}", "x".repeat(MAX_TEXT_BYTES));
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let before = format!("*a{}, ", level - 1).repeat(9);
        bomb.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    let deep = |n: usize| format!("a: {}{}", "[".repeat(n), "]".repeat(n));
    let block: String = (0..100).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    for (text, expected) in [
        (long, "at most 33554432 are read"),
        (bomb, "aliases repeat more than 10000 parts"),
        (deep(100), "nested deeper than 64"),
        (deep(100_000), "1:"),
        (block, "nested deeper than 64"),
    ] {
        let problems = parse(&text, Format::Yaml).unwrap_err();
        assert!(problems.to_string().contains(expected), "{problems}");
    }
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    for depth in [100, 100_000] {
        assert!(parse(&deep(depth), Format::Json).is_err());
    }
}

#[test]
fn plain_scalars_follow_the_core_schema() {
    let value = |text: &str| tree(text, Format::Yaml).map(|node| node.to_value());
    for (text, expected) in [
        ("yes", json!("yes")),
        ("on", json!("on")),
        ("~", Value::Null),
        ("0x1F", json!(31)),
        ("0o17", json!(15)),
        ("+12", json!(12)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("18446744073709551615", json!(u64::MAX)),
        ("1e3", json!(1000.0)),
        (".5", json!(0.5)),
        ("1.", json!(1.0)),
        ("1.2.3", json!("1.2.3")),
        ("2024-01-02", json!("2024-01-02")),
        ("-", json!([null])),
        ("e5", json!("e5")),
        ("'12'", json!("12")),
        ("12 # comment", json!(12)),
    ] {
        assert_eq!(value(text).unwrap(), expected, "{text}");
    }
    assert!(value("1e999").is_err());
}

fn data() -> impl Strategy<Value = Value> {
    let text =
        prop_oneof!["\\PC*", "[ -~\n\t]{0,12}", "(null|true|yes|~|-1|0x1|1e3|\\.nan|<<|v1|- a|a: b|#|'|\"|)"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(text.clone(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_data_survives_each_way_of_writing(with in data(), text in "\\PC*") {
        prop_assume!(!with.is_null());
        let mut definition = built();
        let id = TaskId::new("check").unwrap();
        definition.description = Some(text);
        definition.tasks.get_mut(&id).unwrap().body.with = Some(with);
        prop_assert_eq!(&parse(&definition.to_yaml(), Format::Yaml).unwrap(), &definition);
        prop_assert_eq!(&parse(&definition.to_json(), Format::Json).unwrap(), &definition);
    }

    #[test]
    fn no_text_panics(text in "(\\PC|[\\[\\]{}:,&*\"'\n -])*") {
        let _ = parse(&text, Format::Yaml);
        let _ = parse(&text, Format::Json);
    }
}
