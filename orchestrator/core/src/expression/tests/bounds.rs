use super::*;

fn refused(text: &str) -> String {
    Condition::compile(text).expect_err(text).join("; ")
}

/// Runs on a stack far smaller than a thread usually has.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(1024 * 1024).spawn(test).unwrap().join().unwrap();
}

#[test]
fn no_expression_overflows_the_stack() {
    on_a_small_stack(|| {
        let data = Data::sample();
        let chains: [(&str, &str); 8] = [
            ("1", " + 1"),
            ("input", ".a"),
            ("input", "[0]"),
            ("", "!"),
            ("", "-"),
            ("", "("),
            ("", "["),
            ("1", " ? 1 : 1"),
        ];
        for (begin, link) in chains {
            for count in [10, 150, 400, 900, 4_000] {
                let text = format!("{begin}{}", link.repeat(count));
                for text in [text.clone(), format!("{text}1"), format!("{text}true")] {
                    if let Ok(condition) = Condition::compile(&text) {
                        let _ = condition.evaluate(&data.scope());
                    }
                }
            }
        }
        let sum = format!("1{} == 151", " + 1".repeat(150));
        assert_eq!(Condition::compile(&sum).unwrap().evaluate(&data.scope()), Ok(true));
    });
}

#[test]
fn expressions_are_bounded() {
    assert!(refused(&"x".repeat(8 * 1024 + 1)).contains("at most 8192 bytes"));
    assert!(refused(&"1+".repeat(600)).contains("at most 1000 words and signs"));
    assert!(
        refused(&format!("{}1{}", "(".repeat(25), ")".repeat(25)))
            .contains("brackets are nested deeper than 24")
    );
    assert!(refused(&format!("1{}", "+1".repeat(250))).contains("at most 200 parts deep"));
    let three = "input.a.map(x, input.a.map(y, input.a.map(z, 1)))";
    assert!(refused(three).contains("loops are nested deeper than 2"));
    assert!(Condition::compile(&format!("{}true{}", "(".repeat(20), ")".repeat(20))).is_ok());
}

#[test]
fn runaway_work_ends() {
    let text = "y".repeat(400_000);
    let data = Data::new(json!({"list": (0..2_000).collect::<Vec<_>>(), "text": text, "same": text}));
    for expression in [
        "input.list.map(x, input.list.map(y, x * y))",
        "input.list.all(x, input.list.all(y, x != y || true)) || true",
        "input.list.exists(x, input.list.exists(y, false)) || true",
        "input.list.filter(x, input.text == input.same).size()",
        "input.list.map(x, input.text + string(x)).size()",
        "input.list.filter(x, input.text.contains('z')).size()",
        "input.list.filter(x, input.text.matches('z')).size()",
        "input.list.filter(x, input.list == input.list).size()",
        "input.list.map(x, input.list + input.list).size()",
    ] {
        let error = data.value(expression).expect_err(expression);
        assert!(error.to_string().contains("more steps than one may take"), "{expression}: {error}");
    }
    let fair = data.value("input.list.filter(x, x % 2 == 0).map(x, {'n': x, 's': string(x)}).size()");
    assert_eq!(fair, Ok(json!(1000)), "mapping some thousand items is fine");
}

#[test]
fn the_same_data_gives_the_same_result_however_it_came() {
    let keys: Vec<String> = (0..40).map(|n| format!("k{}", n * 7919 % 101)).collect();
    let object = |keys: &mut dyn Iterator<Item = &String>| -> String {
        let entries: Vec<_> = keys.map(|key| format!("{key:?}: 1")).collect();
        format!("{{{}}}", entries.join(", "))
    };
    let mut sorted = keys.clone();
    sorted.sort();
    let literal = object(&mut keys.iter());
    for n in 0..20 {
        let rotated = object(&mut keys[n..].iter().chain(&keys[..n]));
        let data = Data::new(serde_json::from_str(&rotated).unwrap());
        assert_eq!(data.value("input.map(k, k)"), Ok(json!(sorted)));
        assert_eq!(data.value(&format!("{literal}.map(k, k)")), Ok(json!(sorted)));
        assert_eq!(
            data.value(&format!("{literal}.filter(k, k > 'k5')[0]")),
            data.value("input.filter(k, k > 'k5')[0]")
        );
        let text = data.render(&json!(format!("${{{literal}}}!"))).unwrap();
        assert_eq!(
            text,
            json!(format!("{}!", serde_json::from_str::<Value>(&object(&mut sorted.iter())).unwrap()))
        );
    }
}

#[test]
fn compiled_expressions_can_be_shared() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Template>();
    shared::<Condition>();
}
