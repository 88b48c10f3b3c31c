//! Finds expressions in text, and measures them before the parser does.

/// A piece of a text.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'a> {
    /// Taken as it is.
    Text(&'a str),
    /// What stands between `${` and `}`.
    Expression(&'a str),
}

/// Cuts a text at its expressions. `$${` is a literal `${`.
///
/// # Errors
/// In words, if an expression has no end.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find("${") {
        if let Some(before) = rest[..dollar].strip_suffix('$') {
            pieces.push(Piece::Text(before));
            pieces.push(Piece::Text("${"));
            rest = &rest[dollar + 2..];
            continue;
        }
        pieces.push(Piece::Text(&rest[..dollar]));
        let body = &rest[dollar + 2..];
        let end = Measure::of(body).end;
        let end = end.ok_or_else(|| format!("'${{' without its '}}': ${{{}", excerpt(body)))?;
        pieces.push(Piece::Expression(&body[..end]));
        rest = &body[end + 1..];
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| *piece != Piece::Text(""));
    Ok(pieces)
}

fn excerpt(text: &str) -> String {
    let mut excerpt: String = text.chars().take(40).collect();
    if excerpt.len() < text.len() {
        excerpt.push('…');
    }
    excerpt
}

/// The outer shape of an expression.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Measure {
    /// Where the first `}` is that closes nothing, and the expression so ends.
    pub(super) end: Option<usize>,
    /// How many brackets stand inside each other.
    pub(super) depth: usize,
    /// How many words, numbers, strings and signs there are.
    pub(super) tokens: usize,
}

impl Measure {
    /// Walks over an expression and knows of CEL just enough to not take what stands in strings and comments for
    /// brackets.
    pub(super) fn of(text: &str) -> Self {
        let mut measure = Self::default();
        let mut open = 0_usize;
        let mut at = 0;
        while let Some(next) = text[at..].chars().next() {
            let rest = &text[at..];
            if rest.starts_with("//") {
                at += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            if next.is_whitespace() {
                at += next.len_utf8();
                continue;
            }
            measure.tokens += 1;
            match next {
                '"' | '\'' => at += string(rest, false),
                '(' | '[' | '{' => {
                    open += 1;
                    measure.depth = measure.depth.max(open);
                    at += 1;
                }
                '}' if open == 0 => {
                    measure.end = Some(at);
                    return measure;
                }
                ')' | ']' | '}' => {
                    open = open.saturating_sub(1);
                    at += 1;
                }
                _ if is_word(next) => {
                    let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                    at += word;
                    // r"…" and b'…' are strings with a prefix.
                    if rest[word..].starts_with(['"', '\'']) && is_prefix(&rest[..word]) {
                        at += string(&rest[word..], rest[..word].contains(['r', 'R']));
                    }
                }
                _ => at += next.len_utf8(),
            }
        }
        measure
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_prefix(word: &str) -> bool {
    matches!(word.to_ascii_lowercase().as_str(), "r" | "b" | "rb" | "br")
}

/// Length of the string literal at the beginning, to the end of the text if it is not closed.
fn string(text: &str, raw: bool) -> usize {
    let quote = ["\"\"\"", "'''"].into_iter().find(|quote| text.starts_with(quote)).unwrap_or(&text[..1]);
    let mut at = quote.len();
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with(quote) {
            return at + quote.len();
        }
        let escape = !raw && rest.starts_with('\\');
        at += rest.chars().take(if escape { 2 } else { 1 }).map(char::len_utf8).sum::<usize>();
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_expressions() {
        use Piece::{Expression, Text};
        for (text, expected) in [
            ("", vec![]),
            ("a $ {b} $", vec![Text("a $ {b} $")]),
            ("${a}", vec![Expression("a")]),
            ("x ${a}-${b} y", vec![Text("x "), Expression("a"), Text("-"), Expression("b"), Text(" y")]),
            ("$${a} ${b}", vec![Text("${"), Text("a} "), Expression("b")]),
            ("$$${a}", vec![Text("$"), Text("${"), Text("a}")]),
            (r#"${"}" + '\'}'}"#, vec![Expression(r#""}" + '\'}'"#)]),
            ("${{'a': {'b': 1}}.a}!", vec![Expression("{'a': {'b': 1}}.a"), Text("!")]),
            (r"${r'\' + '}'}", vec![Expression(r"r'\' + '}'")]),
            ("${'''it's }''' + var'}'}", vec![Expression("'''it's }''' + var'}'")]),
            ("${a // it's }\n}", vec![Expression("a // it's }\n")]),
            ("ä${'ä}'}ä", vec![Text("ä"), Expression("'ä}'"), Text("ä")]),
        ] {
            assert_eq!(pieces(text), Ok(expected), "{text}");
        }
        for text in ["${", "a ${b", "${'}", "${{}", "${a // }"] {
            assert!(pieces(text).is_err(), "{text}");
        }
    }

    #[test]
    fn brackets_and_tokens_are_counted() {
        let measure = Measure::of("f([a.b, {'(((': 1}]) // ((((");
        assert_eq!(measure, Measure { end: None, depth: 3, tokens: 14 });
    }
}
