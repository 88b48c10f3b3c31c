//! Mistakes in settings.

use anyhow::Result;

use super::transcript::Transcript;
use crate::support::Person;

#[tokio::test]
async fn settings() -> Result<()> {
    let person = Person::new()?;
    let mut transcript = Transcript::new("settings");
    let up = ["up", "--config", "mesh.yaml"];
    for (mistake, content) in [
        ("an unknown setting", "nats_ulr: nats://x\n"),
        ("an impossible number", "log: info\nshards: 99\n"),
        ("an impossible name", "namespace: My Mesh\n"),
        ("an impossible duration", "agent_drain_timeout: soon\n"),
        ("a list", "- shards\n"),
        ("a bracket that is not closed", "shards: [1\n"),
        ("a setting twice", "shards: 1\nshards: 2\n"),
    ] {
        transcript.tries_file(mistake, &person, ("mesh.yaml", content), &up).await?;
    }
    transcript.tries("no configuration file", &person, &["up", "--config", "nowhere.yaml"]).await?;
    transcript
        .tries("a namespace that cannot be one", &person, &["orchestrator", "--namespace", "My Mesh"])
        .await?;
    transcript.tries("a number of shards", &person, &["orchestrator", "--shards", "0"]).await?;
    let variable = Person::new()?.with("MESH_SHARDS", "many").with("MESH_NAMESPCE", "x");
    transcript.tries("variables of the environment", &variable, &["orchestrator"]).await?;
    let misspelt = Person::new()?.with("MESH_NAMESPCE", "x").with("MESH_NATS_URL", "nats://127.0.0.1:1");
    transcript.tries("a misspelt variable", &misspelt, &["runs", "list"]).await?;
    transcript.tries("a user without a password", &person, &["runs", "list", "--nats-user", "ann"]).await?;
    let both = ["runs", "list", "--nats-token", "x", "--nats-user", "ann", "--nats-password", "y"];
    transcript.tries("two proofs", &person, &both).await?;
    transcript
        .tries("no credentials file", &person, &["runs", "list", "--nats-creds", "nowhere.creds"])
        .await?;
    transcript
        .tries("a certificate without a key", &person, &["runs", "list", "--nats-cert", "c.pem"])
        .await?;
    transcript.tries("no such context", &person, &["runs", "list", "--nats-context", "nowhere"]).await?;
    transcript.holds()
}
