//! `mesh up`: one command to start with, and what may be in its way.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use mesh_tests::{TestServer, mesh_binary, patiently, signal};
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::support::Person;

/// A mesh that was started, with the line that says so.
pub(crate) struct Mesh {
    child: Child,
    ready: String,
}

impl Mesh {
    pub(crate) async fn start(person: &Person, arguments: &[&str]) -> Result<Self> {
        let all: Vec<&str> = ["up"].iter().chain(arguments).copied().collect();
        let mut child = person.command(&all)?.spawn()?;
        let stdout = child.stdout.take().context("a pipe")?;
        let mut lines = BufReader::new(stdout).lines();
        let ready = patiently("mesh up", lines.next_line()).await??;
        match ready {
            Some(ready) => Ok(Self { child, ready }),
            None => {
                let mut said = String::new();
                child.stderr.take().context("a pipe")?.read_to_string(&mut said).await?;
                anyhow::bail!("mesh up ended: {said}")
            }
        }
    }

    pub(crate) fn pid(&self) -> Result<u32> {
        self.child.id().context("it runs")
    }

    pub(crate) fn url(&self) -> Result<&str> {
        let rest = self.ready.split("NATS on ").nth(1).context("an address")?;
        rest.split(',').next().context("an address")
    }

    /// Ends it in order; what it said on stderr.
    pub(crate) async fn stop(self) -> Result<String> {
        signal(self.pid()?, Signal::TERM)?;
        let ended = patiently("the end of mesh up", self.child.wait_with_output()).await??;
        ensure!(ended.status.success(), "{}", ended.status);
        Ok(String::from_utf8(ended.stderr)?)
    }
}

#[tokio::test]
async fn it_says_what_it_started_and_what_comes_next() -> Result<()> {
    let person = Person::new()?;
    let mesh = Mesh::start(&person, &["--port", "0", "--data", "here", "--namespace", "mine"]).await?;
    let url = mesh.url()?.to_owned();
    assert_eq!(
        mesh.ready,
        format!("mesh is up: NATS on {url}, namespace mine, data in here. Ctrl-C stops both.")
    );
    assert!(!url.ends_with(":0") && !url.ends_with(":4222"), "{url}");
    let doctor = person.says(&["doctor", "-s", &url, "--namespace", "mine"]).await?;
    assert_eq!(doctor.code, 0, "{doctor:?}");

    let twice = person.says(&["up", "--port", "0", "--data", "here"]).await?;
    let who = format!("another `mesh up` (process {}) uses the data folder here", mesh.pid()?);
    assert_eq!(twice.code, 1);
    assert!(twice.err.contains(&who), "{twice:?}");

    let said = mesh.stop().await?;
    for line in [
        format!("  export MESH_NATS_URL={url} MESH_NAMESPACE=mine"),
        "  mesh doctor                 # see what is missing".to_owned(),
    ] {
        assert!(said.lines().any(|said| said == line), "{line} is not in\n{said}");
    }
    assert!(said.contains("may lose what came in since the last sync (every 2m)"), "{said}");
    let again = Mesh::start(&person, &["--port", "0", "--data", "here", "--namespace", "mine"]).await?;
    again.stop().await?;
    Ok(())
}

/// The process that has these words in its arguments.
#[cfg(target_os = "linux")]
fn process_with(words: &str) -> Result<u32> {
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&arguments).contains(words) {
            return Ok(pid);
        }
    }
    anyhow::bail!("no process has {words:?} in its arguments")
}

/// Three servers, one of which is killed: runs go on with the other two, and it comes back.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_cluster_to_try() -> Result<()> {
    let person = Person::new()?;
    let data = person.home().join("three");
    let data = data.to_str().context("a path")?;
    let mesh = Mesh::start(&person, &["--cluster", "--port", "0", "--data", data]).await?;
    let urls = mesh.ready.split("NATS on ").nth(1).and_then(|rest| rest.split(", namespace").next());
    let urls = urls.context("addresses")?.to_owned();
    assert_eq!(urls.split(',').count(), 3, "{urls}");
    let applied = person
        .file("one.yaml", "{mesh: v1, name: one, output: '${tasks.a.output}', tasks: {a: {agent: echo}}}")?;
    let applied =
        person.says(&["workflow", "apply", applied.to_str().context("a path")?, "-s", &urls]).await?;
    applied.well()?;
    let agent = ["agent", "exec", "--capability", "echo", "-s", &urls, "--", "cat"];
    let mut agent = person.command(&agent)?.kill_on_drop(true).spawn()?;
    let start = ["start", "one", "--input", "{}", "--wait", "-s", &urls];
    person.says(&start).await?.well()?;
    signal(process_with(&format!("{data}/n2\0"))?, Signal::KILL)?;
    person.says(&start).await?.well()?;
    let whole = async {
        loop {
            let doctor = person.says(&["doctor", "-s", &urls]).await?;
            if doctor.code == 0 && doctor.err.starts_with("all is well") {
                return anyhow::Ok(());
            }
        }
    };
    patiently("the server to be back with all it had", whole).await??;
    for server in ["n1", "n3"] {
        signal(process_with(&format!("{data}/{server}\0"))?, Signal::KILL)?;
    }
    let waited = person.says(&start).await?;
    assert!(!waited.err.contains("no orchestrator"), "there is one: {waited:?}");
    waited.well()?;
    agent.kill().await?;
    let said = mesh.stop().await?;
    for others in ["n2 has ended, and is started again: the other two go on", "again: until two are there"] {
        assert!(said.contains(others), "{said}");
    }
    let alone = person.says(&["up", "--port", "0", "--data", data]).await?;
    assert!(
        alone.code == 1 && alone.err.contains("is that of three servers: start it with --cluster"),
        "{alone:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_port_that_is_taken() -> Result<()> {
    let person = Person::new()?;
    let server = TestServer::start()?;
    let port = server.port().to_string();
    let by_nats = person.says(&["up", "--port", &port]).await?;
    assert_eq!(by_nats.code, 1);
    let use_it = format!("`mesh orchestrator --nats-url nats://127.0.0.1:{port}`");
    let parts = [&format!("port {port} of 127.0.0.1 is taken by a NATS server"), &use_it, "--port 0"];
    assert!(parts.iter().all(|part| by_nats.err.contains(*part)), "{by_nats:?}");
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port().to_string();
    let by_another = person.says(&["up", "--port", &port]).await?;
    let parts = ["is taken, and not by a NATS server", "--port 0"];
    assert!(parts.iter().all(|part| by_another.err.contains(part)), "{by_another:?}");
    assert!(!person.home().join("mesh-data").exists(), "nothing is left of a start that was none");
    Ok(())
}

#[tokio::test]
async fn copies_need_a_cluster() -> Result<()> {
    let person = Person::new()?;
    let server = TestServer::start()?;
    let url = server.url();
    let orchestrator = ["orchestrator", "--replicas", "3", "--nats-url", &url];
    let up = ["up", "--port", "0", "--replicas", "3"];
    for arguments in [orchestrator, up] {
        let said = person.says(&arguments).await?;
        assert!(said.code == 1 && said.err.contains("error[MESH-105]"), "{said:?}");
        assert!(
            said.err.contains("belongs to no cluster") && said.err.contains("mesh up --cluster"),
            "{said:?}"
        );
    }
    Ok(())
}

/// A program that says something when it is asked for its version.
fn program(person: &Person, says: &str) -> Result<PathBuf> {
    let path = person.file("bin/nats-server", &format!("#!/bin/sh\necho '{says}'\n"))?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    Ok(path)
}

#[tokio::test]
async fn an_old_server_is_refused_before_it_starts() -> Result<()> {
    let person = Person::new()?;
    let old = program(&person, "nats-server: v2.9.10")?.display().to_string();
    let person = person.with("NATS_SERVER", &old);
    let said = person.says(&["up", "--port", "0"]).await?;
    assert_eq!(said.code, 1);
    let parts = [&format!("{old} is version 2.9.10, but the mesh needs 2.14 or later"), "https://", "Debian"];
    assert!(parts.iter().all(|part| said.err.contains(*part)), "{said:?}");
    assert!(!person.home().join("mesh-data").exists(), "nothing was begun");
    program(&person, "Hello, world")?;
    let said = person.says(&["up", "--port", "0"]).await?;
    assert!(said.err.contains("is no nats-server") && said.err.contains("Hello, world"), "{said:?}");
    Ok(())
}

#[tokio::test]
async fn no_server_program() -> Result<()> {
    let person = Person::new()?.with("NATS_SERVER", "nowhere/nats-server");
    let said = person.says(&["up"]).await?;
    assert!(said.err.contains("NATS_SERVER names nowhere/nats-server, which is not a file"), "{said:?}");
    // A copy away from the folder where the build puts its own server.
    let person = Person::new()?;
    let folder = person.home().join("bin");
    std::fs::create_dir(&folder)?;
    let mesh = folder.join("mesh");
    std::fs::copy(mesh_binary()?, &mesh)?;
    let mut command = Command::new(&mesh);
    command.arg("up").env_clear().env("PATH", &folder).current_dir(person.home()).stdin(Stdio::null());
    let said = patiently("mesh up", command.output()).await??;
    let err = String::from_utf8(said.stderr)?;
    assert_eq!(said.status.code(), Some(1), "{err}");
    let parts = ["no nats-server on the PATH", "make tools", "https://", "NATS_SERVER=", "Debian"];
    assert!(parts.iter().all(|part| err.contains(part)), "{err}");
    Ok(())
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_used() -> Result<()> {
    let person = Person::new()?;
    person.file("taken", "a file")?;
    for folder in ["taken", "taken/below"] {
        let said = person.says(&["up", "--port", "0", "--data", folder]).await?;
        assert_eq!(said.code, 1);
        let start =
            format!("error[MESH-603]: the data folder {folder} cannot be used; choose another with --data: ");
        assert!(said.err.starts_with(&start), "{said:?}");
    }
    Ok(())
}
