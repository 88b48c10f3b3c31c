//! Every metric that something asks for is one that is told.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use mesh_telemetry::metrics::Kind;
use mesh_telemetry::metrics::table::ALL;
use serde_json::Value;

use crate::support::{file, json};

/// What Prometheus itself tells.
const OF_PROMETHEUS: [&str; 1] = ["up"];

/// The series of all metrics.
fn known() -> BTreeSet<String> {
    let series = ALL.iter().flat_map(|metric| {
        let name = metric.about().prometheus();
        match metric.about().kind {
            Kind::Histogram => ["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}")).to_vec(),
            Kind::Counter | Kind::Gauge => vec![name],
        }
    });
    series.chain(OF_PROMETHEUS.map(str::to_owned)).collect()
}

/// The names in a query that are those of series: each begins with a word that no label or function has.
fn named(query: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let words = query.split(|letter: char| !is_part(letter));
    let is_name = |word: &&str| {
        word.starts_with("mesh_")
            || word.starts_with("messaging_") && !word.starts_with("messaging_destination")
    };
    words.filter(is_name).map(str::to_owned).collect()
}

fn check(what: &Path, query: &str, known: &BTreeSet<String>) -> Result<()> {
    for name in named(query) {
        ensure!(known.contains(&name), "{}: no metric is called {name}: {query}", what.display());
    }
    Ok(())
}

/// The dashboards, with their files.
pub(crate) fn dashboards() -> Result<Vec<(PathBuf, Value)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(file("deploy/grafana"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            let dashboard = json(&std::fs::read_to_string(&path)?)?;
            found.push((path, dashboard));
        }
    }
    Ok(found)
}

#[test]
fn alerts_ask_for_metrics_that_are_told() -> Result<()> {
    let known = known();
    for name in ["alerts.yml", "alerts_test.yml"] {
        let path = file("deploy/prometheus").join(name);
        let text = std::fs::read_to_string(&path)?;
        ensure!(named(&text).len() > 10, "the alerts name metrics");
        check(&path, &text, &known)?;
    }
    Ok(())
}

#[test]
fn dashboards_ask_for_metrics_that_are_told_and_say_their_units() -> Result<()> {
    let known = known();
    let dashboards = dashboards()?;
    assert_eq!(dashboards.len(), 4);
    let mut uids = BTreeSet::new();
    for (path, dashboard) in &dashboards {
        let of = |what: &str| dashboard[what].as_str().map(str::to_owned);
        ensure!(uids.insert(of("uid").context("a uid")?), "two dashboards have one uid");
        ensure!(of("title").is_some_and(|title| title.starts_with("Mesh")), "{}: a title", path.display());
        let variables = dashboard["templating"]["list"].as_array().context("variables")?;
        ensure!(
            variables.iter().any(|variable| variable["type"] == "datasource"),
            "{}: no data source to choose",
            path.display()
        );
        for variable in variables {
            check(path, variable["query"].as_str().unwrap_or_default(), &known)?;
        }
        let panels = dashboard["panels"].as_array().context("panels")?;
        ensure!(panels.len() >= 4, "{}: only {} panels", path.display(), panels.len());
        let mut places = BTreeSet::new();
        for panel in panels {
            let title = panel["title"].as_str().context("a title")?;
            let place = (panel["gridPos"]["y"].as_u64(), panel["gridPos"]["x"].as_u64());
            ensure!(places.insert(place), "{}: '{title}' covers another panel", path.display());
            ensure!(
                panel["datasource"]["uid"] == "${datasource}",
                "{}: '{title}' has its own data source",
                path.display()
            );
            ensure!(
                panel["fieldConfig"]["defaults"]["unit"].is_string(),
                "{}: '{title}' has no unit",
                path.display()
            );
            let targets = panel["targets"].as_array().context("queries")?;
            ensure!(!targets.is_empty(), "{}: '{title}' asks for nothing", path.display());
            for target in targets {
                let query = target["expr"].as_str().context("a query")?;
                ensure!(
                    !named(query).is_empty() || query.contains("up{"),
                    "{}: '{title}': {query}",
                    path.display()
                );
                check(path, query, &known)?;
            }
        }
    }
    Ok(())
}

#[test]
fn names_are_found_where_they_stand() {
    let query = "sum by (mesh) (rate(mesh_a_total{mesh_=\"x\"}[5m])) / messaging_b_seconds_bucket{messaging_destination_template=\"t\"}";
    assert_eq!(
        named(query),
        ["mesh_a_total", "mesh_", "messaging_b_seconds_bucket"].map(str::to_owned).into()
    );
}
