//! The alerts, by Prometheus's own tools.

use std::path::Path;
use std::process::Output;

use anyhow::{Result, ensure};
use mesh_tests::mesh_binary;
use tokio::process::Command;

use crate::support::{file, tool};

async fn promtool(promtool: &Path, arguments: &[&str]) -> Result<()> {
    let folder = file("deploy/prometheus");
    let Output { status, stdout, stderr } =
        Command::new(promtool).args(arguments).current_dir(folder).kill_on_drop(true).output().await?;
    let said = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    ensure!(status.success(), "promtool {arguments:?}: {said}");
    Ok(())
}

#[tokio::test]
async fn the_alerts_and_the_configuration_are_valid() -> Result<()> {
    let Some(tool) = tool("promtool")? else { return Ok(()) };
    promtool(&tool, &["check", "rules", "alerts.yml"]).await?;
    promtool(&tool, &["check", "config", "prometheus.yml"]).await
}

#[tokio::test]
async fn each_alert_fires_when_it_should() -> Result<()> {
    let Some(tool) = tool("promtool")? else { return Ok(()) };
    let alerts = std::fs::read_to_string(file("deploy/prometheus/alerts.yml"))?;
    let tests = std::fs::read_to_string(file("deploy/prometheus/alerts_test.yml"))?;
    for alert in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        ensure!(
            tests.contains(&format!("alertname=\"{alert}\", alertstate=\"firing\"}}'"))
                || tests.contains(&format!("alertname=\"{alert}\", alertstate=\"firing\", ")),
            "no test has {alert} fire"
        );
    }
    promtool(&tool, &["test", "rules", "alerts_test.yml"]).await
}

/// Each names what to type next, and there is such a command.
#[tokio::test]
async fn each_alert_names_a_command_that_there_is() -> Result<()> {
    let alerts = std::fs::read_to_string(file("deploy/prometheus/alerts.yml"))?;
    let mesh = mesh_binary()?;
    let mut number = 0;
    for alert in alerts.split("- alert: ").skip(1) {
        let text = alert.split_whitespace().collect::<Vec<_>>().join(" ");
        let name = text.split(' ').next().unwrap_or_default();
        ensure!(text.contains("summary: "), "{name} has no summary");
        let commands: Vec<&str> =
            text.split('`').skip(1).step_by(2).filter_map(|code| code.strip_prefix("mesh ")).collect();
        ensure!(!commands.is_empty(), "{name} names no command");
        for command in commands {
            let words = command
                .split(' ')
                .take_while(|word| word.starts_with(|letter: char| letter.is_ascii_lowercase()));
            let flags = command.split(' ').filter(|word| word.starts_with("--"));
            let help = Command::new(&mesh).args(words).arg("--help").output().await?;
            let said = String::from_utf8_lossy(&help.stdout).into_owned();
            ensure!(help.status.success(), "{name}: there is no `mesh {command}`");
            for flag in flags {
                ensure!(said.contains(flag), "{name}: `mesh {command}` has no {flag}");
            }
            number += 1;
        }
    }
    ensure!(number > 10, "only {number} commands");
    Ok(())
}
