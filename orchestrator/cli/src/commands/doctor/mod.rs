mod agents;
mod facts;
mod finding;
mod orchestrators;
mod room;
mod server;
mod streams;
mod unwanted;
mod workflows;

use clap::Args;
use mesh_bus::{Bus, BusError};
use serde::Serialize;

use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output::{self, Output};
use crate::words::count;
pub(crate) use agents::is_served;
use facts::Facts;
use finding::{Finding, Level};

/// Tell everything that is wrong with a set-up, and what to do
///
/// Looks at the server, the streams, orchestrators, agents, workflows and dead letters, and changes nothing. The exit
/// code is 1 if there is an error.
#[derive(Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Report {
    errors: usize,
    warnings: usize,
    findings: Vec<Finding>,
}

impl Doctor {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let findings = examine(connection).await?;
        let number = |level| findings.iter().filter(|finding| finding.level == level).count();
        let report = Report { errors: number(Level::Error), warnings: number(Level::Warning), findings };
        self.output.document(&report, || print(&report.findings))?;
        match (report.errors, report.warnings) {
            (0, 0) => eprintln!("all is well"),
            (errors, warnings) => {
                eprintln!("{}, {}", count(errors, "error"), count(warnings, "warning"));
            }
        }
        Ok(if report.errors == 0 { Outcome::Done } else { Outcome::Error })
    }
}

/// What cannot be looked at is a finding too. Only settings that contradict each other are an error of the command.
async fn examine(connection: &Connection) -> anyhow::Result<Vec<Finding>> {
    // Read before anything else, so that a wrong setting is not told as a server that is not there.
    connection.options()?;
    let bus = match connection.connect().await {
        Ok(bus) => bus,
        Err(error) => return Ok(vec![Finding::mendable("server", format!("{error:#}"))]),
    };
    Ok(match Facts::gather(&bus).await {
        Ok(facts) => judge(&bus, &facts),
        Err(error @ BusError::Unsuitable(_)) => vec![Finding::mendable("server", error.to_string())],
        Err(error) => {
            // A request that is not allowed has no answer either.
            let advice = "a cluster answers while most of its servers are there, and elects a leader within seconds: see \
                          to servers that are away, and try again. If all are there, see whether this account may use \
                          $JS.API.> and $SRV.>";
            vec![Finding::error("server", error.to_string(), advice)]
        }
    })
}

fn judge(bus: &dyn Bus, facts: &Facts) -> Vec<Finding> {
    let mut findings = server::findings(&facts.health);
    if facts.health.streams.iter().all(|stream| stream.found.is_none()) {
        findings.push(Finding::error(
            "namespace",
            format!("the namespace '{}' is not set up on this server", bus.namespace()),
            "start an orchestrator for it (`mesh up`, `mesh orchestrator`), or name another with --namespace",
        ));
        return findings;
    }
    findings.extend(streams::findings(bus.namespace(), &facts.health));
    findings.extend(room::pressure(bus.namespace(), facts));
    findings.extend(streams::late(&facts.health));
    findings.extend(orchestrators::findings(facts));
    findings.extend(workflows::findings(facts));
    findings.extend(agents::findings(facts));
    findings.extend(streams::dead_letters(bus.namespace(), facts));
    findings.push(streams::loss(&facts.health));
    findings
}

fn print(findings: &[Finding]) -> anyhow::Result<()> {
    for Finding { level, about, finding, advice } in findings {
        output::line(&format!("{:<7}  {about:<13}  {finding}", level.as_str()))?;
        if let Some(advice) = advice {
            output::line(&format!("{:<7}  {:<13}  → {advice}", "", ""))?;
        }
    }
    Ok(())
}
