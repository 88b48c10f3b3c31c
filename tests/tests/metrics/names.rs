//! Every metric that something asks for is one that is told.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use mesh_telemetry::metrics::table::ALL;
use mesh_telemetry::metrics::{Kind, Metric};
use serde_json::Value;

use crate::support::{file, json};

/// What Prometheus itself tells.
const OF_PROMETHEUS: [&str; 1] = ["up"];
/// Labels that Prometheus gives every series.
const OF_TARGETS: [&str; 2] = ["instance", "job"];

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
    for (series, labels) in matched(query) {
        let told = labels_of(&series);
        for label in labels {
            ensure!(told.contains(&label), "{}: {series} has no label {label}: {query}", what.display());
        }
    }
    let told: BTreeSet<String> = named(query).iter().flat_map(|series| labels_of(series)).collect();
    for label in grouped(query) {
        let is_told = told.contains(&label) || query.contains("up{") && OF_TARGETS.contains(&label.as_str());
        ensure!(is_told, "{}: nothing has a label {label}: {query}", what.display());
    }
    Ok(())
}

/// The labels of a series, with those that Prometheus adds.
fn labels_of(series: &str) -> BTreeSet<String> {
    let is_it = |metric: &&&dyn Metric| {
        series.strip_prefix(&metric.about().prometheus()).is_some_and(|part| {
            if metric.about().kind == Kind::Histogram {
                ["_bucket", "_sum", "_count"].contains(&part)
            } else {
                part.is_empty()
            }
        })
    };
    let own = ALL.iter().find(is_it).map(|metric| metric.about().labels).unwrap_or_default();
    let own = own.iter().map(|label| label.replace('.', "_"));
    let bound = series.ends_with("_bucket").then(|| "le".to_owned());
    own.chain(bound).chain(OF_TARGETS.map(str::to_owned)).collect()
}

/// The series of a query that have matchers, each with the names of the labels there.
fn matched(query: &str) -> Vec<(String, Vec<String>)> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let pieces: Vec<&str> = query.split('{').collect();
    let pairs = pieces.windows(2).filter_map(|pair| {
        let series = pair[0].rsplit(|letter: char| !is_part(letter)).next().unwrap_or_default();
        let matchers = pair[1].split_once('}').map_or(pair[1], |(matchers, _)| matchers);
        // Every second part is a value in quotes.
        let names = matchers.split('"').step_by(2).filter_map(|part| {
            let name = part.trim_matches(|letter: char| !is_part(letter));
            (!name.is_empty()).then(|| name.to_owned())
        });
        named(series).contains(series).then(|| (series.to_owned(), names.collect()))
    });
    pairs.collect()
}

/// The labels by which a query groups and joins.
fn grouped(query: &str) -> BTreeSet<String> {
    let lists = ["by (", "on ("].into_iter().flat_map(|word| query.split(word).skip(1));
    let labels = lists.flat_map(|list| list.split(')').next().unwrap_or_default().split(','));
    labels.map(|label| label.trim().to_owned()).collect()
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
        // One at a time, so that each is held to the labels of its own metrics.
        for alert in text.split("- alert: ") {
            let query = alert.split("annotations:").next().unwrap_or_default();
            check(&path, query, &known)?;
        }
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
    let labels = matched(query).into_iter().flat_map(|(_, labels)| labels).collect::<Vec<_>>();
    assert_eq!(labels, ["mesh_", "messaging_destination_template"]);
    assert_eq!(grouped("sum by (a, b) (x) and on (c) y"), ["a", "b", "c"].map(str::to_owned).into());
    let known = known();
    for wrong in ["sum by (wrong) (mesh_runs)", "mesh_runs{wrong=\"a\"}", "mesh_runs{state=\"a\",le=\"1\"}"] {
        assert!(check(Path::new("x"), wrong, &known).is_err(), "{wrong}");
    }
    for right in ["sum by (state) (mesh_runs)", "mesh_runs{state=~\"a|b,c\", job!=\"x\"}"] {
        check(Path::new("x"), right, &known).expect("these are told");
    }
}
