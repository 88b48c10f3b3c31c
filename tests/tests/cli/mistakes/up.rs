//! What may be in the way of `mesh up`.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::Result;
use mesh_tests::TestServer;
use tokio::net::TcpListener;

use super::transcript::Transcript;
use crate::support::Person;

#[tokio::test]
async fn up() -> Result<()> {
    let person = Person::new()?;
    let mut transcript = Transcript::new("up");
    let server = TestServer::start()?;
    transcript.hide_port(&server.url());
    let port = server.port().to_string();
    transcript.tries("a port that a NATS server has", &person, &["up", "--port", &port]).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    transcript.hide_port(&address.to_string());
    transcript.tries("a port that is taken", &person, &["up", "--port", &address.port().to_string()]).await?;
    transcript.tries("a port that cannot be one", &person, &["up", "--port", "99999"]).await?;
    transcript
        .tries("the address of a server that runs", &person, &["up", "--nats-url", &server.url()])
        .await?;

    let lock = std::fs::File::create(person.file("locked/mesh.lock", "4711\n")?)?;
    lock.lock()?;
    std::fs::write(person.home().join("locked/mesh.lock"), "4711\n")?;
    transcript.tries("a folder that is in use", &person, &["up", "--port", "0", "--data", "locked"]).await?;
    person.file("file", "mine\n")?;
    transcript.tries("a file as the folder", &person, &["up", "--port", "0", "--data", "file"]).await?;
    transcript
        .tries("a folder below a file", &person, &["up", "--port", "0", "--data", "file/below"])
        .await?;

    let program = |name: &str, text: &str, mode| -> Result<Person> {
        let path = person.file(name, text)?;
        std::fs::set_permissions(&path, Permissions::from_mode(mode))?;
        let other = Person::new()?.with("NATS_SERVER", &path.to_string_lossy());
        Ok(other)
    };
    transcript.hide(&person.home().to_string_lossy(), "BIN");
    let old = program("old-server", "#!/bin/sh\necho 'nats-server: v2.9.10'\n", 0o755)?;
    transcript.tries("a server that is too old", &old, &["up", "--port", "0"]).await?;
    let other = program("other", "#!/bin/sh\necho 'Hello, world'\n", 0o755)?;
    transcript.tries("a program that is no server", &other, &["up", "--port", "0"]).await?;
    let text = program("text", "no program\n", 0o644)?;
    transcript.tries("a file that may not be executed", &text, &["up", "--port", "0"]).await?;
    let nowhere = Person::new()?.with("NATS_SERVER", "nowhere/nats-server");
    transcript.tries("a server that is not there", &nowhere, &["up", "--port", "0"]).await?;
    transcript.holds()
}
