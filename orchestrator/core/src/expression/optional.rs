use super::node::Node;

/// What has to do with optionals: values that may be there or not. The names are those of cel-spec. A path behind an
/// optional one is optional too: `a.?b.c` has no value if `b` or `c` is missing.
#[derive(Debug)]
pub(super) enum Optional {
    /// `of.?field`.
    Field(Node, String),
    /// `of[?index]`.
    Index(Node, Node),
    /// `optional.none()`.
    None,
    /// `optional.of(x)`.
    Of(Node),
    /// `optional.ofNonZeroValue(x)`: no value for null, false, 0, and what is empty.
    OfNonZero(Node),
    /// `x.hasValue()`.
    HasValue(Node),
    /// `x.value()`, which must be there.
    Value(Node),
    /// `x.or(optional)`.
    Or(Node, Node),
    /// `x.orValue(y)`.
    OrValue(Node, Node),
    /// `x.optMap(v, …)`.
    Map(Node, Node),
    /// `x.optFlatMap(v, optional)`.
    FlatMap(Node, Node),
    /// `[a, ?b]`: an item that is marked is there if its optional has a value.
    List(Vec<(bool, Node)>),
    /// `{'a': b, ?'c': d}`: an entry that is marked is there if its optional has a value.
    Object(Vec<(bool, Node, Node)>),
}

impl Optional {
    /// Whether it gives an optional.
    pub(super) fn gives_optional(&self) -> bool {
        match self {
            Self::Field(..)
            | Self::Index(..)
            | Self::None
            | Self::Of(_)
            | Self::OfNonZero(_)
            | Self::Or(..)
            | Self::Map(..)
            | Self::FlatMap(..) => true,
            Self::HasValue(_) | Self::Value(_) | Self::OrValue(..) | Self::List(_) | Self::Object(_) => false,
        }
    }

    /// As [`Node::place`].
    pub(super) fn place(&self) -> String {
        match self {
            Self::Field(of, field) => format!("{}.?{field}", of.place()),
            Self::Index(of, index) => format!("{}[?{}]", of.place(), index.index_place()),
            Self::Value(of) => format!("{}.value()", of.place()),
            _ => "(…)".to_owned(),
        }
    }
}
