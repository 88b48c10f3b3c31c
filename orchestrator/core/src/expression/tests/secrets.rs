use mesh_schemas::payload::SecretUse;

use super::*;

fn uses(template: &Template) -> Vec<(&str, &str)> {
    template.secrets().iter().map(|SecretUse { at, name }| (at.as_str(), name.as_str())).collect()
}

#[test]
fn what_stands_for_a_secret_stays_and_is_told() {
    let data = json!({
        "a": "${secret('api-key')}",
        "b/~": ["x", "user:${input.name}:${ secret(\"pass\") }:${secret('pass')}"],
        "c": "${input.?nope}",
        "d": "$${secret('api-key')}",
    });
    let template = Template::compile_with_secrets(&data).unwrap();
    assert_eq!(uses(&template), [("/a", "api-key"), ("/b~1~0/1", "pass")]);
    let rendered = template.render(&Data::sample().scope()).unwrap();
    let expected = json!({
        "a": "${secret(\"api-key\")}",
        "b/~": ["x", "user:Müller:${secret(\"pass\")}:${secret(\"pass\")}"],
        "d": "${secret('api-key')}",
    });
    assert_eq!(rendered, expected);
    let whole = Template::compile_with_secrets(&json!("${secret('x')}")).unwrap();
    assert_eq!(uses(&whole), [("", "x")]);
}

#[test]
fn data_beside_a_secret_cannot_look_like_one() {
    let template = Template::compile_with_secrets(&json!("${input.said} ${secret('x')}")).unwrap();
    let data = Data::new(json!({"said": "${secret(\"x\")}"}));
    let error = template.render(&data.scope()).unwrap_err().to_string();
    assert!(error.contains("must not have '${secret(' in it"), "{error}");
    let alone = Template::compile_with_secrets(&json!(["${input.said}", "${secret('x')}"])).unwrap();
    assert!(alone.render(&data.scope()).is_ok());
}

#[test]
fn secrets_stand_nowhere_else() {
    for text in ["${secret('x')}", "a ${secret('x')}"] {
        let problems = Template::compile(&json!({"a": text})).unwrap_err();
        assert!(
            problems[0].0 == ".a" && problems[0].1.contains("a secret is put in by the agent"),
            "{problems:?}"
        );
    }
    for (text, expected) in [
        ("${secret('x') + 'y'}", "a secret is put in by the agent"),
        ("${[secret('x')]}", "a secret is put in by the agent"),
        ("${secret(input.name)}", "a secret is put in by the agent"),
        ("${secret()}", "a secret is put in by the agent"),
        ("${secret('API KEY')}", "\"API KEY\" is not a valid secret name"),
    ] {
        let problems = Template::compile_with_secrets(&json!(text)).unwrap_err();
        assert!(problems[0].1.contains(expected), "{text}: {problems:?}");
    }
    let problems = Condition::compile("secret('x') == input.name").unwrap_err();
    assert!(problems[0].contains("a secret is put in by the agent"), "{problems:?}");
}
