//! Services behind TLS.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use mesh_agents::{Agent, Http};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::service::{Service, answer};
use crate::support::mesh;

/// Who signs certificates, with a file for those who trust it.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    pub(crate) fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let file = std::env::temp_dir().join(format!("mesh-authority-{}.pem", uuid::Uuid::new_v4()));
        std::fs::write(&file, issuer.pem())?;
        Ok(Self { issuer, file })
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// A service on this machine with a certificate that the authority signed.
    async fn service(&self) -> Result<Service> {
        let key = KeyPair::generate()?;
        let certificate =
            CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.into()], key)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Service::start_with(move |stream| acceptor.accept(stream)).await
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

#[tokio::test]
async fn only_a_service_with_a_trusted_certificate_is_asked() -> Result<()> {
    let (authority, other) = (Authority::new()?, Authority::new()?);
    let mut service = authority.service().await?;
    let url = format!("https://127.0.0.1:{}/", service.port);
    let agent = Agent::builder("asker")
        .http("trusting", Http::new(&url).ca(authority.file()))
        .http("wary", Http::new(&url).ca(other.file()));
    let mesh = mesh().await?.with(agent).await?;
    let ok = answer("200 OK", &[], "1");
    assert_eq!(mesh.output("trusting", json!([ok])).await?, json!(1));
    service.asked().await?;
    let error = mesh.failure("wary", json!([ok])).await?;
    assert_eq!((error.code.as_str(), error.retryable), ("http_unreachable", true));
    assert!(error.message.contains("invalid peer certificate"), "{}", error.message);
    mesh.stop().await
}
