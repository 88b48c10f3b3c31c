use std::fmt;
use std::str::FromStr;

/// A rule that the mesh relies on, broken on purpose, so that it can be seen that the simulation notices.
///
/// Each is broken between the mesh and its bus, so that nothing in the mesh itself has to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sabotage {
    /// A subject of the log and of the tasks holds any number of messages, and no publisher insists on being the first.
    FactsRepeat,
    /// Orchestrators are not shown that others had deliveries between their own.
    NoGapCheck,
    /// Orchestrators believe a server that is behind.
    NoEndCheck,
    /// Orchestrators acknowledge an event before they have stored what follows from it.
    AckBeforeStoring,
    /// Agents acknowledge a task before they have stored its outcome.
    AckBeforeOutcome,
    /// The deadlines of runs are not set.
    NoDeadline,
    /// Agents do not look whether work that came again was done already.
    NoLook,
    /// Where an attempt has two outcomes, orchestrators that read a run see the later one only.
    LastOutcomeWins,
    /// Orchestrators that read a run take a cancel signal for older than all that was decided before it came.
    UnlatchedCancel,
    /// Orchestrators that read a run from a checkpoint do not see the first event behind it.
    GapBehindCheckpoint,
    /// Janitors remove what is not archived.
    NoHistory,
    /// Janitors do not wait for what orchestrators still have to do.
    NoSettling,
    /// Runs that others have started, and that these do not wait for any more, are not cancelled.
    NoCancelWithin,
    /// Tasks are not told the outputs of the runs that they have started.
    NoReport,
}

impl Sabotage {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::FactsRepeat,
        Self::NoGapCheck,
        Self::NoEndCheck,
        Self::AckBeforeStoring,
        Self::AckBeforeOutcome,
        Self::NoDeadline,
        Self::NoLook,
        Self::LastOutcomeWins,
        Self::UnlatchedCancel,
        Self::GapBehindCheckpoint,
        Self::NoHistory,
        Self::NoSettling,
        Self::NoCancelWithin,
        Self::NoReport,
    ];

    /// Its name on command lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FactsRepeat => "facts-repeat",
            Self::NoGapCheck => "no-gap-check",
            Self::NoEndCheck => "no-end-check",
            Self::AckBeforeStoring => "ack-before-storing",
            Self::AckBeforeOutcome => "ack-before-outcome",
            Self::NoDeadline => "no-deadline",
            Self::NoLook => "no-look",
            Self::LastOutcomeWins => "last-outcome-wins",
            Self::UnlatchedCancel => "unlatched-cancel",
            Self::GapBehindCheckpoint => "gap-behind-checkpoint",
            Self::NoHistory => "no-history",
            Self::NoSettling => "no-settling",
            Self::NoCancelWithin => "no-cancel-within",
            Self::NoReport => "no-report",
        }
    }
}

impl fmt::Display for Sabotage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Sabotage {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|sabotage| sabotage.name() == name).ok_or_else(|| {
            format!("no sabotage is called {name:?}: there are {}", Self::ALL.map(Self::name).join(", "))
        })
    }
}
