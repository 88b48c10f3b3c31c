//! The marks of values, which are told apart without their colours, too.

/// The form of a mark.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Circle,
    Square,
    Triangle,
    Diamond,
}

impl Shape {
    /// Its path around a place, about eight pixels wide.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Circle => "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
            Self::Square => "M-3.5 -3.5h7v7h-7z",
            Self::Triangle => "M0 -4.5l4.5 8h-9z",
            Self::Diamond => "M0 -5l5 5l-5 5l-5 -5z",
        }
    }
}
