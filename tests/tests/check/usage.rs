//! What is said of a check that cannot be made as it was asked for.

use anyhow::Result;

use crate::support::check;

#[tokio::test]
async fn what_cannot_be_tried_is_told_with_what_is_missing() -> Result<()> {
    let nobody = ["-c", "nobody", "--input", "{}", "--timeout", "5s", "--", "false"];
    let checked = check(&nobody).await?;
    checked.breaks("nobody", &["takes-work"])?;
    let told = &checked.line("takes-work")?;
    assert_eq!(told["found"], "the agent ended (exit status: 1)");
    assert!(told["mend"].as_str().is_some_and(|mend| mend.contains("agent-nobody-normal")), "{told}");
    let why = |rule| Ok::<_, anyhow::Error>(checked.line(rule)?["found"].clone());
    assert_eq!(why("own-error")?, "it is tried with --bad-input");
    assert_eq!(why("deadline")?, "it is tried with --slow-input");
    assert_eq!(why("reconnects")?, "the agent takes no work");
    Ok(())
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() -> Result<()> {
    let checked = check(&["-c", "x", "--input", "{}", "--rule", "acks", "--", "no-such-program"]).await?;
    checked.breaks("no program", &["takes-work"])?;
    let found = &checked.line("takes-work")?["found"];
    assert!(
        found.as_str().is_some_and(|found| found.contains("[MESH-502]: cannot start no-such-program")),
        "{found}"
    );
    Ok(())
}

#[tokio::test]
async fn mistakes_on_the_command_line_are_told() -> Result<()> {
    let cases: [(&[&str], &str); 5] = [
        (&["-c", "x"], "--input"),
        (&["-c", "x", "--input", "{"], "it is neither JSON (EOF while parsing"),
        (&["-c", "x", "--input", "{}", "--rule", "none"], "there is no such rule; there are takes-work"),
        (&["-c", "x", "--input", "{}", "--jobs", "0"], "use a number from 1 to 64"),
        (&["-c", "Not A Name", "--input", "{}"], "is not a valid capability"),
    ];
    for (arguments, expected) in cases {
        let checked = check(arguments).await?;
        assert!(checked.code == 2 && checked.err.contains(expected), "{arguments:?}: {}", checked.err);
    }
    Ok(())
}
