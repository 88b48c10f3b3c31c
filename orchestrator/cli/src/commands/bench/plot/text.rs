//! Words and numbers as they fit into a picture.

/// Size of most text, in pixels.
pub(super) const SIZE: f64 = 11.0;
/// From one line of it to the next.
pub(super) const LINE: f64 = 13.0;
/// Width of a letter by the size of the text: rather more than most fonts have, as it is not known which one is there.
const LETTER: f64 = 0.6;

/// How many there are, to calculate with.
pub(super) fn float(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

/// About how wide a text is, in pixels.
pub(super) fn width(text: &str, size: f64) -> f64 {
    float(text.chars().count()) * LETTER * size
}

/// Lines of words that are no wider than so many pixels; of a word that is, only the beginning is there.
pub(super) fn wrapped(text: &str, size: f64, most: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let longer = lines.last().map(|line| format!("{line} {word}"));
        match (lines.last_mut(), longer) {
            (Some(line), Some(longer)) if width(&longer, size) <= most => *line = longer,
            _ => lines.push(shortened(word, size, most)),
        }
    }
    lines
}

fn shortened(word: &str, size: f64, most: f64) -> String {
    let mut short = word.to_owned();
    while width(&short, size) > most && short.chars().count() > 1 {
        short.pop();
        short.pop();
        short.push('…');
    }
    short
}

/// A number to about three digits, or to the last before the point, in groups of three.
pub(super) fn number(value: f64) -> String {
    let decimals = match value {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    match part.trim_end_matches('0') {
        "" => grouped,
        part => format!("{grouped}.{part}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_as_many_digits_as_are_of_use() {
        let cases = [
            (0.0, "0"),
            (0.1234, "0.123"),
            (0.5, "0.5"),
            (2.0, "2"),
            (9.999, "10"),
            (12.34, "12.3"),
            (123.4, "123"),
            (13_210.4, "13\u{202f}210"),
            (1_000_000.0, "1\u{202f}000\u{202f}000"),
        ];
        for (value, words) in cases {
            assert_eq!(number(value), words);
        }
    }

    #[test]
    fn lines_are_no_wider_than_there_is_room() {
        let room = width("in flight", SIZE);
        assert_eq!(wrapped("in flight 1000 floor", SIZE, room), ["in flight", "1000", "floor"]);
        assert_eq!(wrapped("a extraordinarily", SIZE, room), ["a", "extraord…"]);
        assert_eq!(wrapped("wide", SIZE, 0.0), ["…"]);
        assert!(wrapped(" ", SIZE, room).is_empty());
    }
}
