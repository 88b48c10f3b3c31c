use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::terms::Terms;
use super::view::Shape;
use crate::workload::expression::Expression;
use crate::workload::template::{Fragment, Template};

/// How deep expressions are at most, apart from the paths at their ends.
pub(super) const DEPTH: usize = 2;

/// Some data with expressions.
pub(super) fn data(terms: &mut Terms<'_>) -> Template {
    match terms.choices.weighted(&[
        (50, 0),
        (15, 1),
        (12, 2),
        (10, 3),
        (8, 4),
        (5, 5),
        (8, 6),
        (4, 7),
        (3, 8),
    ]) {
        0 => object(terms),
        1 => {
            terms.choices.note("whole output passed on");
            Template::Whole(terms.root())
        }
        2 => {
            terms.choices.note("text with expressions");
            Template::Mixed(vec![
                Fragment::Text("is ".to_owned()),
                Fragment::Expression(terms.text(DEPTH)),
                Fragment::Text(" or ".to_owned()),
                Fragment::Expression(terms.root()),
            ])
        }
        3 => Template::List(vec![
            Template::Whole(terms.number(DEPTH)),
            Template::Plain(json!(null)),
            Template::Whole(terms.truth(DEPTH)),
        ]),
        4 => Template::Whole(terms.number(DEPTH)),
        6 => {
            let entries = ["n", "text", "more"].map(|key| (key.to_owned(), maybe(terms)));
            Template::Object(entries.into())
        }
        7 => Template::List(vec![maybe(terms), Template::Whole(terms.number(0))]),
        8 => maybe(terms),
        _ => {
            terms.choices.note("plain data");
            Template::Plain(json!({ "price": "costs ${5}", "list": [1, true, null] }))
        }
    }
}

/// A number from 0 to 1, in most cases.
pub(super) fn score(terms: &mut Terms<'_>) -> Template {
    let number = |terms: &mut Terms<'_>| Value::from(terms.choices.pick(&[0.1, 0.5, 0.7, 0.9]));
    if terms.choices.chance("score of any size", 4) {
        return Template::Whole(terms.number(0));
    }
    if terms.choices.chance("score by an expression", 40) {
        let (yes, no) = (Expression::Literal(number(terms)), Expression::Literal(number(terms)));
        return Template::Whole(Expression::Choice(Box::new(terms.truth(0)), Box::new(yes), Box::new(no)));
    }
    Template::Plain(number(terms))
}

/// Something that may not be there.
fn maybe(terms: &mut Terms<'_>) -> Template {
    terms.choices.note("what may be missing");
    let field = terms.choices.pick(&["n", "extra", "text"]);
    Template::Whole(Expression::Maybe(terms.optional(field)))
}

/// An object as agents return it.
pub(super) fn object(terms: &mut Terms<'_>) -> Template {
    Template::Object(BTreeMap::from([
        ("n".to_owned(), Template::Whole(terms.number(DEPTH))),
        ("text".to_owned(), Template::Whole(terms.text(DEPTH))),
        ("ok".to_owned(), Template::Whole(terms.truth(DEPTH))),
    ]))
}

/// What a loop goes over, what its items look like and whether some may look otherwise, and whether they have keys.
pub(super) fn items(terms: &mut Terms<'_>) -> (Template, (Shape, bool), bool) {
    let of = |shape: Shape| terms.view.sources.iter().find(|source| source.shape == shape);
    let (lists, objects) = (of(Shape::Items).cloned(), of(Shape::Usual).cloned());
    let plain = |n: usize| json!({ "n": n, "text": format!("item {n}"), "ok": n.is_multiple_of(2) });
    match terms.choices.weighted(&[(35, 0), (20, 1), (20, 2), (20, 3), (6, 4), (3, 5), (2, 6)]) {
        1 => {
            let items: Vec<Value> = (0..terms.choices.below(4)).map(plain).collect();
            if items.is_empty() {
                terms.choices.note("no items");
            }
            (Template::Plain(items.into()), (Shape::Usual, false), false)
        }
        2 => {
            terms.choices.note("items of an object");
            let keys = ["three", "one", "two"];
            let count = 1 + terms.choices.below(3);
            let items = keys[..count].iter().map(|key| ((*key).to_owned(), object(terms))).collect();
            (Template::Object(items), (Shape::Usual, false), true)
        }
        3 if let Some(source) = lists => {
            terms.choices.note("items of another loop");
            (Template::Whole(Expression::Output(source.task)), (Shape::Usual, true), false)
        }
        4 if let Some(source) = objects => {
            terms.choices.note("items of an output");
            (Template::Whole(Expression::Output(source.task)), (Shape::Other, false), true)
        }
        5 => {
            terms.choices.note("items of the input");
            (Template::Whole(Expression::Input.field("extra").field("list")), (Shape::Other, false), false)
        }
        6 => {
            terms.choices.note("items that are none");
            (Template::Whole(terms.number(0)), (Shape::Other, false), false)
        }
        _ => {
            let count = terms.choices.weighted(&[(20, 1), (45, 2), (30, 3), (5, 5)]);
            let items = (0..count).map(|_| object(terms)).collect();
            (Template::List(items), (Shape::Usual, false), false)
        }
    }
}
