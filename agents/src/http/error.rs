use std::path::PathBuf;

/// Why an HTTP service cannot be a handler. Found when the agent starts, before it takes any work.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The URL is none, or not one to post to.
    #[error("the URL cannot be used: {0}")]
    Url(String),
    /// A header that no request can have, or that is set for every task.
    #[error("the header '{name}' cannot be set: {reason}")]
    Header {
        /// The header.
        name: String,
        /// Why not.
        reason: String,
    },
    /// The certificate of the authority cannot be used.
    #[error("{path} does not hold the certificates of an authority as PEM: {reason}", path = .path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Nothing is there to tell by whom a service's certificate may be signed.
    #[error(
        "TLS cannot be set up: {0}; install the system's ca-certificates, or name a PEM file of authorities"
    )]
    Tls(String),
}
