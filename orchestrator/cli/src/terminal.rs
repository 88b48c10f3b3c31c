//! What the terminal that data is printed on can do.

use std::io::{self, IsTerminal as _};

/// Columns of a terminal that does not say how many it has, and of what is no terminal.
const USUAL_COLUMNS: usize = 120;
/// Lines of a terminal that does not say how many it has.
const USUAL_LINES: usize = 24;

/// Where data is printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    /// Whether it is one, and not a file or a pipe.
    pub(crate) is_there: bool,
    /// Whether it is to show colours: not if `NO_COLOR` is set (no-color.org).
    pub(crate) has_colours: bool,
    /// How many columns there are to print on.
    pub(crate) columns: usize,
    /// How many lines it shows at once.
    pub(crate) lines: usize,
}

impl Terminal {
    /// That of stdout.
    pub(crate) fn of_stdout() -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let is_there = io::stdout().is_terminal();
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
        let or_usual = |of_size: Option<u16>, usual| match of_size {
            None | Some(0) => usual,
            Some(number) => usize::from(number),
        };
        Self {
            is_there,
            has_colours: is_there && !is_dumb && !is_set("NO_COLOR"),
            columns: or_usual(size.map(|size| size.ws_col), USUAL_COLUMNS),
            lines: or_usual(size.map(|size| size.ws_row), USUAL_LINES),
        }
    }

    /// A text in a colour, if colours are shown.
    pub(crate) fn paint(self, text: &str, colour: Colour) -> String {
        let code = match colour {
            Colour::Plain => return text.to_owned(),
            Colour::Bold => "1",
            Colour::Dim => "2",
            Colour::Red => "31",
            Colour::Green => "32",
            Colour::Yellow => "33",
            Colour::Cyan => "36",
        };
        if self.has_colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// A line, cut where the terminal ends; whole where there is none.
    pub(crate) fn fit(self, line: &str) -> String {
        if self.is_there { cut(line, self.columns) } else { line.to_owned() }
    }
}

/// How a text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
}

/// The beginning of a text that is too long, with `…` at its end.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let begin: String = text.chars().take(columns.saturating_sub(1)).collect();
    format!("{begin}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_shown_where_they_may_be() {
        let terminal = Terminal { is_there: true, has_colours: false, columns: 4, lines: 24 };
        assert_eq!(terminal.paint("no", Colour::Red), "no");
        assert_eq!(
            Terminal { has_colours: true, ..terminal }.paint("no", Colour::Red),
            "\u{1b}[31mno\u{1b}[0m"
        );
        assert_eq!(terminal.fit("12345"), "123…");
        assert_eq!(Terminal { is_there: false, ..terminal }.fit("12345"), "12345");
    }
}
