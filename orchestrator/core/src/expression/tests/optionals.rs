use super::*;

#[test]
fn what_may_be_missing_has_a_default() {
    let data = Data::sample();
    for (expression, expected) in [
        ("input.?name.orValue('x')", json!("Müller")),
        ("input.?nope.orValue('x')", json!("x")),
        ("input.?map.?c.?d.orValue([])", json!([10, 20])),
        ("input.?map.?nope.?d.orValue([])", json!([])),
        // What stands behind an optional is optional too.
        ("input.?nope.deep.deeper.orValue(1)", json!(1)),
        ("input.?map.c.nope.orValue(1)", json!(1)),
        ("input.?map.c.d[7].orValue(1)", json!(1)),
        ("input.?map.c.d[1].orValue(1)", json!(20)),
        ("input.tags[?1].orValue('none')", json!("y")),
        ("input.tags[?7].orValue('none')", json!("none")),
        ("input.tags[?-1].orValue('none')", json!("none")),
        ("input[?'a-b'].orValue(0) + input[?'b-a'].orValue(5)", json!(6)),
        // A null that is there is a value, and has no fields.
        ("input.?empty.orValue(1)", json!(null)),
        ("input.?empty.x.orValue(1)", json!(1)),
        ("tasks.skipped.output.?score.orValue(0.5)", json!(0.5)),
        ("tasks.skipped.output[?0].orValue('none')", json!("none")),
        ("tasks.risk.output.?score.orValue(0.5)", json!(0.8)),
        ("input.?nope.or(input.?name).orValue('x')", json!("Müller")),
        ("input.?nope.or(input.?nix).orValue('x')", json!("x")),
        ("input.?name.hasValue() && !input.?nope.hasValue()", json!(true)),
        ("has(input.?map.c) && !has(input.?nope.c) && !has(input.?map.nope)", json!(true)),
        ("input.?name.value()", json!("Müller")),
        ("optional.of(1).orValue(2) + optional.none().orValue(3)", json!(4)),
        ("optional.ofNonZeroValue('').orValue('x') + optional.ofNonZeroValue('y').orValue('x')", json!("xy")),
        ("['', [], {}, 0, 0u, 0.0, false, null].all(x, !optional.ofNonZeroValue(x).hasValue())", json!(true)),
        ("optional.of(1) == optional.of(1.0) && optional.none() == input.?nope", json!(true)),
        ("optional.of(1) == optional.none() || optional.of(1) == 1", json!(false)),
        ("input.?name.optMap(n, n + '!').orValue('nobody')", json!("Müller!")),
        ("input.?nope.optMap(n, n + '!').orValue('nobody')", json!("nobody")),
        ("input.?map.optFlatMap(m, m.?nope).orValue('nobody')", json!("nobody")),
        ("[1, ?input.?nope, ?input.?revenue]", json!([1, 7])),
        ("{'a': 1, ?'b': input.?nope, ?'c': input.?ok}", json!({"a": 1, "c": true})),
        ("input.rows.map(r, r.?nope.orValue(r.id))", json!([1, 2, 3])),
        // The default is looked at only if it is needed.
        ("input.?name.orValue(input.nope)", json!("Müller")),
        // Two that mean the same as elsewhere.
        ("[input.?nope, input.?ok]", json!([null, true])),
        ("(input.ok ? input.?name : input.?nope).orValue('x')", json!("Müller")),
    ] {
        assert_eq!(data.value(expression), Ok(expected), "{expression}");
    }
}

#[test]
fn a_key_whose_value_is_missing_is_left_out() {
    let data = Data::sample();
    for (template, expected) in [
        (json!({"a": "${input.?nope}", "b": "${input.?ok}"}), json!({"b": true})),
        (json!({"a": {"b": "${input.?nope}"}}), json!({"a": {}})),
        (json!(["${input.?nope}", "${input.?ok}"]), json!([null, true])),
        (json!("${input.?nope}"), json!(null)),
        (json!({"a": "${input.?nope.orValue(null)}"}), json!({"a": null})),
        (json!({"a": "${input.?empty}"}), json!({"a": null})),
        (json!("Hello ${input.?nope.orValue('you')}"), json!("Hello you")),
    ] {
        assert_eq!(data.render(&template), Ok(expected), "{template}");
    }
}

#[test]
fn what_is_missing_is_told_with_the_way_out() {
    let data = Data::sample();
    for (expression, expected) in [
        (
            "input.nope",
            "no such key 'nope' in input (write input.?nope if it may be missing) in ${input.nope}",
        ),
        ("input.map.x.y", "no such key 'x' in input.map (write input.map.?x if it may be missing)"),
        ("input.map['x']", "no such key 'x' in input.map (write input.map[?'x'] if it may be missing)"),
        ("input.tags[3]", "it has 3 (write input.tags[?3] if it may be missing)"),
        ("tasks.skipped.output.x", "has no 'x' (write tasks.skipped.output.?x if it may be missing)"),
        ("{'a': 1}.b", "no such key 'b' in (…) (write .?b if it may be missing)"),
        ("input.?revenue.x", "input.?revenue is an int and has no 'x'"),
        ("input.?tags.x", "input.?tags is a list and has no 'x'"),
        ("input.?nope.value()", "input.?nope has no value: write .orValue(…) instead of .value()"),
        ("input.name.orValue(1)", "orValue(…) is for optionals, and input.name is a string: write .? before"),
        ("input.?revenue + 1", "'+' does not take optional and int: add .orValue(…) to the optional"),
        ("input.?tags.map(x, x)", "input.?tags is an optional (add .orValue(…)): only lists and maps have"),
        ("size(input.?tags)", "size(…) does not take an optional (add .orValue(…))"),
        ("input.?ok ? 1 : 2", "'?:' takes a bool, but input.?ok is an optional (add .orValue(…))"),
        ("input.?name.optFlatMap(n, n)", "not a string: write optMap"),
        ("[?input.name]", "? before an item is for optionals, and input.name is a string"),
    ] {
        let error = data.value(expression).expect_err(expression);
        assert!(error.to_string().contains(expected), "{expression}: {error}");
    }
}

#[test]
fn wrong_forms_are_refused() {
    for (expression, expected) in [
        ("tasks.risk.?output.hasValue()", "what a task has is always there, if only as null"),
        ("tasks.risk[?'output'].hasValue()", "what a task has is always there, if only as null"),
        ("tasks.?risk.output", "'tasks' is not a value"),
        ("input.?ok", "a condition must give a bool, and this gives an optional: add .orValue(false)"),
        ("input.?a.b", "add .orValue(false) in `input.?a.b`"),
        ("optional.some(1).hasValue()", "unknown function 'optional.some': there are optional.none"),
        ("optional.none(1).hasValue()", "'optional.none' is used in a wrong form: write optional.none()"),
        ("input.?a.orValue()", "'orValue' is used in a wrong form: write x.orValue(y)"),
        ("input.?a.orvalue(true)", "unknown function 'orvalue': did you mean 'orValue'?"),
        ("input.?a.optMap(1, 2) == 1", "the first argument of optMap must be a name"),
        ("input.?a.optMap(input, 2) == 1", "the name 'input' is taken"),
    ] {
        let problems = Condition::compile(expression).expect_err(expression);
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{expression}: {problems:?}");
    }
    let problems = Template::compile(&json!({"a": "Hello ${input.?name}"})).unwrap_err();
    assert!(problems[0].1.contains("a text cannot hold an optional: add .orValue('')"), "{problems:?}");
}

#[test]
fn what_stands_behind_a_question_mark_is_used() {
    let condition = Condition::compile("tasks.a.output.?x.orValue(tasks.b.output) == input.?y.orValue(1)");
    let condition = condition.unwrap();
    let used: Vec<_> = condition.references().tasks.iter().map(TaskId::as_str).collect();
    assert_eq!((used, condition.references().input), (vec!["a", "b"], true));
}
