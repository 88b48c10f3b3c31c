use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use mesh_bus::nats::{ConnectOptions, ConnectSettings, NatsBus, SettingsError, settings, settings::variable};
use mesh_schemas::{DEFAULT_MAX_INLINE, Namespace};

/// Where the mesh is, and who asks.
#[derive(Args, Clone)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// NATS servers, with commas between [default: nats://127.0.0.1:4222]
    #[arg(long, short = 's', global = true, env = variable::URL, alias = "nats", value_name = "URL")]
    nats_url: Option<String>,
    /// First token of every subject; keeps meshes on one server apart
    #[arg(long, global = true, env = variable::NAMESPACE, default_value = "mesh", value_name = "NAME")]
    namespace: Namespace,
    /// Connect as a context of the `nats` command line does
    #[arg(long, global = true, env = variable::CONTEXT, hide_env = true, value_name = "NAME")]
    nats_context: Option<String>,
    /// User name
    #[arg(long, global = true, env = variable::USER, hide_env = true, value_name = "USER")]
    nats_user: Option<String>,
    /// Password of the user; better given by the environment or a file than on the command line
    #[arg(long, global = true, env = variable::PASSWORD, hide_env = true, value_name = "PASSWORD")]
    nats_password: Option<String>,
    /// Token; better given by the environment or a file than on the command line
    #[arg(long, global = true, env = variable::TOKEN, hide_env = true, value_name = "TOKEN")]
    nats_token: Option<String>,
    /// File with the seed of an NKey
    #[arg(long, global = true, env = variable::NKEY, hide_env = true, value_name = "FILE")]
    nats_nkey: Option<PathBuf>,
    /// Credentials file: a JWT and the seed of its key
    #[arg(long, global = true, env = variable::CREDS, hide_env = true, value_name = "FILE")]
    nats_creds: Option<PathBuf>,
    /// PEM file of the authority that signed the server's certificate; makes TLS required
    #[arg(long, global = true, env = variable::CA, hide_env = true, value_name = "FILE")]
    nats_ca: Option<PathBuf>,
    /// PEM file of a client certificate
    #[arg(long, global = true, env = variable::CERT, hide_env = true, value_name = "FILE")]
    nats_cert: Option<PathBuf>,
    /// PEM file of the client certificate's key
    #[arg(long, global = true, env = variable::KEY, hide_env = true, value_name = "FILE")]
    nats_key: Option<PathBuf>,
    /// What the subjects begin with on which answers come, for accounts that may listen nowhere else
    #[arg(long, global = true, env = variable::INBOX_PREFIX, hide_env = true, value_name = "PREFIX")]
    nats_inbox_prefix: Option<String>,
    /// Largest event, in bytes, that carries its data itself: larger data is kept beside the streams, and the event refers to it
    #[arg(long, global = true, env = variable::MAX_INLINE, hide_env = true, value_name = "BYTES",
        default_value_t = DEFAULT_MAX_INLINE, value_parser = settings::max_inline)]
    max_inline: usize,
}

/// The flag on the command line that says how to reach a server, if one does: for commands that reach none. What the
/// environment and the configuration file have is for the other commands.
pub(crate) fn typed(matches: &ArgMatches) -> Option<String> {
    let is_typed = |id: &&clap::Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
    let id = matches.ids().filter(is_typed).find(|id| id.as_str().starts_with("nats_"))?;
    Some(format!("--{}", id.as_str().replace('_', "-")))
}

/// The error with the names of flags in place of those of variables, unless a variable is what gives the setting.
fn as_typed(error: SettingsError) -> SettingsError {
    if !std::env::args().any(|typed| typed.starts_with("--nats-")) {
        return error;
    }
    let flag = |word: &str| {
        let name = word.strip_prefix("MESH_NATS_").filter(|_| std::env::var_os(word).is_none())?;
        Some(format!("--nats-{}", name.replace('_', "-").to_lowercase()))
    };
    let named = |text: String| {
        let words = text.split(' ').map(|word| flag(word).unwrap_or_else(|| word.to_owned()));
        words.collect::<Vec<_>>().join(" ")
    };
    match error {
        SettingsError::Contradiction(text) => SettingsError::Contradiction(named(text)),
        SettingsError::File { setting, path, error } => {
            SettingsError::File { setting: named(setting), path, error }
        }
        error => error,
    }
}

impl Connection {
    /// Connects, or says why that cannot be done.
    pub(crate) async fn connect(&self) -> anyhow::Result<NatsBus> {
        let options = self.options()?.name("mesh-cli");
        mesh_telemetry::connected_to(options.server());
        Ok(NatsBus::connect(options).await?)
    }

    /// The same for the environment of another process, the namespace aside.
    pub(crate) fn variables(&self) -> Vec<(&'static str, OsString)> {
        let texts = [
            (variable::URL, &self.nats_url),
            (variable::CONTEXT, &self.nats_context),
            (variable::USER, &self.nats_user),
            (variable::PASSWORD, &self.nats_password),
            (variable::TOKEN, &self.nats_token),
            (variable::INBOX_PREFIX, &self.nats_inbox_prefix),
        ];
        let files = [
            (variable::NKEY, &self.nats_nkey),
            (variable::CREDS, &self.nats_creds),
            (variable::CA, &self.nats_ca),
            (variable::CERT, &self.nats_cert),
            (variable::KEY, &self.nats_key),
        ];
        let texts = texts.into_iter().filter_map(|(name, text)| Some((name, OsString::from(text.as_ref()?))));
        let files = files.into_iter().filter_map(|(name, file)| Some((name, file.as_ref()?.clone().into())));
        let max_inline = (variable::MAX_INLINE, self.max_inline.to_string().into());
        texts.chain(files).chain([max_inline]).collect()
    }

    pub(crate) fn options(&self) -> Result<ConnectOptions, SettingsError> {
        let mut settings = ConnectSettings::default();
        settings.url.clone_from(&self.nats_url);
        settings.namespace = Some(self.namespace.clone());
        settings.context.clone_from(&self.nats_context);
        settings.user.clone_from(&self.nats_user);
        settings.password.clone_from(&self.nats_password);
        settings.token.clone_from(&self.nats_token);
        settings.nkey.clone_from(&self.nats_nkey);
        settings.creds.clone_from(&self.nats_creds);
        settings.ca.clone_from(&self.nats_ca);
        settings.cert.clone_from(&self.nats_cert);
        settings.key.clone_from(&self.nats_key);
        settings.inbox_prefix.clone_from(&self.nats_inbox_prefix);
        settings.max_inline = Some(self.max_inline);
        settings.options().map_err(as_typed)
    }

    /// The address that was given, if one was.
    pub(crate) fn nats_url(&self) -> Option<&str> {
        self.nats_url.as_deref()
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}
