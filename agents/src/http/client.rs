//! Connections to the service.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::HttpError;

/// Longest time that a service may take to accept a connection.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Pause before the system looks whether a silent peer is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How long a connection is kept that nobody needs: servers commonly keep theirs for a minute, and whoever closes
/// first spares the other a request into the void.
const IDLE: Duration = Duration::from_secs(50);

pub(super) type Client = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A URL that can be posted to.
pub(super) fn url(text: &str) -> Result<Uri, HttpError> {
    // What is wrong is said without the URL: there may be a secret in it.
    let refuse = |reason: &str| Err(HttpError::Url(reason.to_owned()));
    let url: Uri = text.parse().map_err(|error: http::uri::InvalidUri| {
        HttpError::Url(format!("{error}: write http://HOST:PORT/PATH or https://…"))
    })?;
    if !matches!(url.scheme_str(), Some("http" | "https")) {
        return refuse("it must begin with http:// or https://");
    }
    match url.authority() {
        Some(authority) if authority.as_str().contains('@') => {
            refuse("it holds a user or password: send them in the header 'authorization'")
        }
        Some(authority) if !authority.host().is_empty() => Ok(url),
        _ => refuse("it names no host"),
    }
}

/// A client with connections of its own.
pub(super) fn client(url: &Uri, ca: Option<&Path>) -> Result<Client, HttpError> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIME));
    connector.set_keepalive(Some(KEEPALIVE));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls(url, ca)?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    Ok(legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build(connector))
}

fn tls(url: &Uri, ca: Option<&Path>) -> Result<ClientConfig, HttpError> {
    // Named, and not taken from the process, where others may have chosen another one.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let refuse = |error: &dyn std::fmt::Display| HttpError::Tls(error.to_string());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(&error))?;
    let config = match ca {
        Some(path) => config.with_root_certificates(authorities(path)?),
        None if url.scheme_str() == Some("https") => {
            config.with_native_roots().map_err(|error| refuse(&error))?
        }
        // Nobody is asked for a certificate.
        None => config.with_root_certificates(RootCertStore::empty()),
    };
    Ok(config.with_no_client_auth())
}

fn authorities(path: &Path) -> Result<RootCertStore, HttpError> {
    let refuse = |reason: String| HttpError::Ca { path: path.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| refuse(error.to_string()))? {
        let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
        roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
    }
    if roots.is_empty() { Err(refuse("there is none in it".to_owned())) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_cannot_be_posted_to_are_refused() {
        for wrong in [
            "",
            "/path",
            "host:80",
            "ftp://host/",
            "http://",
            "http://a b/",
            "nats://host",
            "http://u:hunter2@host/",
        ] {
            let error = url(wrong).expect_err(wrong).to_string();
            assert!(error.starts_with("the URL cannot be used: ") && !error.contains("hunter2"), "{error}");
        }
        for right in ["http://host", "https://host:8443/path?query=1", "http://[::1]:80/"] {
            assert!(url(right).is_ok(), "{right}");
        }
    }

    #[test]
    fn authorities_must_be_there() {
        let https = url("https://host").expect("a URL");
        for (path, reason) in [("/no/such/file", "No such file"), ("/etc/passwd", "none in it")] {
            let error = client(&https, Some(Path::new(path))).expect_err("no authorities").to_string();
            assert!(error.contains(path) && error.contains(reason), "{error}");
        }
    }
}
