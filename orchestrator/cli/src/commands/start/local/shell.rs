//! Commands, looked at before they are run.

use std::path::Path;
use std::process::{Output, Stdio};

use tokio::process::Command;

use crate::text;

/// Succeeds if the shell knows a program, a builtin or a word of its own by the name in `$1`. A path that it would not
/// execute is not enough, although `command -v` thinks so.
const IS_KNOWN: &str =
    r#"case $1 in */*) [ -f "$1" ] && [ -x "$1" ];; *) command -v -- "$1";; esac > /dev/null"#;

/// Whether a shell can read a command, and knows its first word; if not, the reason. What is misspelt is to be told
/// before anything runs.
pub(super) async fn check(shell: &str, command: &str) -> Result<(), String> {
    let read = run(shell, &["-n", "-c", command]).await?;
    if !read.status.success() {
        let said = text::one_line(&String::from_utf8_lossy(&read.stderr));
        return Err(format!("the shell cannot read it: {said}"));
    }
    let Some(word) = first_word(command) else { return Ok(()) };
    if run(shell, &["-c", IS_KNOWN, "sh", word]).await?.status.success() {
        return Ok(());
    }
    Err(if word.contains('/') && !Path::new(word).exists() {
        format!("there is no file {word}")
    } else if word.contains('/') {
        format!("{word} is no file that may be executed (chmod +x, or name its interpreter: `sh {word}`)")
    } else {
        format!("there is no program '{word}' in the folders of PATH: install it, or give its path")
    })
}

async fn run(shell: &str, arguments: &[&str]) -> Result<Output, String> {
    let output = Command::new(shell).args(arguments).stdin(Stdio::null()).output().await;
    output.map_err(|error| format!("{shell}: {error}"))
}

/// The program that a command begins with, if it stands there word by word.
fn first_word(command: &str) -> Option<&str> {
    let ends = |c: char| c.is_whitespace() || ";|&<>()".contains(c);
    let word = command.trim_start().split(ends).next()?;
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@%,+".contains(c);
    (!word.is_empty() && word.chars().all(is_plain)).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_shell_does_not_change_is_looked_up() {
        let cases = [
            ("jq '.a'", Some("jq")),
            (" ./a.sh|cat", Some("./a.sh")),
            ("cat>x", Some("cat")),
            ("A=1 b", None),
            ("$X", None),
            ("~/x", None),
            ("'a b' c", None),
            ("(cat)", None),
            ("{ cat; }", None),
            ("", None),
        ];
        for (command, expected) in cases {
            assert_eq!(first_word(command), expected, "{command}");
        }
    }
}
