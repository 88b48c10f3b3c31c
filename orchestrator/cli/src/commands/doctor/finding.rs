use serde::Serialize;

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Info,
    /// It works, but not as somebody may think, or not for long.
    Warning,
    /// It does not work.
    Error,
}

impl Level {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// What was looked at.
    pub(super) about: &'static str,
    /// How it is.
    pub(super) finding: String,
    /// What to do about it, unless the finding says it.
    pub(super) advice: Option<String>,
}

impl Finding {
    pub(super) fn ok(about: &'static str, finding: impl Into<String>) -> Self {
        Self { level: Level::Ok, about, finding: finding.into(), advice: None }
    }

    pub(super) fn info(about: &'static str, finding: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Info, ..Self::error(about, finding, advice) }
    }

    pub(super) fn warning(
        about: &'static str,
        finding: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { level: Level::Warning, ..Self::error(about, finding, advice) }
    }

    /// An error whose text says what to do.
    pub(super) fn mendable(about: &'static str, finding: impl Into<String>) -> Self {
        Self { level: Level::Error, about, finding: finding.into(), advice: None }
    }

    pub(super) fn error(about: &'static str, finding: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Error, about, finding: finding.into(), advice: Some(advice.into()) }
    }
}
