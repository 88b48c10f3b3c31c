use crate::ErrorCode;

use super::{Content, Entry, Format, Position, Problem, Problems, nearest, tree};

/// One setting of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub key: String,
    /// Its value, as text.
    pub value: String,
    /// Where the value stands.
    pub at: Position,
}

/// Reads a configuration file: one object whose keys are among the known ones, each with a single value.
///
/// # Errors
/// [`Problems`]: everything that is wrong with the text, with positions and the nearest known keys.
pub fn settings(text: &str, format: Format, known: &[&str]) -> Result<Vec<Setting>, Problems> {
    let root = tree(text, format).map_err(|problem| Problems(vec![problem]))?;
    let entries = match &root.content {
        Content::Map(entries) => entries.as_slice(),
        Content::Null => return Ok(Vec::new()),
        _ => {
            let message = format!("expected settings, one 'key: value' a line, but found {}", root.kind());
            return Err(Problems(vec![Problem {
                code: ErrorCode::InvalidConfiguration,
                path: String::new(),
                position: Some(root.at),
                message,
            }]));
        }
    };
    let (positions, mut problems) = root.survey();
    let mut found = Vec::new();
    for entry in entries {
        match read(entry, known) {
            Ok(setting) => found.push(setting),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(Problems(problems).located(&positions)) }
}

fn read(entry: &Entry, known: &[&str]) -> Result<Setting, Problem> {
    let Entry { key, at, value } = entry;
    if !known.contains(&key.as_str()) {
        let hint = match nearest(key, known.iter().copied()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("the settings are {}", known.join(", ")),
        };
        let message = format!("unknown setting '{key}': {hint}");
        return Err(Problem {
            code: ErrorCode::InvalidConfiguration,
            path: String::new(),
            position: Some(*at),
            message,
        });
    }
    let text = match &value.content {
        Content::Bool(value) => value.to_string(),
        Content::Number(value) => value.to_string(),
        Content::Text(value) => value.clone(),
        Content::Null | Content::List(_) | Content::Map(_) => {
            let message = format!("expected one value, but found {}", value.kind());
            return Err(Problem {
                code: ErrorCode::InvalidConfiguration,
                path: key.clone(),
                position: Some(value.at),
                message,
            });
        }
    };
    Ok(Setting { key: key.clone(), value: text, at: value.at })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = ["nats_url", "shards", "quiet"];

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let settings = settings(text, Format::Yaml, &KNOWN).map_err(|problems| problems.to_string())?;
        Ok(settings.into_iter().map(|setting| (setting.key, setting.value)).collect())
    }

    #[test]
    fn values_are_read_as_text() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let text = "# mine\nnats_url: nats://a:4222\nshards: 8\nquiet: true\n";
        let expected = vec![pair("nats_url", "nats://a:4222"), pair("shards", "8"), pair("quiet", "true")];
        assert_eq!(read(text), Ok(expected));
        assert_eq!(read("# nothing yet\n"), Ok(Vec::new()));
    }

    #[test]
    fn problems_are_all_told_with_their_places() {
        let error =
            read("nats_ulr: x\nshards: [1]\nquiet: true\nquiet: false\n").expect_err("three problems");
        let expected = "1:1: unknown setting 'nats_ulr': did you mean 'nats_url'?\n\
                        2:9: shards: expected one value, but found a list\n\
                        4:1: the key 'quiet' is already there, at 3:1";
        assert_eq!(error, expected);
        assert!(read("- a").expect_err("a list").contains("expected settings"));
    }
}
