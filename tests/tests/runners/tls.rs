//! Services behind TLS.

use std::sync::Arc;

use anyhow::Result;
use mesh_agents::{Agent, Http};
use serde_json::json;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::service::{Service, answer};
use crate::support::mesh;

/// Certificate of the authority that signed that of the service. Both hold for a hundred years from 2025; the
/// authority's key was thrown away.
pub(crate) const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/runners/tls/authority.pem");

async fn service() -> Result<Service> {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/service.pem"))?;
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/service-key.pem"))?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Service::start_with(move |stream| acceptor.accept(stream)).await
}

#[tokio::test]
async fn only_a_service_with_a_trusted_certificate_is_asked() -> Result<()> {
    let mut service = service().await?;
    let url = format!("https://127.0.0.1:{}/", service.port);
    let agent =
        Agent::builder("asker").http("trusting", Http::new(&url).ca(AUTHORITY)).http("wary", Http::new(&url));
    let mesh = mesh().await?.with(agent).await?;
    let ok = answer("200 OK", &[], "1");
    assert_eq!(mesh.output("trusting", json!([ok])).await?, json!(1));
    service.asked().await?;
    let error = mesh.failure("wary", json!([ok])).await?;
    assert_eq!((error.code.as_str(), error.retryable), ("http_unreachable", true));
    assert!(error.message.contains("invalid peer certificate"), "{}", error.message);
    mesh.stop().await
}
