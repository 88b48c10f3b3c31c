use std::collections::BTreeMap;

/// How good and how fast something was done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measure {
    /// Quality from 0 to 1, if its agent said it, or a merge has reckoned it.
    pub quality: Option<f64>,
    /// Time from when it began to when it was done, in milliseconds.
    pub millis: u64,
    /// Place in the stream of the event with which it was done.
    pub at: u64,
}

/// The measures of a task that went well.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Measures {
    /// It did not, or has not ended.
    #[default]
    None,
    /// It was done once, or again and again.
    One(Measure),
    /// Those of its items that went well.
    Items(BTreeMap<usize, Measure>),
}
