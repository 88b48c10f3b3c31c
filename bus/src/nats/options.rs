use std::path::PathBuf;

use mesh_schemas::{DEFAULT_MAX_INLINE, Namespace};

use super::settings::{ConnectSettings, SettingsError};

/// Where a server listens if nothing else is said.
pub const DEFAULT_URL: &str = "nats://127.0.0.1:4222";

/// How a process proves who it is.
#[derive(Clone, Default)]
pub enum Auth {
    /// Not at all, or by the client certificate.
    #[default]
    None,
    /// By user name and password.
    UserPassword {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// By a token.
    Token(String),
    /// By an NKey: the seed, `SU…`.
    NkeySeed(String),
    /// By a credentials file: a JWT and the seed of its key.
    CredentialsFile(PathBuf),
}

impl std::fmt::Debug for Auth {
    /// Tells the kind and never a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::UserPassword { .. } => "UserPassword",
            Self::Token(_) => "Token",
            Self::NkeySeed(_) => "NkeySeed",
            Self::CredentialsFile(_) => "CredentialsFile",
        })
    }
}

/// How to reach NATS, and which namespace to work in.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    pub(super) urls: Vec<String>,
    pub(super) name: String,
    pub(super) namespace: Namespace,
    pub(super) auth: Auth,
    pub(super) ca: Option<PathBuf>,
    pub(super) client_certificate: Option<(PathBuf, PathBuf)>,
    pub(super) require_tls: bool,
    pub(super) tls_first: bool,
    pub(super) inbox_prefix: Option<String>,
    pub(super) max_inline: usize,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self::new(DEFAULT_URL)
    }
}

impl ConnectOptions {
    /// Servers at these addresses: one URL or several with commas between, such as
    /// `nats://a:4222,nats://b:4222`; `tls://` asks for TLS.
    #[must_use]
    pub fn new(urls: &str) -> Self {
        Self {
            urls: urls.split(',').map(|url| url.trim().to_owned()).filter(|url| !url.is_empty()).collect(),
            name: "mesh".to_owned(),
            namespace: Namespace::default(),
            auth: Auth::None,
            ca: None,
            client_certificate: None,
            require_tls: false,
            tls_first: false,
            inbox_prefix: None,
            max_inline: DEFAULT_MAX_INLINE,
        }
    }

    /// As the environment says; see [`variable`](super::settings::variable).
    ///
    /// # Errors
    /// [`SettingsError`] if what it says cannot be followed.
    pub fn from_env() -> Result<Self, SettingsError> {
        ConnectSettings::from_env()?.options()
    }

    /// Host and port of the first server, if its address can be read.
    #[must_use]
    pub fn server(&self) -> Option<(String, u16)> {
        let first: async_nats::ServerAddr = self.urls.first()?.parse().ok()?;
        Some((first.host().to_owned(), first.port()))
    }

    /// What the server shows as the name of the connection.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// First token of every subject; `mesh` if nothing is said.
    #[must_use]
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// How to prove who we are.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// PEM file of the authority that signed the server's certificate. Makes TLS required.
    #[must_use]
    pub fn ca(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca = Some(path.into());
        self.require_tls = true;
        self
    }

    /// PEM files of our certificate and its key, for servers that verify clients. Makes TLS required.
    #[must_use]
    pub fn client_certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.client_certificate = Some((certificate.into(), key.into()));
        self.require_tls = true;
        self
    }

    /// Refuse a connection without TLS.
    #[must_use]
    pub fn require_tls(mut self) -> Self {
        self.require_tls = true;
        self
    }

    /// Begin with TLS before the server has greeted, for servers that have `handshake_first`.
    #[must_use]
    pub fn tls_first(mut self) -> Self {
        self.tls_first = true;
        self.require_tls()
    }

    /// What the subjects begin with on which answers come (default `_INBOX`), for accounts that may listen nowhere
    /// else.
    #[must_use]
    pub fn inbox_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.inbox_prefix = Some(prefix.into());
        self
    }

    /// Largest body, in bytes, of an event that carries its data itself ([`DEFAULT_MAX_INLINE`] if nothing is said). What
    /// is larger goes to the bucket of objects.
    #[must_use]
    pub fn max_inline(mut self, bytes: usize) -> Self {
        self.max_inline = bytes;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split_at_commas() {
        let options = ConnectOptions::new("nats://a:4222, nats://b:4222,");
        assert_eq!(options.urls, ["nats://a:4222", "nats://b:4222"]);
    }

    #[test]
    fn secrets_are_not_shown() {
        let options = ConnectOptions::default().auth(Auth::Token("hunter2".to_owned()));
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
