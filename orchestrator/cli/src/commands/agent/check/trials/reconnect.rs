//! A server that is gone for a while.

use std::time::Duration;

use crate::commands::agent::check::Settings;
use crate::commands::agent::check::bench::Place;
use crate::commands::agent::check::report::Findings;
use crate::commands::agent::check::rule::Rule;

pub(super) const RULES: &[Rule] = &[Rule::Reconnects];

/// How long the server is gone: some tries to connect are in vain.
const GONE: Duration = Duration::from_secs(3);

pub(super) async fn run(place: &Place, settings: &Settings) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let mut server = place.bench()?.another_server("restarted").await?;
    let mut stage = place.stage_on(&server, "reconnect", settings).await?;
    stage.start_agent()?;
    if let Err(found) = stage.goes_on().await? {
        findings.broken(Rule::Reconnects, found);
        return Ok(findings);
    }
    server.stop().await?;
    tokio::time::sleep(GONE).await;
    server.start_again().await?;
    let gone_on = if stage.has_ended() { Err(stage.how_it_ended()) } else { stage.goes_on().await? };
    findings.judge(Rule::Reconnects, gone_on);
    // The agent first: it is not to look for a server that is gone for good.
    drop(stage);
    server.stop().await?;
    Ok(findings)
}
