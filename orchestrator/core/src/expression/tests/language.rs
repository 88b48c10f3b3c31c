use super::*;

#[test]
fn expressions_give_these_values() {
    let data = Data::sample();
    for (expression, expected) in [
        // Roots and paths.
        ("input.name", json!("Müller")),
        ("input['a-b']", json!(1)),
        ("input.map.c.d[1]", json!(20)),
        ("input.tags[0]", json!("x")),
        ("tasks.risk.output.score", json!(0.8)),
        ("tasks['risk'].output.reasons", json!(["a", "b"])),
        ("tasks.skipped.output", json!(null)),
        ("tasks.never.output", json!(null)),
        ("run.workflow + run.id", json!("w3.x")),
        ("result.value", json!(7)),
        ("config.model + string(config.limits.max)", json!("small5")),
        ("config.?nope.orValue(config['model'])", json!("small")),
        ("input.big", json!(u64::MAX)),
        // Numbers.
        ("1 + 2 * 3 - -4", json!(11)),
        ("7 / 2", json!(3)),
        ("-7 % 4", json!(-3)),
        ("7.0 / 2.0", json!(3.5)),
        ("double(input.revenue) * 0.5", json!(3.5)),
        ("input.revenue > 5.5 && input.ratio > 5 && input.ratio < 6", json!(true)),
        ("7 == 7.0 && 7u == 7 && 7u == 7.0 && 1 != 1.5", json!(true)),
        ("9007199254740993 == 9007199254740992.0", json!(false)),
        ("9007199254740993 > 9007199254740992.0", json!(true)),
        ("input.big > 1e19 && input.big < 1e20 && input.big > -1", json!(true)),
        ("0.0 / 0.0 == 0.0 / 0.0 || 0.0 / 0.0 < 1.0 || 0.0 / 0.0 >= 1", json!(false)),
        ("1.0 / 0.0 > 1", json!(true)),
        ("int(2.9) + int('40') + int(true ? 0u : 1u)", json!(42)),
        ("uint(3) + 4u", json!(7)),
        ("double('1e3')", json!(1000.0)),
        ("string(1) + string(2.5) + string(true) + string('x')", json!("12.5truex")),
        ("bool('true') && !bool('0')", json!(true)),
        ("dyn(1)", json!(1)),
        ("0x1F", json!(31)),
        // Text.
        ("size(input.name) == 6 && 'a\\n\\u00e4'.size() == 3", json!(true)),
        (
            "input.name.startsWith('Mü') && input.name.endsWith('er') && input.name.contains('ll')",
            json!(true),
        ),
        ("input.name.matches('^M.l+') && !'x'.matches('y') && matches('a1', '\\\\d')", json!(true)),
        ("'a' < 'b' && 'B' < 'a'", json!(true)),
        ("r'\\d' + \"}\" + '''it's'''", json!("\\d}it's")),
        // Lists and maps.
        ("[1, 'a', null, [true]] + [2.5]", json!([1, "a", null, [true], 2.5])),
        ("{'a': input.map.a, 'b': {'c': []}}.b", json!({"c": []})),
        ("{1: 'one', 2u: 'two', true: 'yes'}[2]", json!("two")),
        ("size(input.map) + size(input.tags)", json!(6)),
        ("'a' in input.map && 'y' in input.tags && !('q' in input.tags) && 1.0 in [1]", json!(true)),
        ("input.map == {'a': 1.0, 'b': 2, 'c': {'d': [10, 20]}} && [1, 2] == [1.0, 2u]", json!(true)),
        ("[1] == [2] || {'a': 1} == {'b': 1} || input.map == input.list || 1 == '1'", json!(false)),
        // has.
        ("has(input.name) && !has(input.nope) && has(input.empty) && !has(input.map.c.x)", json!(true)),
        ("has(tasks.skipped.output.score)", json!(false)),
        ("has(tasks.risk.output.score) ? tasks.risk.output.score : 0.0", json!(0.8)),
        // Logic: a side that decides makes an error on the other harmless.
        ("input.nope == 1 || true", json!(true)),
        ("true || input.nope == 1", json!(true)),
        ("input.nope == 1 && false", json!(false)),
        ("true ? 1 : input.nope", json!(1)),
        // Signs in pairs are gone before anyone asks what they stand before.
        ("!!input.name + --input.name", json!("MüllerMüller")),
        // Loops.
        ("input.list.map(x, x * 2)", json!([6, 2, 4])),
        ("input.list.filter(x, x > 1)", json!([3, 2])),
        ("input.list.map(x, x > 1, string(x))", json!(["3", "2"])),
        ("input.rows.filter(r, r.on).map(r, r.id)", json!([1, 3])),
        (
            "input.list.all(x, x > 0) && input.list.exists(x, x == 2) && input.list.exists_one(x, x == 2)",
            json!(true),
        ),
        ("[].all(x, x) && ![].exists(x, x) && ![1, 1].existsOne(x, x == 1)", json!(true)),
        ("[1, 'a'].exists(x, x > 0) && ![0, 'a'].all(x, x > 0)", json!(true)),
        ("input.tags.map(x, input.list.map(y, x + string(y)))[1][2]", json!("y2")),
        ("input.map.map(k, k)", json!(["a", "b", "c"])),
    ] {
        assert_eq!(data.value(expression), Ok(expected), "{expression}");
    }
}

#[test]
fn errors_name_what_is_missing_and_the_way_out() {
    let data = Data::sample();
    for (expression, expected) in [
        (
            "tasks.risk.output.foo",
            "no such key 'foo' in tasks.risk.output (write tasks.risk.output.?foo if it may be missing) in ${tasks.risk.output.foo}",
        ),
        ("input.map.c['x']", "no such key 'x' in input.map.c"),
        ("input.tags[3]", "no item [3] in input.tags: it has 3"),
        ("input.tags[-1]", "no item [-1] in input.tags: it has 3"),
        ("input.tags.first", "input.tags is a list and has no 'first'"),
        ("tasks.skipped.output.x", "tasks.skipped.output is null and has no 'x'"),
        ("input.rows.map(r, r.nope)", "no such key 'nope' in r"),
        ("input.revenue * 0.3", "'*' does not take int and double: wrap the whole number in double(…)"),
        ("input.name + 1", "'+' does not take string and int: wrap the other value in string(…)"),
        ("input.name > 1", "'>' does not take string and int"),
        ("input.empty > 1", "'>' does not take null and int"),
        ("1 / 0", "1 / 0: division by zero"),
        ("9223372036854775807 + 1", "9223372036854775807 + 1 is out of the range of 64 bits"),
        ("int('x')", "int(…) does not take the string \"x\""),
        ("int(1e19)", "int(…) does not take the double 10000000000000000000"),
        ("input.name && true", "'&&' takes a bool, but input.name is a string"),
        ("input.name ? 1 : 2", "'?:' takes a bool, but input.name is a string"),
        ("input.revenue.map(x, x)", "input.revenue is an int: only lists and maps have items"),
        ("0.0 / 0.0", "the result NaN is not a number that JSON can hold"),
        ("1.0 / 0.0", "the result inf is not a number that JSON can hold"),
        ("{1: 2}", "a key of an object in JSON must be a string: use string(…)"),
        ("{'a': 1, 'a': 2}", "a map has the same key twice"),
        ("{null: 1}", "null cannot be a key of a map"),
        ("has(input.tags.x)", "input.tags is a list and has no fields"),
        ("[1, 'a'].all(x, x > 0)", "'>' does not take string and int"),
    ] {
        let error = data.value(expression).expect_err(expression);
        assert!(error.to_string().contains(expected), "{expression}: {error}");
        assert_eq!(error.code(), "expression");
    }
}

#[test]
fn what_cannot_work_is_refused_when_it_is_compiled() {
    for (expression, expected) in [
        ("inptu.name", "unknown name 'inptu': did you mean 'input'?"),
        ("x.name", "unknown name 'x': there are input, config, tasks, run, result"),
        ("tasks", "'tasks' is not a value: write tasks.<id>.output"),
        ("size(tasks)", "'tasks' is not a value"),
        ("tasks.risk", "'tasks' is not a value"),
        ("tasks.risk.stats", "a task has no 'stats': did you mean tasks.risk.status?"),
        (
            "tasks['risk']['input']",
            "a task has no 'input', but output, status, error, iterations, quality: write tasks.risk.output",
        ),
        ("tasks[input.name].output", "a task must be named in the expression"),
        ("tasks.Risk.output", "\"Risk\" is not a valid task id"),
        ("has(tasks.risk.output)", "compare it with null instead of has(…)"),
        ("has(input)", "has(…) takes a field: has(input.name)"),
        ("sise(input)", "unknown function 'sise': did you mean 'size'?"),
        ("frobnicate(input)", "unknown function 'frobnicate': there are size, contains"),
        ("size(input, input)", "'size' is used in a wrong form: write size(x) or x.size()"),
        ("contains(input.name, 'x')", "write text.contains('x')".trim_end_matches("('x')")),
        ("input.name.matches(input.ratio)", "the pattern of 'matches' must be written out as a string"),
        ("input.name.matches('(')", "the pattern \"(\" of 'matches' is not one"),
        ("input.name.matches('(\\\\w{100}){100}')", "is not one"),
        ("input.list.map(x)", "write map with a name and an expression: list.map(x, …)"),
        ("input.list.map(1, 2)", "the first argument of map must be a name"),
        ("input.list.map(input, 2)", "the name 'input' is taken"),
        ("input.list.map(x, input.list.map(x, 2))", "the name 'x' is taken"),
        ("map(input.list, x, x)", "'map' is used in a wrong form"),
        ("input.list.map(x, x) + x", "unknown name 'x'"),
        ("Foo{a: 1}", "messages (Foo{…}) are not supported"),
        ("b'abc'", "bytes (b'…') are not supported"),
        ("duration('1s')", "unknown function 'duration'"),
        ("1 +", "it ends too early, at character 4, in `1 +`"),
        ("1 2", "unexpected '2', at character 3, in `1 2`"),
        ("yes ${input.x}", "an expression has no ${…} in it"),
        ("'a", "in `'a`"),
        ("", "the expression is empty"),
        ("  ", "the expression is empty"),
    ] {
        let problems = Condition::compile(expression).expect_err(expression);
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{expression}: {problems:?}");
    }
    let several = Condition::compile("foo.a + bar.b == sise(tasks)").unwrap_err();
    assert_eq!(several.len(), 3, "{several:?}");
}

#[test]
fn conditions_give_bools_with_and_without_braces() {
    let data = Data::sample();
    let evaluate = |text: &str| Condition::compile(text).unwrap().evaluate(&data.scope());
    assert_eq!(evaluate("input.revenue > 5.5"), Ok(true));
    assert_eq!(evaluate("  ${ input.revenue > 7 }\n"), Ok(false));
    assert_eq!(evaluate("{'a': true}.a"), Ok(true));
    let error = evaluate("input.revenue").unwrap_err();
    assert_eq!(error.to_string(), "a condition must give a bool, not an int in ${input.revenue}");
    assert!(
        Condition::compile("${true} && ${false}").unwrap_err()[0].contains("a condition is one expression")
    );
    assert!(Condition::compile("${true").is_err());

    let condition = Condition::compile("tasks.a.output && input.b").unwrap();
    assert_eq!(condition.references().tasks.iter().map(TaskId::as_str).collect::<Vec<_>>(), ["a"]);
    assert!(condition.references().input && !condition.references().run && !condition.references().result);
}
