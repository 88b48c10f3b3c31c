use std::path::{Path, PathBuf};

use mesh_orchestrator::definitions;
use mesh_schemas::Definition;
use mesh_schemas::document::Format;

/// What a workflow's definition can be taken from: its text, in YAML or JSON; the file that it is in; or the definition
/// itself.
pub trait IntoDefinition {
    /// Reads and checks the definition.
    ///
    /// # Errors
    /// Everything that is wrong with it, in words, with positions.
    fn into_definition(self) -> Result<Definition, String>;
}

impl IntoDefinition for &str {
    fn into_definition(self) -> Result<Definition, String> {
        // Nothing says how it is written. What is not JSON is told as YAML, which people write.
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(self).is_ok();
        check(self, if is_json { Format::Json } else { Format::Yaml })
    }
}

impl IntoDefinition for &Path {
    /// Reads the file, which a relative path names from the folder of the package that is tested.
    fn into_definition(self) -> Result<Definition, String> {
        let text = std::fs::read_to_string(self)
            .map_err(|error| format!("cannot read the definition from {}: {error}", self.display()))?;
        check(&text, Format::of(self)).map_err(|problems| format!("{}:\n{problems}", self.display()))
    }
}

impl IntoDefinition for PathBuf {
    fn into_definition(self) -> Result<Definition, String> {
        self.as_path().into_definition()
    }
}

impl IntoDefinition for &Definition {
    fn into_definition(self) -> Result<Definition, String> {
        check(&self.canonical_json(), Format::Json)
    }
}

impl IntoDefinition for Definition {
    fn into_definition(self) -> Result<Definition, String> {
        (&self).into_definition()
    }
}

fn check(text: &str, format: Format) -> Result<Definition, String> {
    definitions::check(text, format).map_err(|problems| problems.to_string())
}
