use mesh_schemas::TaskId;

/// One output of those of several tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct Merge {
    /// How.
    pub by: MergeBy,
    /// The tasks, of those that are needed.
    pub of: Vec<TaskId>,
    /// Whether the definition names them. If not, they are all that are needed, in the order in which these are named.
    pub names_them: bool,
    /// What counts for how much, quality and speed, in tenths; only by quality.
    pub weights: Option<(u32, u32)>,
    /// Quality of what nothing is said of, in hundredths; only by quality.
    pub default_quality: Option<u32>,
}

/// How outputs are made one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeBy {
    /// Weighed by quality and speed.
    Quality,
    /// A list.
    Collect,
    /// The one that was there first.
    First,
    /// By task.
    Object,
}

impl MergeBy {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Quality, Self::Collect, Self::First, Self::Object];

    /// As definitions write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quality => "quality",
            Self::Collect => "collect",
            Self::First => "first",
            Self::Object => "object",
        }
    }
}

impl Merge {
    /// A merge of some tasks that says nothing else.
    #[must_use]
    pub fn by(by: MergeBy, of: Vec<TaskId>) -> Self {
        Self { by, of, names_them: false, weights: None, default_quality: None }
    }

    /// Whether the definition says more than how.
    #[must_use]
    pub fn is_detailed(&self) -> bool {
        self.names_them || self.weights.is_some() || self.default_quality.is_some()
    }
}
