//! Each way to prove who one is, against a server that demands it.

use std::path::Path;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mesh_tests::TestServer;
use nkeys::KeyPair;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa};
use serde_json::{Value, json};

use crate::support::{Person, Said};

/// Whoever gets in, on a server without a mesh, is told that there is none.
fn is_inside(said: &Said) -> bool {
    said.code == 1 && said.err.contains("is not set up on this server")
}

#[tokio::test]
async fn user_and_password() -> Result<()> {
    let server = TestServer::start_with(&["--user", "me", "--pass", "hunter2"])?;
    let url = server.url();
    let person = Person::new()?.with("MESH_NATS_URL", &url);
    let refused = person.says(&["agents", "list"]).await?;
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("user and"), "{refused:?}");
    let wrong = person.says(&["agents", "list", "--nats-user", "me", "--nats-password", "wrong"]).await?;
    assert!(wrong.err.contains("prove who they are") && !wrong.err.contains("wrong"), "{wrong:?}");
    let context = format!(r#"{{"url": "{url}", "user": "me", "password": "hunter2"}}"#);
    person.file(".config/nats/context/mine.json", &context)?;
    let inside = person.says(&["agents", "list", "--nats-context", "mine"]).await?;
    assert!(is_inside(&inside), "{inside:?}");
    let half = person.says(&["agents", "list", "--nats-user", "me"]).await?;
    assert!(half.err.contains("--nats-user needs --nats-password"), "{half:?}");
    let in_url = url.replace("nats://", "nats://me:hunter2@");
    let inside = person.says(&["agents", "list", "--nats-url", &in_url]).await?;
    assert!(is_inside(&inside), "{inside:?}");
    let gone = in_url.replace(&server.port().to_string(), "1");
    let nobody = person.says(&["agents", "list", "--nats-url", &gone]).await?;
    assert!(!nobody.err.contains("hunter2"), "{nobody:?}");
    Ok(())
}

#[tokio::test]
async fn a_token() -> Result<()> {
    let server = TestServer::start_with(&["--auth", "s3cret"])?;
    let person = Person::new()?.with("MESH_NATS_URL", &server.url()).with("MESH_NATS_TOKEN", "s3cret");
    let inside = person.says(&["agents", "list"]).await?;
    assert!(is_inside(&inside), "{inside:?}");
    Ok(())
}

#[tokio::test]
async fn an_nkey() -> Result<()> {
    let person = Person::new()?;
    let user = KeyPair::new_user();
    let server = format!("authorization {{ users: [{{ nkey: {} }}] }}", user.public_key());
    let server = server_with(&person, &server)?;
    person.file("seed.nk", &format!("{}\n", user.seed()?))?;
    person.file("stranger.nk", &KeyPair::new_user().seed()?)?;
    let person = person.with("MESH_NATS_URL", &server.url());
    let inside = person.says(&["agents", "list", "--nats-nkey", "seed.nk"]).await?;
    assert!(is_inside(&inside), "{inside:?}");
    let stranger = person.says(&["agents", "list", "--nats-nkey", "stranger.nk"]).await?;
    assert!(stranger.err.starts_with("error[MESH-103]"), "{stranger:?}");
    person.file("wrong.nk", "no seed")?;
    let wrong = person.says(&["agents", "list", "--nats-nkey", "wrong.nk"]).await?;
    assert!(wrong.err.starts_with("error[MESH-204]") && wrong.err.contains("begins with SU"), "{wrong:?}");
    let missing = person.says(&["agents", "list", "--nats-nkey", "missing.nk"]).await?;
    assert!(missing.err.starts_with("error[MESH-204]: --nats-nkey: cannot read missing.nk"), "{missing:?}");
    Ok(())
}

#[tokio::test]
async fn a_credentials_file() -> Result<()> {
    let person = Person::new()?;
    let (operator, account, system, user) =
        (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account(), KeyPair::new_user());
    let all = json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
        "conn": -1, "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1});
    let claims = |kind: &str| json!({"type": kind, "version": 2, "limits": all});
    let operator_jwt = jwt(&operator, &operator.public_key(), json!({"type": "operator", "version": 2}))?;
    let account_jwt = jwt(&operator, &account.public_key(), claims("account"))?;
    let system_claims = json!({"type": "account", "version": 2, "limits": {"subs": -1, "conn": -1, "data": -1, "payload": -1}});
    let system_jwt = jwt(&operator, &system.public_key(), system_claims)?;
    let server = server_with(
        &person,
        &format!(
            "operator: {operator_jwt}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload {{ {}: {account_jwt}\n{}: {system_jwt} }}",
            system.public_key(),
            account.public_key(),
            system.public_key(),
        ),
    )?;
    let user_claims =
        json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}});
    let user_jwt = jwt(&account, &user.public_key(), user_claims)?;
    person.file(
        "mesh.creds",
        &format!(
            "-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            user.seed()?
        ),
    )?;
    let person = person.with("MESH_NATS_URL", &server.url());
    let inside = person.says(&["agents", "list", "--nats-creds", "mesh.creds"]).await?;
    assert!(is_inside(&inside), "{inside:?}");
    let outside = person.says(&["agents", "list"]).await?;
    assert!(outside.err.starts_with("error[MESH-103]"), "{outside:?}");
    Ok(())
}

/// Signs what an issuer says about a subject (NATS ADR-14).
fn jwt(issuer: &KeyPair, subject: &str, nats: Value) -> Result<String> {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let header = encode(&json!({"typ": "JWT", "alg": "ed25519-nkey"}));
    let claims = json!({"jti": "test", "iat": 1, "iss": issuer.public_key(), "name": "test", "sub": subject, "nats": nats});
    let signed = format!("{header}.{}", encode(&claims));
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes())?);
    Ok(format!("{signed}.{signature}"))
}

#[tokio::test]
async fn certificates_of_both_sides() -> Result<()> {
    let person = Person::new()?;
    write_certificates(&person)?;
    let home = person.home().display();
    let tls = format!(
        "tls {{ cert_file: \"{home}/server.pem\", key_file: \"{home}/server.key\", ca_file: \"{home}/ca.pem\", verify: true, timeout: 20 }}"
    );
    let server = server_with(&person, &tls)?;
    let url = server.url().replace("nats://127.0.0.1", "tls://localhost");
    let person = person.with("MESH_NATS_URL", &url);
    let ours = ["--nats-cert", "client.pem", "--nats-key", "client.key"];
    let list = |more: &[&'static str]| [&["agents", "list"], more].concat();
    let inside = person.says(&list(&[&["--nats-ca", "ca.pem"], ours.as_slice()].concat())).await?;
    assert!(is_inside(&inside), "{inside:?}");
    let unknown_authority = person.says(&list(&ours)).await?;
    assert!(unknown_authority.err.starts_with("error[MESH-104]"), "{unknown_authority:?}");
    let no_certificate = person.says(&list(&["--nats-ca", "ca.pem"])).await?;
    assert!(
        no_certificate.code == 1 && no_certificate.err.starts_with("error[MESH-10"),
        "{no_certificate:?}"
    );
    let half = person.says(&list(&["--nats-cert", "client.pem"])).await?;
    assert!(half.err.starts_with("error[MESH-203]"), "{half:?}");
    Ok(())
}

/// An authority, and a certificate for each side.
fn write_certificates(person: &Person) -> Result<()> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate()?)?;
    person.file("ca.pem", &authority.pem())?;
    for side in ["server", "client"] {
        let key = rcgen::KeyPair::generate()?;
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &authority)?;
        person.file(&format!("{side}.pem"), &certificate.pem())?;
        person.file(&format!("{side}.key"), &key.serialize_pem())?;
    }
    Ok(())
}

fn server_with(person: &Person, configuration: &str) -> Result<TestServer> {
    let path = person.file("nats.conf", configuration)?;
    TestServer::start_with(&["--config", &path_text(&path)])
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
