//! How optionals are written.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr, ListExpr, LiteralValue, MapExpr, operators};

use super::{Compiler, MAX_LOOPS, ROOTS, task};
use crate::expression::node::Node;
use crate::expression::optional::Optional;

/// Methods of optionals.
pub(super) const NAMES: [&str; 6] = ["hasValue", "value", "or", "orValue", "optMap", "optFlatMap"];

/// Functions that make optionals: `optional.of(x)`.
const MAKERS: [&str; 3] = ["none", "of", "ofNonZeroValue"];

/// What a task has is always there.
const ALWAYS_THERE: &str = "what a task has is always there, if only as null: write tasks.<id>.output.?field";

/// Whether some entries of a map are marked with `?`.
pub(super) fn has_optional_entries(map: &MapExpr) -> bool {
    map.entries.iter().any(|entry| matches!(&entry.expr, EntryExpr::MapEntry(entry) if entry.optional))
}

impl Compiler {
    /// A call that has to do with optionals; the outer `None` if it has not.
    pub(super) fn optional(&mut self, call: &CallExpr) -> Option<Option<Node>> {
        let name = call.func_name.as_str();
        match (call.target.as_deref(), call.args.as_slice()) {
            (None, [of, field]) if name == operators::OPT_SELECT => Some(self.optional_field(of, field)),
            (None, [of, index]) if name == operators::OPT_INDEX => Some(self.optional_index(of, index)),
            (Some(target), args) if is_library(target, self) => Some(self.maker(name, args)),
            (Some(target), args) if NAMES.contains(&name) => Some(self.method(name, target, args)),
            _ => None,
        }
    }

    fn optional_node(node: Option<Optional>) -> Option<Node> {
        node.map(|optional| Node::Optional(Box::new(optional)))
    }

    fn optional_field(&mut self, of: &IdedExpr, field: &IdedExpr) -> Option<Node> {
        let Expr::Literal(LiteralValue::String(field)) = &field.expr else {
            return self.refuse("this form is not supported");
        };
        if task(&of.expr).is_some() {
            return self.refuse(ALWAYS_THERE);
        }
        let of = self.node(of)?;
        Self::optional_node(Some(Optional::Field(of, field.inner().to_owned())))
    }

    fn optional_index(&mut self, of: &IdedExpr, index: &IdedExpr) -> Option<Node> {
        if task(&of.expr).is_some() {
            return self.refuse(ALWAYS_THERE);
        }
        let (of, index) = (self.node(of), self.node(index));
        Self::optional_node(Some(Optional::Index(of?, index?)))
    }

    fn maker(&mut self, name: &str, args: &[IdedExpr]) -> Option<Node> {
        Self::optional_node(match (name, args) {
            ("none", []) => Some(Optional::None),
            ("of", [value]) => self.node(value).map(Optional::Of),
            ("ofNonZeroValue", [value]) => self.node(value).map(Optional::OfNonZero),
            _ if MAKERS.contains(&name) => {
                let form = if name == "none" { "optional.none()" } else { "optional.of(x)" };
                self.refuse(format!("'optional.{name}' is used in a wrong form: write {form}"))
            }
            _ => {
                let names = MAKERS.map(|name| format!("optional.{name}")).join(", ");
                self.refuse(format!("unknown function 'optional.{name}': there are {names}"))
            }
        })
    }

    fn method(&mut self, name: &str, target: &IdedExpr, args: &[IdedExpr]) -> Option<Node> {
        let of = self.node(target);
        Self::optional_node(match (name, args) {
            ("hasValue", []) => Some(Optional::HasValue(of?)),
            ("value", []) => Some(Optional::Value(of?)),
            ("or", [other]) => {
                let other = self.node(other);
                Some(Optional::Or(of?, other?))
            }
            ("orValue", [other]) => {
                let other = self.node(other);
                Some(Optional::OrValue(of?, other?))
            }
            ("optMap" | "optFlatMap", [variable, body]) => {
                let body = self.with_variable(name, variable, body)?;
                Some(if name == "optMap" { Optional::Map(of?, body) } else { Optional::FlatMap(of?, body) })
            }
            _ => {
                let form = match name {
                    "hasValue" | "value" => format!("x.{name}()"),
                    "or" | "orValue" => format!("x.{name}(y)"),
                    _ => format!("x.{name}(v, …)"),
                };
                self.refuse(format!("'{name}' is used in a wrong form: write {form}"))
            }
        })
    }

    /// An expression in which a name stands for a value.
    fn with_variable(&mut self, name: &str, variable: &IdedExpr, body: &IdedExpr) -> Option<Node> {
        let Expr::Ident(variable) = &variable.expr else {
            return self.refuse(format!("the first argument of {name} must be a name: x.{name}(v, …)"));
        };
        if ROOTS.contains(&variable.as_str()) || self.variables.contains(variable) {
            return self.refuse(format!("the name '{variable}' is taken: use another one in {name}(…)"));
        }
        if self.variables.len() >= MAX_LOOPS {
            return self.refuse(format!("{name}(…): names are nested deeper than {MAX_LOOPS}"));
        }
        self.variables.push(variable.clone());
        let body = self.node(body);
        self.variables.pop();
        body
    }

    pub(super) fn optional_list(&mut self, list: &ListExpr) -> Option<Node> {
        let marked = |place: usize| list.optional_indices.contains(&place);
        let items: Vec<_> = list.elements.iter().map(|item| self.node(item)).collect();
        let items = items.into_iter().enumerate().map(|(place, item)| Some((marked(place), item?)));
        Self::optional_node(items.collect::<Option<_>>().map(Optional::List))
    }

    pub(super) fn optional_map(&mut self, map: &MapExpr) -> Option<Node> {
        let entries: Vec<_> = map
            .entries
            .iter()
            .map(|entry| {
                let is_optional = matches!(&entry.expr, EntryExpr::MapEntry(entry) if entry.optional);
                let (key, value) = self.entry(&entry.expr)?;
                Some((is_optional, key, value))
            })
            .collect();
        Self::optional_node(entries.into_iter().collect::<Option<_>>().map(Optional::Object))
    }
}

/// `optional` before a dot, where no variable has that name.
fn is_library(target: &IdedExpr, compiler: &Compiler) -> bool {
    matches!(&target.expr, Expr::Ident(name) if name == "optional")
        && compiler.variables.iter().all(|variable| variable != "optional")
}
