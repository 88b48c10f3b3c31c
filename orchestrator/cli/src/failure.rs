//! What kind of error it is that ends a command, for people to look up.

use std::fmt;

use mesh_agents::AgentError;
use mesh_bus::nats::SettingsError;
use mesh_bus::{BusError, PublishError, SubmitError};
use mesh_orchestrator::OrchestratorError;
use mesh_orchestrator::definitions::ApplyError;
use mesh_schemas::{ErrorCode, NameError};

/// An error that a command finds itself.
#[derive(Debug)]
pub(crate) struct Failure {
    code: ErrorCode,
    message: String,
}

impl Failure {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The code of an error, whatever was said around it.
pub(crate) fn code_of(error: &anyhow::Error) -> ErrorCode {
    None.or_else(|| error.downcast_ref().map(|error: &Failure| error.code))
        .or_else(|| error.downcast_ref().map(BusError::code))
        .or_else(|| error.downcast_ref().map(SubmitError::code))
        .or_else(|| error.downcast_ref().map(SettingsError::code))
        .or_else(|| error.downcast_ref().map(ApplyError::code))
        .or_else(|| error.downcast_ref().map(AgentError::code))
        .or_else(|| error.downcast_ref().map(OrchestratorError::code))
        .or_else(|| error.downcast_ref().map(PublishError::code))
        .or_else(|| error.downcast_ref().map(|_: &NameError| ErrorCode::InvalidName))
        .or_else(|| error.downcast_ref().map(|_: &std::io::Error| ErrorCode::System))
        .unwrap_or(ErrorCode::Unexpected)
}

/// The error with its causes, each once: some name theirs themselves.
fn message(error: &anyhow::Error) -> String {
    let mut message = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !message.contains(&cause) {
            message.push_str(": ");
            message.push_str(&cause);
        }
    }
    message
}

/// Tells an error on stderr.
pub(crate) fn tell(error: &anyhow::Error) {
    eprintln!("error[{}]: {}", code_of(error), message(error));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_code_and_each_cause_is_told_once() {
        let refused = SubmitError::Publish(PublishError::Refused("no".to_owned()));
        let error = anyhow::Error::new(refused).context("starting");
        assert_eq!(code_of(&error), ErrorCode::Refused);
        assert_eq!(message(&error), "starting: the request was not stored: the message cannot be stored: no");
        assert_eq!(code_of(&std::io::Error::other("full").into()), ErrorCode::System);
        assert_eq!(code_of(&anyhow::anyhow!("what")), ErrorCode::Unexpected);
    }
}
