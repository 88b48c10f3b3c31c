use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use mesh_schemas::ErrorCode;
use serde_json::Value;

use crate::failure::Failure;

/// Reads JSON from the argument itself, from stdin for `-`, else from the file of that name.
pub(crate) fn read_input(argument: &str) -> anyhow::Result<Value> {
    let failure = |message: String| Failure::new(ErrorCode::UnreadableInput, message);
    if argument == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .with_context(|| failure("cannot read the input from stdin".to_owned()))?;
        return serde_json::from_str(&text)
            .with_context(|| failure(format!("the input on stdin is not JSON{}", emptiness(&text))));
    }
    let error = match serde_json::from_str(argument) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if Path::new(argument).exists() {
        let text = std::fs::read_to_string(argument)
            .with_context(|| failure(format!("cannot read the input from the file {argument}")))?;
        return serde_json::from_str(&text)
            .with_context(|| failure(format!("the file {argument} is not JSON{}", emptiness(&text))));
    }
    if argument.trim_start().starts_with(['{', '[', '"']) {
        let hint =
            if argument.contains('\'') { ". JSON has its texts and keys in double quotes" } else { "" };
        return Err(failure(format!("the input is not JSON: {error}{hint}")).into());
    }
    let message = format!(
        "the input is neither JSON nor a file that exists: {argument} (a JSON string needs its quotes: '\"{argument}\"')"
    );
    Err(failure(message).into())
}

/// What the reader of JSON does not say as plainly.
fn emptiness(text: &str) -> &'static str {
    if text.trim().is_empty() { ", but empty: write {} for no input" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_an_input_is_told() {
        assert_eq!(read_input("[1]").unwrap(), serde_json::json!([1]));
        let error = |argument| format!("{:#}", read_input(argument).unwrap_err());
        assert!(error("{\"a\": }").contains("expected value at line 1 column 7"), "{}", error("{\"a\": }"));
        assert!(error("{'a': 1}").contains("double quotes"), "{}", error("{'a': 1}"));
        assert!(error("nowhere.json").contains("neither JSON nor a file that exists"));
    }
}
