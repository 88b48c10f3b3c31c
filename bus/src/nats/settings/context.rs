//! Contexts of the `nats` command line: `<configuration folder>/nats/context/<name>.json`.

use std::path::PathBuf;

use serde::Deserialize;

use super::{ConnectSettings, SettingsError};

/// A context, as the `nats` command line writes it. Members that have nothing to do with connecting are passed over.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Context {
    url: String,
    user: String,
    password: String,
    token: String,
    nkey: String,
    creds: String,
    ca: String,
    cert: String,
    key: String,
    inbox_prefix: String,
    tls_first: bool,
    // Those that we cannot follow.
    nsc: String,
    jwt: String,
    user_jwt: String,
    user_seed: String,
    socks_proxy: String,
    jetstream_domain: String,
    jetstream_api_prefix: String,
}

/// Reads a context by name.
pub(super) fn read(name: &str) -> Result<ConnectSettings, SettingsError> {
    let failed = |error: String| SettingsError::Context { name: name.to_owned(), error };
    if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
        return Err(failed(
            "this is no name of a context; `nats context ls` lists those there are".to_owned(),
        ));
    }
    let folder = folder().ok_or_else(|| failed("neither XDG_CONFIG_HOME nor HOME is set".to_owned()))?;
    let path = folder.join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).map_err(|error| {
        failed(format!("cannot read {}: {error}; `nats context ls` lists those there are", path.display()))
    })?;
    let context: Context = serde_json::from_str(&text)
        .map_err(|error| failed(format!("{} is not a context: {error}", path.display())))?;
    context.settings().map_err(failed)
}

fn folder() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let configuration = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    configuration.map(|folder| folder.join("nats").join("context"))
}

impl Context {
    fn settings(self) -> Result<ConnectSettings, String> {
        let unsupported = [
            ("nsc", &self.nsc),
            ("jwt", &self.jwt),
            ("user_jwt", &self.user_jwt),
            ("user_seed", &self.user_seed),
            ("socks_proxy", &self.socks_proxy),
            ("jetstream_domain", &self.jetstream_domain),
            ("jetstream_api_prefix", &self.jetstream_api_prefix),
        ];
        if let Some((member, _)) = unsupported.iter().find(|(_, value)| !value.is_empty()) {
            return Err(format!(
                "its member '{member}' is not supported; a context with url, user and password, token, nkey or creds is"
            ));
        }
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let path = |text: String| some(text).map(|text| expanded(&text));
        Ok(ConnectSettings {
            url: some(self.url),
            user: some(self.user),
            password: some(self.password),
            token: some(self.token),
            nkey: path(self.nkey),
            creds: path(self.creds),
            ca: path(self.ca),
            cert: path(self.cert),
            key: path(self.key),
            inbox_prefix: some(self.inbox_prefix),
            max_inline: None,
            tls_first: self.tls_first,
            ..ConnectSettings::default()
        })
    }
}

/// The path, with the home folder in place of a leading `~`.
fn expanded(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_read_and_what_cannot_be_followed_is_refused() {
        let read = |text: &str| serde_json::from_str::<Context>(text).expect("JSON").settings();
        let settings =
            read(r#"{"description": "x", "url": "tls://n:4222", "creds": "/c", "color_scheme": ""}"#);
        let settings = settings.expect("a context");
        assert_eq!(settings.url.as_deref(), Some("tls://n:4222"));
        assert_eq!(settings.creds, Some(PathBuf::from("/c")));
        assert_eq!(settings.user, None);
        let error = read(r#"{"url": "x", "nsc": "nsc://a/b/c"}"#).err().expect("refused");
        assert!(error.contains("'nsc'"), "{error}");
    }

    #[test]
    fn a_name_cannot_lead_out_of_the_folder() {
        for name in ["", "../x", "a/b", ".hidden"] {
            assert!(matches!(read(name), Err(SettingsError::Context { .. })), "{name}");
        }
    }
}
