use cel::common::ast::{Expr, SelectExpr};
use cel::{Env, IdedExpr};

use super::MAX_EXPRESSION_BYTES;
use super::scan::Measure;

/// Most brackets inside each other.
const MAX_BRACKETS: usize = 24;

/// Most tokens. The parser goes one step down its stack for each link of a chain such as `a.b.c` or `1 + 2 + 3`,
/// so this also bounds the stack that it needs.
const MAX_TOKENS: usize = 1_000;

/// Up to here the parser gets by with what is left of any stack.
const FEW_BRACKETS: usize = 3;
const FEW_TOKENS: usize = 150;

/// Words that may mean something else than a name.
const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

/// Words of other languages, and how they are written here.
const SIGNS: [(&str, &str); 4] = [("and", "&&"), ("or", "||"), ("is", "=="), ("not", "!")];

/// Stack for expressions beyond that. Without optimisation the parser takes a quarter of a MiB for each bracket, more
/// than the 2 MiB of a usual thread.
const PARSER_STACK_BYTES: usize = 16 * 1024 * 1024;

/// Parses an expression; macros stay calls.
///
/// # Errors
/// In words, without naming the place.
pub(super) fn parse(text: &str) -> Result<IdedExpr, String> {
    if text.trim().is_empty() {
        return Err("the expression is empty".to_owned());
    }
    if text.len() > MAX_EXPRESSION_BYTES {
        return Err(format!(
            "an expression has at most {MAX_EXPRESSION_BYTES} bytes, this one {}",
            text.len()
        ));
    }
    if let Some(path) = path(text) {
        return Ok(path);
    }
    let measure = Measure::of(text);
    if measure.tokens > MAX_TOKENS {
        return Err(format!(
            "an expression has at most {MAX_TOKENS} words and signs, this one {}: let an agent compute it",
            measure.tokens
        ));
    }
    if measure.depth > MAX_BRACKETS {
        return Err(format!("brackets are nested deeper than {MAX_BRACKETS}"));
    }
    if measure.depth <= FEW_BRACKETS && measure.tokens <= FEW_TOKENS {
        return tree(text);
    }
    std::thread::scope(|scope| {
        let parser = std::thread::Builder::new().stack_size(PARSER_STACK_BYTES);
        let parser = parser.spawn_scoped(scope, || tree(text));
        let parser = parser.map_err(|error| format!("it cannot be parsed now: {error}"))?;
        parser.join().unwrap_or_else(|_| Err("the parser cannot cope with it".to_owned()))
    })
}

/// An expression that is only names with dots between them, such as `tasks.a.output`: nearly all are, and a definition
/// may have a hundred thousand. The parser says the same, a hundred times slower.
fn path(text: &str) -> Option<IdedExpr> {
    let name = |name: &str| {
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let holds = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        begins && holds && !RESERVED.contains(&name)
    };
    let mut names = text.trim_ascii().split('.');
    if names.clone().count() > FEW_TOKENS / 2 || !names.clone().all(name) {
        return None;
    }
    let expr = |expr| IdedExpr { id: 0, expr };
    let first = expr(Expr::Ident(names.next()?.to_owned()));
    Some(names.fold(first, |operand, field| {
        let select = SelectExpr { operand: Box::new(operand), field: field.to_owned(), test: false };
        expr(Expr::Select(select))
    }))
}

fn tree(text: &str) -> Result<IdedExpr, String> {
    // Without macros: `has(…)` and `list.map(…)` stay the calls they are written as.
    let parser = Env::default().with_optional_support(true).parser();
    parser.max_recursion_depth(32).parse(text).map_err(|errors| match errors.errors.first() {
        Some(error) if error.pos.0 > 0 => {
            let (line, column) = error.pos;
            let line = if line > 1 { format!("line {line}, ") } else { String::new() };
            format!("{}, at {line}character {column},", plain_words(&error.msg))
        }
        Some(error) => plain_words(&error.msg),
        None => "it is not CEL".to_owned(),
    })
}

/// The parser's message without the list of every token that could have stood there.
fn plain_words(message: &str) -> String {
    let message = message.trim().trim_start_matches("Syntax error: ");
    let message = message.split(" expecting ").next().unwrap_or(message);
    for unexpected in ["mismatched input ", "extraneous input ", "no viable alternative at input "] {
        if let Some(found) = message.strip_prefix(unexpected) {
            if found.contains("<EOF>") {
                return "it ends too early".to_owned();
            }
            let sign = SIGNS.iter().find(|(word, _)| found == format!("'{word}'"));
            let advice = sign.map_or_else(String::new, |(_, sign)| format!(" (write {sign})"));
            return format!("unexpected {found}{advice}");
        }
    }
    match message.strip_prefix("token recognition error at: ") {
        Some(found) if found.starts_with("'=") => "'=' compares nothing: write '=='".to_owned(),
        Some("'$'") => "an expression has no ${…} in it".to_owned(),
        Some(found) => format!("{found} cannot stand in an expression"),
        None => match message.strip_suffix(" at '<EOF>'").and_then(|rest| rest.strip_prefix("missing ")) {
            Some(missing) => format!("it ends before its {missing}"),
            None => message.replace("<EOF>", "the end"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without the numbers that the parser gives to each part.
    fn numbered(mut expr: IdedExpr) -> IdedExpr {
        expr.id = 0;
        if let Expr::Select(select) = &mut expr.expr {
            *select.operand = numbered(std::mem::take(&mut select.operand));
        }
        expr
    }

    #[test]
    fn paths_are_what_the_parser_makes_of_them() {
        for text in ["a", " input.name\n", "tasks.t_1.output.x.y", "_.A9", "result", "run.id"] {
            assert_eq!(path(text), Some(numbered(tree(text).unwrap())), "{text}");
        }
        for text in ["", ".", ".a", "a.", "a..b", "1", "a.1", "a b", "a . b", "ä", "a[0]", "a()", "a.`b`"] {
            assert_eq!(path(text), None, "{text}");
        }
        for word in RESERVED {
            assert_eq!((path(word), path(&format!("a.{word}"))), (None, None), "{word}");
        }
    }
}
