use clap::Args;
use mesh_schemas::ErrorCode;
use mesh_schemas::payload::{Reason, code, rejection};

use crate::exit::Outcome;
use crate::output;

/// Say what an error means and what to do about it
#[derive(Args)]
pub(crate) struct Explain {
    /// The code, such as MESH-101, or one that stands in events, such as unknown_workflow; all of them if none is given
    #[arg(value_parser = explained)]
    code: Option<Explained>,
}

/// What there is to say of a code.
#[derive(Debug, Clone)]
enum Explained {
    /// An error of a command.
    Error(ErrorCode),
    /// It stands in events: where, and what it means there.
    InEvents(Vec<InEvents>),
}

/// A code, where it stands, and what it means there.
type InEvents = (&'static str, &'static str, &'static str);

impl Explain {
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        match self.code {
            Some(Explained::Error(code)) => {
                output::line(&format!("{code}: {}\n\n{}", code.title(), code.remedy()))?;
            }
            Some(Explained::InEvents(meanings)) => {
                for (code, place, meaning) in meanings {
                    output::line(&format!("{code} in {place}: {meaning}"))?;
                }
            }
            None => {
                for code in ErrorCode::ALL {
                    output::line(&format!("{code}  {}", code.title()))?;
                }
                output::line("")?;
                let rows =
                    in_events().map(|(code, place, meaning)| [code, place, meaning].map(str::to_owned));
                output::table(["CODE IN EVENTS", "WHERE", "MEANING"], &rows.collect::<Vec<_>>())?;
            }
        }
        Ok(Outcome::Done)
    }
}

/// Every code that stands in events.
fn in_events() -> impl Iterator<Item = InEvents> {
    let rejected = rejection::ALL.iter().map(|(code, meaning)| (*code, "rejections", *meaning));
    let failed = code::ALL.iter().map(|(code, meaning)| (*code, "failures", *meaning));
    let letters = Reason::ALL.map(|reason| (reason.as_str(), "dead letters", reason.meaning()));
    rejected.chain(failed).chain(letters)
}

fn explained(text: &str) -> Result<Explained, String> {
    if let Some(code) = ErrorCode::named(text) {
        return Ok(Explained::Error(code));
    }
    let meanings: Vec<_> = in_events().filter(|(code, ..)| *code == text).collect();
    if meanings.is_empty() {
        return Err("there is no such code: `mesh explain` lists them".to_owned());
    }
    Ok(Explained::InEvents(meanings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_commands_and_of_events_are_explained() {
        assert!(matches!(explained("mesh-101"), Ok(Explained::Error(_))));
        for (code, places) in [("unknown_workflow", 1), ("poison", 2), ("lost_input", 2)] {
            let told = explained(code);
            assert!(matches!(&told, Ok(Explained::InEvents(told)) if told.len() == places), "{told:?}");
        }
        assert!(explained("exit_1").is_err());
    }
}
