mod against;
mod cases;

use std::sync::Arc;

use clap::{ArgGroup, Args};
use mesh_orchestrator::definitions::Known;
use mesh_orchestrator::rehearsal::cases::{CaseReport, Cases};
use mesh_schemas::{Digest, ErrorCode, WorkflowName};
use serde::Serialize;

use self::against::{Against, RunReport};
use super::source::Source;
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output::Output;

/// Try a definition without running anything: on cases, and on runs that have ended
#[derive(Args)]
#[command(after_help = HELP, override_usage = USAGE, group = ArgGroup::new("tried").required(true).multiple(true))]
pub(crate) struct Test {
    /// The definition: a YAML or JSON file, or - for stdin
    file: Source,
    /// The cases: a YAML or JSON file, or - for stdin. No server is needed for them
    #[arg(group = "tried")]
    cases: Option<Source>,
    /// Only the case of this name; may be given several times
    #[arg(long = "case", value_name = "NAME", requires = "cases")]
    names: Vec<String>,
    /// Play the last N runs of the workflow that have ended again, and tell which would go another way
    #[arg(long, value_name = "last:N", group = "tried")]
    against: Option<Against>,
    #[command(flatten)]
    output: Output,
}

const USAGE: &str = "mesh workflow test [OPTIONS] <FILE> [CASES] [--against <last:N>]";

const HELP: &str = "A file of cases:

  mesh: v1
  cases:
    - name: an order that is too large
      input: {amount: 5000}
      mocks:
        check: {output: {ok: false}}
        notify: [{error: busy}, {output: sent, takes: 2s}]
      expect:
        completed: {output_contains: {status: refused}}
        tasks: {charge: skipped, notify: {attempts: 2}}

All keys: orchestrator/cli/README.md. The exit code is 0 if every case is as expected and every run would go as it went.";

/// What came of it all.
#[derive(Serialize)]
struct Report {
    file: String,
    workflow: WorkflowName,
    digest: Digest,
    /// Whether every case is as expected and every run would go as it went.
    passed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cases: Option<Vec<CaseReport>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<Vec<RunReport>>,
}

impl Test {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        if self.file == Source::Stdin && self.cases == Some(Source::Stdin) {
            let message = "definition and cases cannot both come from stdin: name a file for one of them";
            return Err(Failure::new(ErrorCode::Combination, message).into());
        }
        let Some(definition) = self.file.read()? else { return Ok(Outcome::Error) };
        let cases = match &self.cases {
            None => None,
            Some(source) => {
                let (text, format) = source.text("cases")?;
                match Cases::read(&text, format, &definition) {
                    Ok(cases) => Some((source, cases)),
                    Err(problems) => {
                        source.tell(&problems);
                        return Ok(Outcome::Error);
                    }
                }
            }
        };
        let known = Known::compile(&definition)?;
        let cases = match &cases {
            None => None,
            Some((source, cases)) => Some((*source, cases::test(&known, cases, &self.names)?)),
        };
        let runs = match self.against {
            None => None,
            Some(against) => {
                let bus = Arc::new(connection.connect().await?);
                Some(against::test(bus, &known, against).await?)
            }
        };
        let passed = cases.iter().flat_map(|(_, cases)| cases).all(|case| case.passed)
            && runs.iter().flatten().all(RunReport::is_same);
        let (source, cases) = cases.unzip();
        let report = Report {
            file: self.file.to_string(),
            workflow: definition.name.clone(),
            digest: definition.digest(),
            passed,
            cases,
            runs,
        };
        self.output.document(&report, || {
            if let (Some(source), Some(cases)) = (source, &report.cases) {
                cases::print(source, cases)?;
            }
            match &report.runs {
                Some(runs) => against::print(runs),
                None => Ok(()),
            }
        })?;
        Ok(if passed { Outcome::Done } else { Outcome::Error })
    }
}
