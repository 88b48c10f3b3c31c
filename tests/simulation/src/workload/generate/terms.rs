use mesh_schemas::TaskId;
use serde_json::Value;

use super::view::{Shape, Source, View};
use crate::workload::choices::Choices;
use crate::workload::expression::{Expression, Local};
use crate::workload::operator::Operator;
use crate::workload::optional::Optional;

/// Makes expressions over `input`, `run`, tasks that have ended, what loops around bring along and, where something has just
/// given one, `result`. Most of them have a value.
pub(super) struct Terms<'a> {
    pub(super) choices: &'a mut Choices,
    pub(super) view: &'a View,
    /// What `result` looks like, where there is one.
    pub(super) result: Option<Shape>,
}

/// Something with fields, what it looks like, and whether it may be null.
struct Given(Expression, Shape, bool);

impl Terms<'_> {
    pub(super) fn number(&mut self, depth: usize) -> Expression {
        if self.choices.chance("wrong kind", 1) {
            return self.path("text");
        }
        if self.view.item.is_some() && self.choices.chance("index", 8) {
            return Expression::Local(Local::Index);
        }
        if self.view.previous.is_some() && self.choices.chance("iteration", 15) {
            return Expression::Local(Local::Iteration);
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
        if self.view.has_outcome && self.choices.chance("outcome asked for", 25) {
            let status = self.choices.pick(&["completed", "failed", "cancelled"]);
            let operator = self.choices.pick(&[Operator::Equal, Operator::Unequal]);
            let asked = Expression::Outcome.field("status");
            return Expression::binary(operator, asked, Expression::Literal(status.into()));
        }
        match self.choices.weighted(&[
            (30, 0),
            (28, 1),
            (12, 2),
            (8, 3),
            (8, 4),
            (6, 5),
            (4, 6),
            (4, 7),
            (6, 8),
        ]) {
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
            4 if self.choices.chance("hasValue", 40) => {
                let field = self.choices.pick(&["n", "extra"]);
                Expression::HasValue(self.optional(field))
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
            8 if !self.view.sources.is_empty() => self.how_it_ended(),
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

    /// A question for the status or the error of a task.
    fn how_it_ended(&mut self) -> Expression {
        let task = self.view.sources[self.choices.below(self.view.sources.len())].task.clone();
        let operator = self.choices.pick(&[Operator::Equal, Operator::Unequal]);
        if self.choices.chance("error asked for", 40) {
            return Expression::binary(operator, self.error_code(task), Expression::Literal("busy".into()));
        }
        if self.choices.chance("quality asked for", 25) {
            let quality = || Expression::Quality(task.clone());
            let said = Expression::binary(Operator::Unequal, quality(), Expression::Literal(Value::Null));
            let bound = Expression::Literal(self.choices.pick(&[0.3, 0.5, 0.75]).into());
            let operators = [Operator::Less, Operator::AtMost, Operator::Greater, Operator::AtLeast];
            let is_so = Expression::binary(self.choices.pick(&operators), quality(), bound);
            return Expression::And(Box::new(said), Box::new(is_so));
        }
        self.choices.note("status asked for");
        let status = self.choices.pick(&["done", "failed", "skipped"]);
        Expression::binary(operator, Expression::Status(task), Expression::Literal(status.into()))
    }

    fn error_code(&mut self, task: TaskId) -> Expression {
        Expression::Error(task).field_or("code", Expression::Literal("none".into()))
    }

    pub(super) fn text(&mut self, depth: usize) -> Expression {
        if self.view.has_outcome && self.choices.chance("outcome told", 20) {
            let error = Expression::Outcome.field("error");
            return error.field_or("code", Expression::Outcome.field("status"));
        }
        match self.choices.weighted(&[(25, 0), (40, 1), (15, 2), (10, 3), (10, 4), (6, 5), (6, 6)]) {
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
            5 if !self.view.sources.is_empty() => {
                let task = self.view.sources[self.choices.below(self.view.sources.len())].task.clone();
                self.error_code(task)
            }
            6 if self.view.has_key => {
                self.choices.note("key");
                Expression::Local(Local::Key)
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
        if self.view.has_outcome && self.choices.chance("outcome passed on", 25) {
            return Expression::Outcome;
        }
        match self.source() {
            Some(source) if source.iterates && self.choices.chance("iterations asked for", 40) => {
                Expression::Iterations(source.task)
            }
            Some(source) if self.choices.chance("quality passed on", 4) => Expression::Quality(source.task),
            Some(source) => Expression::Output(source.task),
            None => self.given().0,
        }
    }

    /// A task whose output is used, if any is.
    fn source(&mut self) -> Option<Source> {
        let sources = &self.view.sources;
        let some = !sources.is_empty() && self.choices.chance("output used", 65);
        some.then(|| sources[self.choices.below(sources.len())].clone())
    }

    fn given(&mut self) -> Given {
        if let Some(shape) = self.result
            && self.choices.chance("result used", 70)
        {
            return Given(Expression::Result, shape, false);
        }
        if let Some((shape, nullable)) = self.view.item
            && self.choices.chance("item used", 70)
        {
            return Given(Expression::Local(Local::Item), shape, nullable);
        }
        if let Some(shape) = self.view.previous
            && self.choices.chance("previous used", 40)
        {
            return Given(Expression::Local(Local::Previous), shape, true);
        }
        Given(Expression::Input, Shape::Usual, false)
    }

    /// A path that may lead to nothing.
    pub(super) fn optional(&mut self, field: &'static str) -> Optional {
        let of = Box::new(self.root());
        let fields =
            if self.choices.chance("long optional path", 20) { vec!["extra", field] } else { vec![field] };
        Optional { of, fields }
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
        let Given(given, _, nullable) = match self.source() {
            Some(source) if source.shape == Shape::Usual => {
                Given(Expression::Output(source.task), source.shape, source.nullable)
            }
            _ => match self.given() {
                Given(_, shape, _) if shape != Shape::Usual => Given(Expression::Input, Shape::Usual, false),
                given => given,
            },
        };
        if self.choices.chance("orValue", if nullable { 40 } else { 6 }) {
            let optional = Optional { of: Box::new(given), fields: vec![field] };
            return Expression::OrValue(optional, Box::new(otherwise));
        }
        if nullable && self.choices.chance("null is foreseen", 85) {
            return given.field_or(field, otherwise);
        }
        given.field(field)
    }
}
