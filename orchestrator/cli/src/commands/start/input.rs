use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::Value;

/// Reads JSON from the argument itself, from stdin for `-`, else from the file of that name.
pub(crate) fn read_input(argument: &str) -> anyhow::Result<Value> {
    if argument == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("reading the input from stdin")?;
        return serde_json::from_str(&text).context("the input on stdin is not JSON");
    }
    let error = match serde_json::from_str(argument) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if Path::new(argument).exists() {
        let text = std::fs::read_to_string(argument).with_context(|| format!("reading {argument}"))?;
        return serde_json::from_str(&text).with_context(|| format!("{argument} is not JSON"));
    }
    if argument.trim_start().starts_with(['{', '[', '"']) {
        return Err(anyhow::Error::new(error).context("the input is not JSON"));
    }
    bail!(
        "the input is neither JSON nor a file that exists: {argument} (a JSON string needs its quotes: '\"{argument}\"')"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_an_input_is_told() {
        assert_eq!(read_input("[1]").unwrap(), serde_json::json!([1]));
        let error = |argument| format!("{:#}", read_input(argument).unwrap_err());
        assert!(error("{\"a\": }").contains("expected value at line 1 column 7"), "{}", error("{\"a\": }"));
        assert!(error("nowhere.json").contains("neither JSON nor a file that exists"));
    }
}
