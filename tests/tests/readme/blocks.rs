use anyhow::{Result, bail};

/// A block of code in the guide. What stands behind the language says what it is; readers do not see that.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Block<'a> {
    /// `sh setup`: getting the checkout and building it, which has happened when tests run.
    Setup,
    /// `LANGUAGE file=PATH`: a file to write.
    File { path: &'a str, text: &'a str },
    /// `sh background`: runs in a terminal of its own.
    Background(&'a str),
    /// `sh`: runs to its end, and must go well.
    Script(&'a str),
    /// `json output`: what the script before it says last.
    Output(&'a str),
}

/// Every block of code in a text, in order.
pub(crate) fn blocks(text: &str) -> Result<Vec<Block<'_>>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find("\n```") {
        let (info, body) = rest[begin + 4..].split_once('\n').unwrap_or_default();
        let Some(end) = body.find("\n```") else { bail!("a block of code has no end: {info}") };
        let (text, after) = (&body[..=end], &body[end + 4..]);
        rest = after;
        found.push(match info.split_whitespace().collect::<Vec<_>>().as_slice() {
            [] => continue, // a drawing
            ["sh", "setup"] => Block::Setup,
            ["sh", "background"] => Block::Background(text),
            ["sh"] => Block::Script(text),
            ["json", "output"] => Block::Output(text),
            [_, file] if file.starts_with("file=") => Block::File { path: &file[5..], text },
            _ => bail!("the guide has a block of code that is not tried: ```{info}"),
        });
    }
    Ok(found)
}
