use super::*;

#[test]
fn templates_keep_types_and_interpolate() {
    let data = Data::sample();
    for (template, expected) in [
        (json!("${input.map}"), data.input["map"].clone()),
        (json!("${ input.revenue }"), json!(7)),
        (
            json!("Hello ${input.name}, ${input.list} ${input.ok} ${input.empty}!"),
            json!("Hello Müller, [3,1,2] true null!"),
        ),
        (json!("${input.map}."), json!("{\"a\":1,\"b\":2,\"c\":{\"d\":[10,20]}}.")),
        (json!(" ${input.revenue}"), json!(" 7")),
        (json!("$${input.name} costs 5$ ${input.revenue}$"), json!("${input.name} costs 5$ 7$")),
        (json!("$${}"), json!("${}")),
        (json!("${'}' + {'a': '{'}.a}"), json!("}{")),
        (json!(""), json!("")),
        (json!([1, "x", null, {"a": ["${input.ok}", 2.5]}]), json!([1, "x", null, {"a": [true, 2.5]}])),
        (json!({"plain": {"a": ["$${b}"]}}), json!({"plain": {"a": ["${b}"]}})),
        (json!(5), json!(5)),
    ] {
        assert_eq!(data.render(&template), Ok(expected), "{template}");
    }
}

#[test]
fn problems_and_errors_name_their_place() {
    let template = json!({"a": ["ok", "${foo}", {"b": "${input.x} ${1 +}"}], "c": "${", "${d}": 1});
    let problems = Template::compile(&template).unwrap_err();
    let places: Vec<_> = problems.iter().map(|(at, _)| at.as_str()).collect();
    assert_eq!(places, [".${d}", ".a[1]", ".a[2].b", ".c"], "{problems:?}");

    let error = Data::sample().render(&json!({"a": [1, "${input.nope}"]})).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no such key 'nope' in input (write input.?nope if it may be missing) at .a[1] in ${input.nope}"
    );
}

#[test]
fn references_tell_what_is_used_where() {
    let template =
        json!({"a": "${tasks.one.output}", "b": ["${result.x} ${tasks['two'].output.y}"], "c": "x"});
    let template = Template::compile(&template).unwrap();
    let used: Vec<_> = template
        .references()
        .map(|(at, used)| (at, used.tasks.iter().map(TaskId::as_str).collect::<Vec<_>>(), used.result))
        .collect();
    assert_eq!(used, [(".a", vec!["one"], false), (".b[0]", vec![], true), (".b[0]", vec!["two"], false)]);
}

#[test]
fn results_are_bounded() {
    let large = "x".repeat(mesh_schemas::MAX_DATA_BYTES / 2);
    let data = Data::new(json!({"large": large, "quotes": "\"".repeat(mesh_schemas::MAX_DATA_BYTES - 10)}));
    assert!(data.value("input.large").is_ok());
    for template in [
        json!("${input.large + input.large}"),
        json!("${input.large}${input.large}"),
        json!(["${input.large}", "${input.large}"]),
        json!("${[1, 2, 3].map(x, input)}"),
        json!("${input.quotes}"),
    ] {
        let error = data.render(&template).unwrap_err();
        assert_eq!(error.code(), "payload_too_large", "{error}");
        assert!(error.to_string().contains("larger than 16777216 bytes"), "{error}");
    }

    let mut deep = json!(1);
    for _ in 0..90 {
        deep = json!([deep]);
    }
    let data = Data::new(deep);
    assert!(data.value("input").is_ok());
    let error = data.value("[[[[[[[[[[[[input]]]]]]]]]]]]").unwrap_err();
    assert!(error.to_string().contains("nested deeper than 100"), "{error}");
}
