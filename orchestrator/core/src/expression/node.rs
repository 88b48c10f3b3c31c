use mesh_schemas::TaskId;
use regex::Regex;

use super::function::Function;
use super::operator::Operator;
use super::optional::Optional;
use super::scope::{Local, Member};
use super::value::Val;

/// A checked expression: every name is resolved, and only forms that can be evaluated are left.
#[derive(Debug)]
pub(super) enum Node {
    Literal(Val<'static>),
    Input,
    Config,
    Run,
    Result,
    /// `tasks.<id>.output`, or something else of a task.
    Task(TaskId, Member),
    /// What a loop of the definition brings along.
    Local(Local),
    /// The variable of a loop around, counted from the outermost.
    Variable(usize, String),
    Field(Box<Node>, String),
    /// `has(of.field)`.
    Has(Box<Node>, String),
    Index(Box<Node>, Box<Node>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Not(Box<Node>),
    Negate(Box<Node>),
    /// `&&` if true, `||` if false.
    Logic(bool, Box<Node>, Box<Node>),
    Choice(Box<Node>, Box<Node>, Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    Call(Function, Vec<Node>),
    Matches(Box<Node>, Regex),
    Loop(Box<Loop>),
    Optional(Box<Optional>),
}

/// A walk over a list, or over the keys of a map.
#[derive(Debug)]
pub(super) struct Loop {
    pub(super) kind: LoopKind,
    pub(super) range: Node,
    /// `map` with three arguments takes only items for which this is true.
    pub(super) filter: Option<Node>,
    pub(super) body: Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

impl LoopKind {
    pub(super) const NAMES: [&'static str; 6] = ["all", "exists", "exists_one", "existsOne", "map", "filter"];

    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "all" => Self::All,
            "exists" => Self::Exists,
            "exists_one" | "existsOne" => Self::ExistsOne,
            "map" => Self::Map,
            "filter" => Self::Filter,
            _ => return None,
        })
    }
}

impl Node {
    /// Whether its value is an optional, as far as the form tells.
    pub(super) fn is_optional(&self) -> bool {
        match self {
            Self::Optional(optional) => optional.gives_optional(),
            Self::Field(of, _) | Self::Index(of, _) => of.is_optional(),
            Self::Choice(_, yes, no) => yes.is_optional() || no.is_optional(),
            _ => false,
        }
    }

    /// The node as it is written, if it is a plain path, for messages.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Input => "input".to_owned(),
            Self::Config => "config".to_owned(),
            Self::Run => "run".to_owned(),
            Self::Result => "result".to_owned(),
            Self::Task(task, member) => format!("tasks.{task}.{}", member.name()),
            Self::Local(local) => local.name().to_owned(),
            Self::Variable(_, name) => name.clone(),
            Self::Field(of, field) => format!("{}.{field}", of.place()),
            Self::Index(of, index) => format!("{}[{}]", of.place(), index.index_place()),
            Self::Optional(optional) => optional.place(),
            _ => "(…)".to_owned(),
        }
    }

    /// The node as it is written between the brackets of an index.
    pub(super) fn index_place(&self) -> String {
        match self {
            Self::Literal(Val::Int(index)) => index.to_string(),
            Self::Literal(Val::Text(text)) => format!("'{}'", text.as_str()),
            index => index.place(),
        }
    }
}
