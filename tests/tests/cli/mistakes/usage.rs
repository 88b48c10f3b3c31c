//! Commands and arguments that there are not.

use anyhow::Result;

use super::transcript::Transcript;
use crate::support::Person;

#[tokio::test]
async fn usage() -> Result<()> {
    let person = Person::new()?;
    let mut transcript = Transcript::new("usage");
    for (mistake, arguments) in [
        ("a command that is misspelt", &["strat", "order"][..]),
        ("a command below that is misspelt", &["workflow", "aply", "order.yaml"]),
        ("an option that is misspelt", &["start", "order", "--wiat"]),
        ("an option of another command", &["start", "order", "--follow"]),
        ("options that exclude each other", &["start", "order", "--wait", "--watch"]),
        ("nothing to start", &["start"]),
        ("an output that is none", &["runs", "list", "-o", "csv"]),
        ("no word on which letters", &["dead", "redrive"]),
        ("no word on which letters to drop", &["dead", "drop", "--dry-run"]),
        ("all letters, and some", &["dead", "drop", "--all", "17"]),
        ("all letters, but only some", &["dead", "redrive", "--all", "--stream", "tasks"]),
        ("a letter that is no number", &["dead", "drop", "seventeen"]),
        ("a look more often than is good", &["top", "--interval", "1ms"]),
        ("figures over no runs", &["stats", "order", "--limit", "0"]),
        ("an unknown code", &["explain", "MESH-999"]),
        ("an unknown shell", &["completions", "basch"]),
    ] {
        transcript.tries(mistake, &person, arguments).await?;
    }
    person.file("file", "mine\n")?;
    transcript.tries("schemas below a file", &person, &["schema", "--out", "file"]).await?;
    transcript.holds()
}
