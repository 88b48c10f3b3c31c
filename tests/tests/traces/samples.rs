//! The spans of each sample workflow against what they were: `TRACES_REWRITE=1` writes them anew.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use mesh_tests::{Span, beside_tests, mesh_binary};

use crate::place::Place;
use crate::tree::{READ_RUN, drawn};

/// An example, and how its agents are started in its folder.
struct Sample {
    name: &'static str,
    input: &'static str,
    agents: &'static [Agents],
}

enum Agents {
    /// Programs for tasks, by capability.
    Exec(&'static [(&'static str, &'static str)]),
    /// Scripts of Python that are agents, or what those need.
    Python(&'static [&'static str]),
    /// The agents of the demo.
    Demo(&'static [&'static str]),
}

const SAMPLES: [Sample; 6] = [
    Sample {
        name: "merchant-onboarding",
        input: "merchant.json",
        agents: &[
            Agents::Python(&["preprocess.py"]),
            Agents::Demo(&[
                "validate",
                "compliance",
                "risk",
                "create_account",
                "create_dashboard",
                "finalise",
            ]),
        ],
    },
    Sample {
        name: "trading-decision",
        input: "inputs/rising.json",
        agents: &[Agents::Python(&["agents.py"])],
    },
    Sample {
        name: "data-pipeline",
        input: "inputs/usual.json",
        agents: &[Agents::Python(&["fetch.py", "refine.py"])],
    },
    Sample {
        name: "api-to-database",
        input: "input.json",
        agents: &[Agents::Python(&["api.py", "agents.py"])],
    },
    Sample {
        name: "code-review",
        input: "input.json",
        agents: &[Agents::Exec(&[
            ("plan", "tools/plan.py"),
            ("syntax", "tools/syntax.py"),
            ("security", "tools/security.py"),
            ("logic", "tools/logic.py"),
            ("coverage", "tools/coverage.py"),
            ("report", "tools/report.py"),
        ])],
    },
    Sample {
        name: "customer-feedback",
        input: "input.json",
        agents: &[Agents::Exec(&[
            ("analyse", "agents/analyse.py"),
            ("categorise", "agents/categorise.py"),
            ("draft", "agents/draft.py"),
            ("file", "agents/file.py"),
        ])],
    },
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// How often a sample is played until its run goes its usual way. On a busy machine a delivery may be late, and come again.
const TRIES: usize = 3;

/// The spans of a run of a sample, which the orchestrator begins and does not take up again: then it would read it first.
async fn played(sample: &Sample) -> Result<Vec<Span>> {
    for _ in 1..TRIES {
        let spans = played_once(sample).await?;
        if !spans.iter().any(|span| span.name == READ_RUN) {
            return Ok(spans);
        }
    }
    played_once(sample).await
}

async fn played_once(sample: &Sample) -> Result<Vec<Span>> {
    let name = sample.name;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let library = std::env::var("PYTHONPATH").unwrap_or_default();
    let python = format!("{}:{library}", repository().join("agents/python").canonicalize()?.display());
    let api = format!("http://127.0.0.1:{port}");
    let mut place =
        Place::new(&[("PYTHONPATH", &python), ("API_URL", &api), ("PYTHONDONTWRITEBYTECODE", "1")]).await?;
    copy(&repository().join("agents/examples").join(name), &place.folder)?;
    if name == "merchant-onboarding" {
        let merchants = std::fs::read_to_string(place.folder.join("merchants.jsonl"))?;
        std::fs::write(place.folder.join("merchant.json"), merchants.lines().next().context("a merchant")?)?;
    }
    place.says(&["workflow", "apply", "workflow.yaml"], 0).await?;
    for agents in sample.agents {
        match agents {
            Agents::Exec(programs) => {
                for (capability, script) in *programs {
                    let arguments = ["agent", "exec", "--capability", capability, "--", "python3", script];
                    place.start(&mesh_binary()?, &arguments)?;
                }
            }
            Agents::Python(scripts) => {
                for script in *scripts {
                    place.start(Path::new("python3"), &[script])?;
                }
            }
            Agents::Demo(names) => {
                for name in *names {
                    place.start(&beside_tests("merchant-onboarding")?, &[name])?;
                }
            }
        }
    }
    place.run(name, sample.input).await?;
    place.collector.until("the whole trace", is_whole).await
}

async fn traced(name: &str) -> Result<()> {
    let sample = SAMPLES.iter().find(|sample| sample.name == name).context("no such sample")?;
    let spans = played(sample).await?;
    let traces: std::collections::BTreeSet<&str> = spans.iter().map(|span| span.trace.as_str()).collect();
    ensure!(traces.len() == 1, "one run is one trace: {traces:?}");
    for span in spans.iter().filter(|span| span.attributes.contains_key("messaging.system")) {
        let (operation, template) =
            (span.text("messaging.operation.type"), span.text("messaging.destination.template"));
        ensure!(span.name == format!("{operation} {template}"), "{span:?}");
        let kind = match operation {
            "create" | "send" => "producer",
            "process" => "consumer",
            _ => "client",
        };
        ensure!(span.kind == kind && span.text("messaging.system") == "nats", "{span:?}");
    }
    let drawn = drawn(&spans);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/traces/golden/{name}.txt"));
    if std::env::var_os("TRACES_REWRITE").is_some() {
        std::fs::write(golden, drawn)?;
        return Ok(());
    }
    let wanted = std::fs::read_to_string(&golden).with_context(|| format!("read {}", golden.display()))?;
    ensure!(drawn == wanted, "not as in {}:\n{drawn}", golden.display());
    Ok(())
}

/// Whether the end of the run was dealt with, every span has its parent and what it is linked to, and every task that an
/// agent of ours began was settled.
fn is_whole(spans: &[Span]) -> bool {
    let is_there = |id: &String| spans.iter().any(|span| span.id == *id);
    let count = |name: &str| spans.iter().filter(|span| span.short_name() == name).count();
    let ended = count("process workflow.completed") == 1 && count("process workflow.requested") == 1;
    let created = spans.iter().filter(|span| span.short_name() == "create task.created").count();
    ended
        && count("receive task.created") == count("settle task.created")
        && count("receive task.created") == count("process task.created")
        && created == count("process task.completed") + count("process task.failed")
        && spans.iter().all(|span| span.parent.is_empty() || is_there(&span.parent))
        && spans.iter().flat_map(|span| &span.links).all(is_there)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

macro_rules! samples {
    ($($test:ident: $name:literal),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $test() -> Result<()> {
                traced($name).await
            }
        )+
    };
}

samples! {
    merchant_onboarding: "merchant-onboarding",
    trading_decision: "trading-decision",
    data_pipeline: "data-pipeline",
    api_to_database: "api-to-database",
    code_review: "code-review",
    customer_feedback: "customer-feedback",
}
