use mesh_schemas::TaskId;

/// What expressions can see at a place of a workflow.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    /// Tasks that have ended, or might have.
    pub(super) sources: Vec<Source>,
    /// What an item of the loop around looks like, if there is one, and whether it may be something else.
    pub(super) item: Option<(Shape, bool)>,
    /// Whether the items have keys.
    pub(super) has_key: bool,
    /// What the iterations of the loop around make, if there is one.
    pub(super) previous: Option<Shape>,
    /// Whether it is decided how the run ends.
    pub(super) has_outcome: bool,
}

/// A task whose output may be used.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) task: TaskId,
    /// Whether the output may be null.
    pub(super) nullable: bool,
    /// What it looks like if it is not null.
    pub(super) shape: Shape,
    /// Whether the task is a loop that repeats.
    pub(super) iterates: bool,
}

/// What data looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// An object with `n`, `text` and `ok`.
    Usual,
    /// A list or an object of such objects, and of others.
    Items,
    Other,
}
