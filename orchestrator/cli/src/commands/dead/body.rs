//! The body of a message, whatever it is.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;

/// How much of a binary body people are shown: a screen of it.
const SHOWN: usize = 512;
/// Bytes in a line.
const LINE: usize = 16;

/// A body, by what it can be read as.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Body {
    /// JSON.
    Json(Value),
    /// UTF-8 text that is no JSON.
    Text(String),
    /// Bytes, as base64.
    Base64(String),
}

impl Body {
    pub(super) fn read(bytes: &[u8]) -> Self {
        if let Ok(value) = serde_json::from_slice(bytes) {
            return Self::Json(value);
        }
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains(is_harmful) => Self::Text(text.to_owned()),
            _ => Self::Base64(STANDARD.encode(bytes)),
        }
    }

    /// For people.
    pub(super) fn shown(&self, bytes: &[u8]) -> String {
        match self {
            Self::Json(value) => format!("{value:#}\n"),
            Self::Text(text) if text.is_empty() => "(empty)\n".to_owned(),
            Self::Text(text) => format!("{}\n", text.trim_end_matches('\n')),
            Self::Base64(_) => dump(bytes),
        }
    }
}

/// Text without what could do anything to a terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if is_harmful(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn is_harmful(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\r' | '\t')
}

/// Bytes as `hexdump -C` shows them.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    for (at, line) in bytes[..bytes.len().min(SHOWN)].chunks(LINE).enumerate() {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let letters = line.iter().map(|byte| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        });
        let _ = writeln!(text, "{:08x}  {:<47}  |{}|", at * LINE, hex.join(" "), letters.collect::<String>());
    }
    if bytes.len() > SHOWN {
        let _ =
            writeln!(text, "… {} bytes more: --output json has all of it, as base64", bytes.len() - SHOWN);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_shown_as_what_it_is() {
        assert_eq!(Body::read(b"{\"a\":1}"), Body::Json(serde_json::json!({ "a": 1 })));
        assert_eq!(Body::read("grüß".as_bytes()), Body::Text("grüß".to_owned()));
        assert_eq!(Body::read(b"\x1b[2J"), Body::Base64("G1sySg==".to_owned()));
        let bytes = [0xff, 0x00, b'{'];
        assert_eq!(
            Body::read(&bytes).shown(&bytes),
            "00000000  ff 00 7b                                         |..{|\n"
        );
        let long = vec![0xff; SHOWN + 7];
        assert!(
            Body::read(&long)
                .shown(&long)
                .ends_with("\n… 7 bytes more: --output json has all of it, as base64\n")
        );
    }
}
