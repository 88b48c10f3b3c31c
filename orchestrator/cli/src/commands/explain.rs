use clap::Args;
use mesh_schemas::ErrorCode;

use crate::exit::Outcome;
use crate::output;

/// Say what an error means and what to do about it
#[derive(Args)]
pub(crate) struct Explain {
    /// The code, such as MESH-101; all of them if none is given
    #[arg(value_parser = code)]
    code: Option<ErrorCode>,
}

impl Explain {
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        match self.code {
            Some(code) => output::line(&format!("{code}: {}\n\n{}", code.title(), code.remedy()))?,
            None => {
                for code in ErrorCode::ALL {
                    output::line(&format!("{code}  {}", code.title()))?;
                }
            }
        }
        Ok(Outcome::Done)
    }
}

fn code(text: &str) -> Result<ErrorCode, String> {
    ErrorCode::named(text).ok_or_else(|| "there is no such code: `mesh explain` lists them".to_owned())
}
