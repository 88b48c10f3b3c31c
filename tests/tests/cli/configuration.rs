//! Settings: file, environment, command line, in that order of strength.

use anyhow::Result;
use mesh_tests::{TestServer, World};

use crate::support::Person;

#[tokio::test]
async fn the_command_line_goes_before_the_environment_and_that_before_the_file() -> Result<()> {
    let person = Person::new()?.with("MESH_SHARDS", "4").with("MESH_NATS_TOKEN", "hunter2");
    person.file(".config/mesh/config.yaml", "shards: 2\nreplicas: 3\nnamespace: fromfile\nlog: warn\n")?;
    let said = person.says(&["orchestrator", "--print-config", "--namespace", "mine"]).await?.well()?;
    for line in [
        "shards: 4  # MESH_SHARDS",
        "replicas: 3  # file",
        "namespace: mine  # command line",
        "log: warn  # file",
    ] {
        assert!(said.lines().any(|printed| printed == line), "{line} is not in\n{said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
    Ok(())
}

#[tokio::test]
async fn what_is_printed_is_a_configuration_file() -> Result<()> {
    let person = Person::new()?.with("MESH_DATA", "a folder: mine");
    let printed = person.says(&["up", "--print-config", "--port", "4333"]).await?.well()?;
    person.file("again.yaml", &printed)?;
    let other = Person::new()?;
    let path = person.home().join("again.yaml");
    let again = other.says(&["up", "--print-config", "--config", &path.to_string_lossy()]).await?.well()?;
    let values = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split("  # ").next().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(values(&printed), values(&again));
    assert!(again.contains("up_port: 4333  # file"), "{again}");
    Ok(())
}

#[tokio::test]
async fn mistakes_in_the_file_are_told_with_their_place() -> Result<()> {
    let person = Person::new()?;
    let cases = [
        ("nats_ulr: nats://x\n", "config.yaml:1:1: unknown setting 'nats_ulr': did you mean 'nats_url'?"),
        (
            "log: info\nshards: 99\n",
            "config.yaml:2:9: shards: '99' is not possible: use a number from 1 to 64",
        ),
        ("- shards\n", "config.yaml:1:1: expected settings, one 'key: value' a line, but found a list"),
        ("shards: [1\n", "config.yaml:1:9: unclosed bracket"),
    ];
    for (text, expected) in cases {
        person.file("config.yaml", text)?;
        let said = person.says(&["up", "--config", "config.yaml"]).await?;
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains(expected), "{expected} is not in\n{}", said.err);
    }
    let said = person.says(&["up", "--config", "nowhere.yaml"]).await?;
    assert!(
        said.err.starts_with("error[MESH-201]: cannot read the configuration file nowhere.yaml"),
        "{said:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_misspelt_variable_is_pointed_out() -> Result<()> {
    let person = Person::new()?.with("MESH_NAMESPCE", "x").with("MESH_SERVICE_HOST", "10.0.0.1");
    let said = person.says(&["orchestrator", "--print-config"]).await?;
    assert_eq!(
        said.err,
        "warning: MESH_NAMESPCE in the environment is not a setting: did you mean MESH_NAMESPACE?\n"
    );
    Ok(())
}

#[tokio::test]
async fn an_empty_variable_is_as_good_as_none() -> Result<()> {
    let person =
        Person::new()?.with("MESH_NAMESPACE", "").with("MESH_NATS_CREDS", "").with("MESH_CONFIG", "");
    let said = person.says(&["orchestrator", "--print-config"]).await?.well()?;
    assert!(said.contains("namespace: mesh  # default"), "{said}");
    assert!(said.contains("# nats_creds:"), "{said}");
    Ok(())
}

#[tokio::test]
async fn data_is_printed_as_asked() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let person = Person::of(&world)?;
    assert_eq!(person.says(&["agents", "list", "-o", "json"]).await?.json()?, serde_json::json!([]));
    assert_eq!(person.says(&["agent", "list", "-o", "yaml"]).await?.well()?.trim(), "[]");
    assert!(person.says(&["runs", "list"]).await?.well()?.starts_with("RUN "));
    orchestrator.stop().await
}
