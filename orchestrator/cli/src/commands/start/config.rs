//! What takes the place of values of the workflow's `config`.

use std::path::PathBuf;

use clap::Args;
use mesh_schemas::ErrorCode;
use mesh_schemas::document::{Content, Format, tree};
use serde_json::{Map, Value};

use crate::failure::Failure;

/// Values of the command line, and of a file.
#[derive(Args)]
pub(crate) struct Overrides {
    /// Put a value in place of one of the workflow's `config`; a dot leads into an object. The value is JSON, or else text
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = assignment)]
    values: Vec<(String, Value)>,
    /// File of such values, YAML or JSON; what --set says goes before
    #[arg(long = "set-file", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Overrides {
    /// All of them; none if nothing is said.
    pub(crate) fn read(&self) -> Result<Option<Map<String, Value>>, Failure> {
        let mut config = self.file.as_ref().map(read_file).transpose()?;
        for (key, value) in &self.values {
            put(config.get_or_insert_default(), key, value.clone())
                .map_err(|part| failure(format!("--set {key}: {part} is no object that could hold more")))?;
        }
        Ok(config)
    }
}

fn read_file(path: &PathBuf) -> Result<Map<String, Value>, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| failure(format!("cannot read the config from {shown}: {error}")))?;
    let format = match path.extension().and_then(|ending| ending.to_str()) {
        Some("json") => Format::Json,
        _ => Format::Yaml,
    };
    let root = tree(&text, format).map_err(|problem| failure(format!("{shown}:{problem}")))?;
    let (_, problems) = root.survey();
    if let Some(problem) = problems.first() {
        return Err(failure(format!("{shown}:{problem}")));
    }
    match (&root.content, root.to_value()) {
        (Content::Map(_), Value::Object(map)) => Ok(map),
        _ => {
            Err(failure(format!("{shown}: expected an object with values for keys of the workflow's config")))
        }
    }
}

/// Puts a value at a path; the part of it that is no object, if one is not.
fn put(config: &mut Map<String, Value>, path: &str, value: Value) -> Result<(), String> {
    let Some((key, rest)) = path.split_once('.') else {
        config.insert(path.to_owned(), value);
        return Ok(());
    };
    match config.entry(key).or_insert_with(|| Value::Object(Map::new())) {
        Value::Object(inner) => put(inner, rest, value),
        _ => Err(key.to_owned()),
    }
}

fn assignment(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        Some((key, value)) if key.split('.').all(|part| !part.is_empty()) => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
            Ok((key.to_owned(), value))
        }
        _ => Err("write KEY=VALUE, as in model=large or limits.max=5".to_owned()),
    }
}

fn failure(message: String) -> Failure {
    Failure::new(ErrorCode::UnreadableInput, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn overrides(values: &[&str]) -> Result<Option<Map<String, Value>>, Failure> {
        let values = values.iter().map(|text| assignment(text).unwrap()).collect();
        Overrides { values, file: None }.read()
    }

    #[test]
    fn values_are_json_or_text_and_dots_lead_into_objects() {
        let read =
            overrides(&["model=large", "limits.max=5", "limits.strict=false", "tags=[1]", "v=\"1.0\"", "e="]);
        let expected = json!({
            "model": "large", "limits": {"max": 5, "strict": false}, "tags": [1], "v": "1.0", "e": "",
        });
        assert_eq!(read.unwrap().map(Value::Object), Some(expected));
        assert_eq!(overrides(&[]).unwrap(), None);
        assert!(overrides(&["a=1", "a.b=2"]).is_err());
        for wrong in ["model", "=x", "a..b=1", ".a=1"] {
            assert!(assignment(wrong).is_err(), "{wrong}");
        }
    }
}
