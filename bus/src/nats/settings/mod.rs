//! How to reach NATS, as people set it: by variables of the environment, or whatever fills the same fields.

mod context;

use std::path::{Path, PathBuf};

use mesh_schemas::{ErrorCode, MAX_CARRIED_BYTES, NameError, Namespace};

use super::options::{Auth, ConnectOptions, DEFAULT_URL};

/// What the seed of a user's NKey begins with.
const USER_SEED: &str = "SU";

/// Names of the environment's variables, one for each field of [`ConnectSettings`].
pub mod variable {
    /// Addresses of the servers.
    pub const URL: &str = "MESH_NATS_URL";
    /// First token of every subject.
    pub const NAMESPACE: &str = "MESH_NAMESPACE";
    /// Name of a context of the `nats` command line.
    pub const CONTEXT: &str = "MESH_NATS_CONTEXT";
    /// User name.
    pub const USER: &str = "MESH_NATS_USER";
    /// Password of the user.
    pub const PASSWORD: &str = "MESH_NATS_PASSWORD";
    /// Token.
    pub const TOKEN: &str = "MESH_NATS_TOKEN";
    /// File with the seed of an NKey.
    pub const NKEY: &str = "MESH_NATS_NKEY";
    /// Credentials file.
    pub const CREDS: &str = "MESH_NATS_CREDS";
    /// File with the certificate of the authority that signed the server's.
    pub const CA: &str = "MESH_NATS_CA";
    /// File with our certificate.
    pub const CERT: &str = "MESH_NATS_CERT";
    /// File with the key of our certificate.
    pub const KEY: &str = "MESH_NATS_KEY";
    /// What the subjects begin with on which answers come.
    pub const INBOX_PREFIX: &str = "MESH_NATS_INBOX_PREFIX";
    /// Largest body, in bytes, of an event that carries its data itself.
    pub const MAX_INLINE: &str = "MESH_MAX_INLINE";

    /// All that are secret: not to be shown, and not to be handed to programs that are run for a task.
    pub const SECRETS: [&str; 2] = [PASSWORD, TOKEN];
}

/// How to reach NATS. What is not given is taken from the context, if one is named, else from the defaults.
#[derive(Clone, Default)]
#[allow(missing_docs, reason = "each field is described at its name in `variable`")]
pub struct ConnectSettings {
    pub url: Option<String>,
    pub namespace: Option<Namespace>,
    pub context: Option<String>,
    pub user: Option<String>,
    pub password: Option<String>,
    pub token: Option<String>,
    pub nkey: Option<PathBuf>,
    pub creds: Option<PathBuf>,
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub inbox_prefix: Option<String>,
    pub max_inline: Option<usize>,
    /// Begin with TLS before the server has greeted, for servers that are set up so. Only contexts say it.
    pub(super) tls_first: bool,
}

/// Why settings do not say how to connect. Nothing was tried yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The namespace cannot be one.
    #[error("MESH_NAMESPACE: {0}")]
    Namespace(#[from] NameError),
    /// Two settings contradict each other, or one is of no use without another.
    #[error("{0}")]
    Contradiction(String),
    /// A file cannot be read.
    #[error("{setting}: cannot read {}: {error}", path.display())]
    File {
        /// The setting that names it.
        setting: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        error: String,
    },
    /// A context of the `nats` command line cannot be used.
    #[error("nats context '{name}': {error}")]
    Context {
        /// Its name.
        name: String,
        /// Why not, and what to do.
        error: String,
    },
}

impl SettingsError {
    /// What kind of error it is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Namespace(_) => ErrorCode::InvalidName,
            Self::Contradiction(_) => ErrorCode::Contradiction,
            Self::File { .. } => ErrorCode::UnreadableSecret,
            Self::Context { .. } => ErrorCode::UnusableContext,
        }
    }
}

impl ConnectSettings {
    /// As the environment says; see [`variable`]. Empty variables are as good as absent.
    ///
    /// # Errors
    /// [`SettingsError`] if `MESH_NAMESPACE` cannot be a namespace, or `MESH_MAX_INLINE` is no number.
    pub fn from_env() -> Result<Self, SettingsError> {
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name| text(name).map(PathBuf::from);
        let max_inline = text(variable::MAX_INLINE).map(|bytes| {
            max_inline(&bytes)
                .map_err(|error| contradiction(format!("MESH_MAX_INLINE: {error}, not {bytes:?}")))
        });
        Ok(Self {
            url: text(variable::URL),
            namespace: text(variable::NAMESPACE).map(Namespace::new).transpose()?,
            context: text(variable::CONTEXT),
            user: text(variable::USER),
            password: text(variable::PASSWORD),
            token: text(variable::TOKEN),
            nkey: path(variable::NKEY),
            creds: path(variable::CREDS),
            ca: path(variable::CA),
            cert: path(variable::CERT),
            key: path(variable::KEY),
            inbox_prefix: text(variable::INBOX_PREFIX),
            max_inline: max_inline.transpose()?,
            tls_first: false,
        })
    }

    /// What to connect with.
    ///
    /// # Errors
    /// [`SettingsError`] if settings contradict each other or name a file that cannot be read.
    pub fn options(self) -> Result<ConnectOptions, SettingsError> {
        let settings = match self.context.clone() {
            Some(name) => self.over(context::read(&name)?),
            None => self,
        };
        let auth = settings.auth()?;
        let mut options = ConnectOptions::new(settings.url.as_deref().unwrap_or(DEFAULT_URL)).auth(auth);
        if let Some(namespace) = settings.namespace {
            options = options.namespace(namespace);
        }
        if let Some(ca) = settings.ca {
            options = options.ca(readable(variable::CA, ca)?);
        }
        options = match (settings.cert, settings.key) {
            (Some(cert), Some(key)) => {
                options.client_certificate(readable(variable::CERT, cert)?, readable(variable::KEY, key)?)
            }
            (None, None) => options,
            _ => {
                return Err(contradiction(
                    "a client certificate needs both MESH_NATS_CERT and MESH_NATS_KEY",
                ));
            }
        };
        if let Some(prefix) = settings.inbox_prefix {
            options = options.inbox_prefix(prefix);
        }
        if let Some(bytes) = settings.max_inline {
            options = options.max_inline(bytes);
        }
        Ok(if settings.tls_first { options.tls_first() } else { options })
    }

    /// These settings, with what they leave open taken from others. How to prove who we are is taken as a whole.
    fn over(self, below: Self) -> Self {
        let own = self.has_auth();
        let keep = |value: Option<String>, other| if own { value } else { other };
        Self {
            url: self.url.or(below.url),
            namespace: self.namespace.or(below.namespace),
            context: None,
            user: keep(self.user, below.user),
            password: keep(self.password, below.password),
            token: keep(self.token, below.token),
            nkey: if own { self.nkey } else { below.nkey },
            creds: if own { self.creds } else { below.creds },
            ca: self.ca.or(below.ca),
            cert: self.cert.or(below.cert),
            key: self.key.or(below.key),
            inbox_prefix: self.inbox_prefix.or(below.inbox_prefix),
            max_inline: self.max_inline,
            tls_first: self.tls_first || below.tls_first,
        }
    }

    fn has_auth(&self) -> bool {
        let texts = [&self.user, &self.password, &self.token];
        texts.iter().any(|text| text.is_some()) || self.nkey.is_some() || self.creds.is_some()
    }

    fn auth(&self) -> Result<Auth, SettingsError> {
        let given = [
            ("MESH_NATS_USER", self.user.is_some()),
            ("MESH_NATS_TOKEN", self.token.is_some()),
            ("MESH_NATS_NKEY", self.nkey.is_some()),
            ("MESH_NATS_CREDS", self.creds.is_some()),
        ];
        let given: Vec<&str> = given.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect();
        if given.len() > 1 {
            return Err(contradiction(format!("give only one of {}", given.join(" and "))));
        }
        if let Some(path) = &self.nkey {
            let path = readable(variable::NKEY, path.clone())?;
            let seed =
                std::fs::read_to_string(&path).map_err(|error| unreadable(variable::NKEY, &path, &error))?;
            let seed = seed.trim();
            if !seed.starts_with(USER_SEED) {
                let error = format!("it holds no seed of a user's NKey, which begins with {USER_SEED}");
                return Err(SettingsError::File { setting: variable::NKEY.to_owned(), path, error });
            }
            return Ok(Auth::NkeySeed(seed.to_owned()));
        }
        if let Some(path) = &self.creds {
            return Ok(Auth::CredentialsFile(readable(variable::CREDS, path.clone())?));
        }
        match (&self.user, &self.password, &self.token) {
            (Some(user), Some(password), _) => {
                Ok(Auth::UserPassword { user: user.clone(), password: password.clone() })
            }
            (Some(_), None, _) => Err(contradiction("MESH_NATS_USER needs MESH_NATS_PASSWORD")),
            (None, Some(_), _) => Err(contradiction("MESH_NATS_PASSWORD needs MESH_NATS_USER")),
            (None, None, Some(token)) => Ok(Auth::Token(token.clone())),
            (None, None, None) => Ok(Auth::None),
        }
    }
}

/// Reads the largest body of an event that carries its data itself.
///
/// # Errors
/// What to give instead.
pub fn max_inline(text: &str) -> Result<usize, String> {
    let bytes = text.parse().ok().filter(|bytes| (1..=MAX_CARRIED_BYTES).contains(bytes));
    bytes.ok_or_else(|| {
        format!("give a number from 1 to {MAX_CARRIED_BYTES}, which is what a message can carry")
    })
}

fn contradiction(error: impl Into<String>) -> SettingsError {
    SettingsError::Contradiction(error.into())
}

fn unreadable(setting: &'static str, path: &Path, error: &std::io::Error) -> SettingsError {
    SettingsError::File { setting: setting.to_owned(), path: path.to_owned(), error: error.to_string() }
}

/// The path, if there is a file that can be opened.
fn readable(setting: &'static str, path: PathBuf) -> Result<PathBuf, SettingsError> {
    match std::fs::File::open(&path) {
        Ok(_) => Ok(path),
        Err(error) => Err(unreadable(setting, &path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Option<String> {
        Some(value.to_owned())
    }

    fn error(settings: ConnectSettings) -> String {
        settings.options().expect_err("refused").to_string()
    }

    #[test]
    fn contradictions_are_named() {
        let settings = ConnectSettings { user: text("a"), token: text("t"), ..Default::default() };
        assert_eq!(error(settings), "give only one of MESH_NATS_USER and MESH_NATS_TOKEN");
        let settings = ConnectSettings { user: text("a"), ..Default::default() };
        assert_eq!(error(settings), "MESH_NATS_USER needs MESH_NATS_PASSWORD");
        let settings = ConnectSettings { cert: Some("cert.pem".into()), ..Default::default() };
        assert!(error(settings).contains("MESH_NATS_KEY"));
    }

    #[test]
    fn what_an_event_carries_is_what_a_message_can_carry() {
        assert_eq!((max_inline("1"), max_inline("983040")), (Ok(1), Ok(983_040)));
        for text in ["0", "983041", "-1", "64k", ""] {
            assert!(max_inline(text).is_err_and(|error| error.contains("from 1 to 983040")), "{text:?}");
        }
    }

    #[test]
    fn a_missing_file_is_named_with_its_setting() {
        let settings = ConnectSettings { creds: Some("no/such.creds".into()), ..Default::default() };
        let error = error(settings);
        assert!(error.starts_with("MESH_NATS_CREDS: cannot read no/such.creds"), "{error}");
    }

    #[test]
    fn what_is_given_goes_before_the_context_and_replaces_all_of_its_proof() {
        let context = ConnectSettings {
            url: text("nats://c"),
            user: text("u"),
            password: text("p"),
            ..Default::default()
        };
        let given = ConnectSettings { token: text("t"), ..Default::default() };
        let both = given.over(context);
        assert_eq!(both.url.as_deref(), Some("nats://c"));
        assert!(matches!(both.auth(), Ok(Auth::Token(token)) if token == "t"));
    }
}
