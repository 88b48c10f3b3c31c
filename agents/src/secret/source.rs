use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use mesh_schemas::SecretName;

/// What the variables begin with that hold secrets.
pub(crate) const PREFIX: &str = "MESH_SECRET_";
/// The folder with a file for each secret.
const FOLDER: &str = "MESH_SECRETS_DIR";
/// Largest secret: a certificate with its chain is far below.
const MAX_BYTES: u64 = 64 * 1024;

/// Where an agent finds the secrets that tasks refer to with `${secret("name")}`.
///
/// A secret is the file of its name in a folder, as Docker and Kubernetes mount them, or else the variable `MESH_SECRET_` with
/// its name in capitals behind it and `_` for `-`: `MESH_SECRET_API_KEY` for `api-key`. It is read for each task, so one that
/// was replaced is used from the next task on. A newline at the end of a file is not part of it.
#[derive(Clone, Default)]
pub struct Secrets(Source);

#[derive(Clone)]
enum Source {
    /// Files and variables.
    Outside { folder: Option<PathBuf> },
    /// These only.
    Given(BTreeMap<String, String>),
    /// Nobody puts any in: what stands for them stays there.
    #[cfg(feature = "testing")]
    Nowhere,
}

impl Default for Source {
    fn default() -> Self {
        Self::Outside {
            folder: std::env::var_os(FOLDER).filter(|folder| !folder.is_empty()).map(PathBuf::from),
        }
    }
}

impl fmt::Debug for Secrets {
    /// Says nothing of what they are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

impl Secrets {
    /// The files of the folder `MESH_SECRETS_DIR`, if it is set, and the variables of the environment.
    #[must_use]
    pub fn from_env() -> Self {
        Self::default()
    }

    /// The files of a folder, and the variables of the environment.
    #[must_use]
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self(Source::Outside { folder: Some(folder.into()) })
    }

    /// These and no others, for tests and for secrets from elsewhere.
    #[must_use]
    pub fn of<N: Into<String>, V: Into<String>>(secrets: impl IntoIterator<Item = (N, V)>) -> Self {
        Self(Source::Given(secrets.into_iter().map(|(name, value)| (name.into(), value.into())).collect()))
    }

    /// None are put in: the input keeps what stands for them.
    #[cfg(feature = "testing")]
    pub(crate) fn nowhere() -> Self {
        Self(Source::Nowhere)
    }

    /// Whether secrets are put in at all.
    pub(super) fn is_somewhere(&self) -> bool {
        match &self.0 {
            Source::Outside { .. } | Source::Given(_) => true,
            #[cfg(feature = "testing")]
            Source::Nowhere => false,
        }
    }

    /// The value of a secret.
    ///
    /// # Errors
    /// Why it cannot be had, in words that name it and not its value.
    pub(super) fn find(&self, name: &SecretName) -> Result<String, String> {
        let folder = match &self.0 {
            Source::Outside { folder } => folder.as_deref(),
            Source::Given(secrets) => {
                let found = secrets.get(name.as_str()).cloned();
                return found.ok_or_else(|| {
                    format!("the secret '{name}' is not among those that the agent was given")
                });
            }
            #[cfg(feature = "testing")]
            Source::Nowhere => return Err(format!("the secret '{name}' is nowhere")),
        };
        let file = folder.map(|folder| folder.join(name.as_str()));
        if let Some(file) = &file
            && let Some(found) = read(file, name)?
        {
            return Ok(found);
        }
        let variable = variable(name);
        match (std::env::var(&variable), file) {
            (Ok(value), _) => Ok(value),
            (Err(std::env::VarError::NotUnicode(_)), _) => {
                Err(format!("the secret '{name}' in the variable {variable} is not UTF-8 text"))
            }
            (Err(std::env::VarError::NotPresent), Some(file)) => Err(format!(
                "the secret '{name}' is neither in the file {} nor in the variable {variable} of the agent",
                file.display()
            )),
            (Err(std::env::VarError::NotPresent), None) => Err(format!(
                "the secret '{name}' is not in the variable {variable} of the agent, and it has no folder of secrets \
                 ({FOLDER})"
            )),
        }
    }
}

/// The secret in a file; none if there is no such file.
fn read(file: &Path, name: &SecretName) -> Result<Option<String>, String> {
    let refuse = |why: String| Err(format!("the secret '{name}' in the file {} {why}", file.display()));
    match std::fs::metadata(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Ok(meta) if meta.len() > MAX_BYTES => return refuse(format!("is larger than {MAX_BYTES} bytes")),
        Ok(_) | Err(_) => {}
    }
    match std::fs::read(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => refuse(format!("cannot be read: {error}")),
        Ok(bytes) => match String::from_utf8(bytes) {
            Err(_) => refuse("is not UTF-8 text".to_owned()),
            Ok(text) => {
                let end = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text));
                Ok(Some(end.unwrap_or(&text).to_owned()))
            }
        },
    }
}

/// The variable that a secret is in.
fn variable(name: &SecretName) -> String {
    format!("{PREFIX}{}", name.as_str().replace('-', "_").to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gone with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let name = format!("mesh-secrets-{}", uuid::Uuid::new_v4());
            let folder = std::env::temp_dir().join(name);
            std::fs::create_dir(&folder).expect("a folder");
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn name(name: &str) -> SecretName {
        name.parse().expect("a name")
    }

    #[test]
    fn files_go_before_variables_and_lose_the_newline_at_their_end() {
        let folder = Folder::new();
        std::fs::write(folder.0.join("api-key"), "one\r\n").expect("write");
        std::fs::write(folder.0.join("pem"), "a\nb\n\n").expect("write");
        let secrets = Secrets::in_folder(&folder.0);
        assert_eq!(secrets.find(&name("api-key")).as_deref(), Ok("one"));
        assert_eq!(secrets.find(&name("pem")).as_deref(), Ok("a\nb\n"));
        let error = secrets.find(&name("db-password")).expect_err("it is not there");
        let file = folder.0.join("db-password");
        let expected = format!(
            "the secret 'db-password' is neither in the file {} nor in the variable MESH_SECRET_DB_PASSWORD of the agent",
            file.display()
        );
        assert_eq!(error, expected);
    }

    #[test]
    fn what_cannot_be_read_is_told_without_its_content() {
        let folder = Folder::new();
        std::fs::write(folder.0.join("binary"), b"hunter2\xff").expect("write");
        std::fs::write(folder.0.join("large"), "hunter2".repeat(10_000)).expect("write");
        std::fs::create_dir(folder.0.join("folder")).expect("a folder");
        let secrets = Secrets::in_folder(&folder.0);
        for (secret, why) in
            [("binary", "is not UTF-8"), ("large", "is larger than"), ("folder", "cannot be read")]
        {
            let error = secrets.find(&name(secret)).expect_err(secret);
            assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
        }
        assert!(!format!("{:?}", Secrets::of([("a", "hunter2")])).contains("hunter2"));
    }
}
