use super::Definition;

impl Definition {
    /// The definition as YAML, keys in the order of the model. Reading it gives an equal definition.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        crate::document::to_yaml(self)
    }

    /// The definition as JSON for people: indented, keys in the order of the model. Reading it gives an equal
    /// definition.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_else(|_| self.canonical_json())
    }
}
