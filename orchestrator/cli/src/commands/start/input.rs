use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use mesh_schemas::ErrorCode;
use serde_json::Value;

use crate::failure::Failure;

/// Reads JSON from the argument itself, from stdin for `-`, else from the file of that name.
pub(crate) fn read_input(argument: &str) -> anyhow::Result<Value> {
    if argument == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .with_context(|| failure("cannot read the input from stdin".to_owned()))?;
        return Ok(parse("the input on stdin", &text)?);
    }
    let inline = parse("the input", argument);
    if inline.is_err() && Path::new(argument).exists() {
        let text = std::fs::read_to_string(argument)
            .with_context(|| failure(format!("cannot read the input from the file {argument}")))?;
        return Ok(parse(&format!("the file {argument}"), &text)?);
    }
    if inline.is_err() && !argument.trim_start().starts_with(['{', '[', '"']) {
        let message = format!(
            "the input is neither JSON nor a file that exists: {argument} (a JSON string needs its quotes: \
             '\"{argument}\"')"
        );
        return Err(failure(message).into());
    }
    Ok(inline?)
}

fn parse(what: &str, text: &str) -> Result<Value, Failure> {
    if text.trim().is_empty() {
        return Err(failure(format!("{what} is empty: write {{}} for an input without anything in it")));
    }
    serde_json::from_str(text).map_err(|error| {
        let hint = match error.to_string() {
            _ if error.is_eof() => ": it ends too early, so a bracket or a quote is not closed",
            said if said.starts_with("key must be a string") => {
                ": JSON has its keys and texts in double quotes"
            }
            said if said.starts_with("trailing comma") => ": remove it",
            _ => "",
        };
        failure(format!("{what} is not JSON: {error}{hint}"))
    })
}

fn failure(message: String) -> Failure {
    Failure::new(ErrorCode::UnreadableInput, message)
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
