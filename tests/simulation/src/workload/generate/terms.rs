use mesh_schemas::TaskId;
use serde_json::Value;

use crate::workload::choices::Choices;
use crate::workload::expression::{Expression, Operator};

/// A task whose output may be used.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) task: TaskId,
    /// Whether the output may be null.
    pub(super) nullable: bool,
    /// Whether it is an object with `n`, `text` and `ok`, if it is not null.
    pub(super) usual: bool,
}

/// Makes expressions over `input`, `run`, the outputs of some tasks and, in a task's output, `result`. Most of them have a
/// value.
pub(super) struct Terms<'a> {
    pub(super) choices: &'a mut Choices,
    pub(super) sources: &'a [Source],
    pub(super) result: bool,
}

impl Terms<'_> {
    pub(super) fn number(&mut self, depth: usize) -> Expression {
        if self.choices.chance("wrong kind", 1) {
            return self.path("text");
        }
        match self.choices.weighted(&[(25, 0), (45, 1), (20, 2), (6, 3), (4, 4)]) {
            2 if depth > 0 => self.arithmetic(depth - 1),
            3 if depth > 0 => self.choice(depth - 1, Self::number),
            4 if depth > 0 => Expression::Size(Box::new(self.text(depth - 1))),
            0 => Expression::Literal(self.choices.below(10).into()),
            _ => self.path("n"),
        }
    }

    fn arithmetic(&mut self, depth: usize) -> Expression {
        let left = self.number(depth);
        let operators = [Operator::Add, Operator::Subtract, Operator::Multiply];
        if self.choices.chance("division", 20) {
            let operator = self.choices.pick(&[Operator::Divide, Operator::Remainder]);
            // Now and then by what may be zero.
            let by = if self.choices.chance("division by anything", 20) {
                self.number(depth)
            } else {
                Expression::Literal(self.choices.among(1..=7).into())
            };
            return Expression::binary(operator, left, by);
        }
        let operator = self.choices.pick(&operators);
        Expression::binary(operator, left, self.number(depth))
    }

    pub(super) fn truth(&mut self, depth: usize) -> Expression {
        if self.choices.chance("wrong kind", 1) {
            return self.number(0);
        }
        match self.choices.weighted(&[(30, 0), (28, 1), (12, 2), (8, 3), (8, 4), (6, 5), (4, 6), (4, 7)]) {
            0 => self.path("ok"),
            2 if depth > 0 => {
                let (left, right) = (Box::new(self.truth(depth - 1)), Box::new(self.truth(depth - 1)));
                if self.choices.chance("and", 50) {
                    Expression::And(left, right)
                } else {
                    self.choices.note("or");
                    Expression::Or(left, right)
                }
            }
            3 if depth > 0 => {
                self.choices.note("not");
                Expression::Not(Box::new(self.truth(depth - 1)))
            }
            4 => {
                self.choices.note("has");
                let field = self.choices.pick(&["n", "extra"]);
                Expression::Has(Box::new(self.root()), field)
            }
            5 => {
                self.choices.note("compared with null");
                let operator = self.choices.pick(&[Operator::Equal, Operator::Unequal]);
                Expression::binary(operator, self.root(), Expression::Literal(Value::Null))
            }
            6 => {
                let list = (0..3).map(|_| Expression::Literal(self.choices.below(10).into())).collect();
                Expression::In(Box::new(self.path("n")), list)
            }
            7 if depth > 0 => {
                let operator = self.choices.pick(&[Operator::Equal, Operator::Less, Operator::Unequal]);
                Expression::binary(operator, self.text(depth - 1), self.text(depth - 1))
            }
            _ => {
                let operators = [
                    Operator::Equal,
                    Operator::Unequal,
                    Operator::Less,
                    Operator::AtMost,
                    Operator::Greater,
                    Operator::AtLeast,
                ];
                let operator = self.choices.pick(&operators);
                let depth = depth.saturating_sub(1);
                Expression::binary(operator, self.number(depth), self.number(depth))
            }
        }
    }

    pub(super) fn text(&mut self, depth: usize) -> Expression {
        match self.choices.weighted(&[(25, 0), (40, 1), (15, 2), (10, 3), (10, 4)]) {
            0 => Expression::Literal(self.choices.pick(&["", "x", "two words", "grün"]).into()),
            2 if depth > 0 => {
                self.choices.note("texts joined");
                Expression::binary(Operator::Add, self.text(depth - 1), self.text(depth - 1))
            }
            3 if depth > 0 => Expression::Text(Box::new(self.number(depth - 1))),
            4 => {
                self.choices.note("run");
                Expression::Run(self.choices.pick(&["id", "workflow", "correlation_id", "started_at"]))
            }
            _ => self.path("text"),
        }
    }

    fn choice(&mut self, depth: usize, value: fn(&mut Self, usize) -> Expression) -> Expression {
        self.choices.note("choice");
        let condition = self.truth(depth);
        Expression::Choice(Box::new(condition), Box::new(value(self, depth)), Box::new(value(self, depth)))
    }

    /// Something that has fields, or may be null.
    pub(super) fn root(&mut self) -> Expression {
        match self.source() {
            Some(source) => Expression::Output(source.task),
            None => self.given(),
        }
    }

    /// A task whose output is used, if any is.
    fn source(&mut self) -> Option<Source> {
        let some = !self.sources.is_empty() && self.choices.chance("output used", 65);
        some.then(|| self.sources[self.choices.below(self.sources.len())].clone())
    }

    fn given(&mut self) -> Expression {
        if self.result && self.choices.chance("result used", 70) {
            Expression::Result
        } else {
            Expression::Input
        }
    }

    /// A field of one of the usual objects.
    fn path(&mut self, field: &'static str) -> Expression {
        if self.choices.chance("missing field", 1) {
            return self.root().field("extra");
        }
        let otherwise = Expression::Literal(match field {
            "n" => self.choices.below(10).into(),
            "ok" => self.choices.chance("otherwise", 50).into(),
            _ => "none".into(),
        });
        match self.source() {
            Some(source)
                if source.usual && source.nullable && self.choices.chance("null is foreseen", 85) =>
            {
                Expression::Output(source.task).field_or(field, otherwise)
            }
            Some(source) if source.usual => Expression::Output(source.task).field(field),
            _ => self.given().field(field),
        }
    }
}
