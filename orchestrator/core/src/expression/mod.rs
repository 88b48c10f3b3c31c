//! Expressions: CEL in `${…}`.
//!
//! The crate `cel` parses; what an expression means is decided here. Decisions of a run must be the same on every
//! orchestrator and for as long as the run lives, so evaluation must not depend on the order of a hash map, must
//! end within known bounds, and must not change when a library does. It also borrows its data instead of copying
//! it, and can say in which part of which output something was missing.
//!
//! What there is of CEL: all literals except bytes; lists and maps; `.`, `[]`, `has()`; arithmetic, comparison,
//! `in`, `&&`, `||`, `!`, `?:`; `all`, `exists`, `exists_one`, `map`, `filter`, nested at most twice; and the
//! functions of [`Function`](function::Function); and [optionals](optional::Optional), as cel-spec has them. As in CEL, int, uint and double compare with each other but do
//! not mix in arithmetic. Maps are walked in the order of their keys. One rule is milder than CEL's: a null has no
//! fields, so `has(tasks.risk.output.score)` is false when the task was skipped, not an error. As in other readers of CEL,
//! `!!x` and `--x` are read as `x`, whatever it is.

mod compile;
mod condition;
mod error;
mod evaluate;
mod function;
mod measure;
mod node;
mod operator;
mod optional;
mod references;
mod scan;
mod scope;
mod syntax;
mod template;
mod value;

#[cfg(test)]
mod tests;

pub use condition::Condition;
pub use error::ExpressionError;
pub use measure::{Measure, Measures};
pub(crate) use operator::compare_numbers;
pub use references::References;
pub use scope::{Around, Brings, Ended, Scope, Status};
pub use template::Template;

/// Longest expression, in bytes.
pub const MAX_EXPRESSION_BYTES: usize = 8 * 1024;
