//! SVG as text: elements one after another, each with a class of the style; what is said in them is escaped.

use super::style::STYLE;

/// A place, in pixels from the left and from the top.
pub(super) type Point = (f64, f64);

/// A rectangle, in pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A picture that is being drawn. What is drawn later covers what was there.
#[derive(Default)]
pub(super) struct Svg {
    elements: String,
}

impl Svg {
    pub(super) fn rect(&mut self, class: &str, area: Area) {
        let [left, top, width, height] = [area.left, area.top, area.width, area.height].map(pixels);
        self.add(&format!(
            r#"<rect class="{class}" x="{left}" y="{top}" width="{width}" height="{height}"/>"#
        ));
    }

    pub(super) fn line(&mut self, class: &str, from: Point, to: Point) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(pixels);
        self.add(&format!(r#"<line class="{class}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>"#));
    }

    /// A line through all of these.
    pub(super) fn curve(&mut self, class: &str, points: &[Point]) {
        let points: Vec<String> =
            points.iter().map(|(x, y)| format!("{},{}", pixels(*x), pixels(*y))).collect();
        self.add(&format!(r#"<polyline class="{class}" points="{}"/>"#, points.join(" ")));
    }

    /// A path with its commands around a place.
    pub(super) fn path(&mut self, class: &str, at: Point, commands: &str) {
        let (x, y) = (pixels(at.0), pixels(at.1));
        self.add(&format!(r#"<path class="{class}" transform="translate({x} {y})" d="{commands}"/>"#));
    }

    /// One line of text, whose class says at which end of it the place is.
    pub(super) fn text(&mut self, class: &str, at: Point, text: &str) {
        let (x, y) = (pixels(at.0), pixels(at.1));
        self.add(&format!(r#"<text class="{class}" x="{x}" y="{y}">{}</text>"#, escaped(text)));
    }

    /// The document, with what those are told who do not see it.
    pub(super) fn document(self, size: Point, title: &str, description: &str) -> String {
        let (width, height) = (pixels(size.0), pixels(size.1));
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-labelledby="title description">
<title id="title">{}</title>
<desc id="description">{}</desc>
<style>
{STYLE}</style>
<rect class="back" x="0" y="0" width="{width}" height="{height}"/>
{}</svg>
"#,
            escaped(title),
            escaped(description),
            self.elements
        )
    }

    fn add(&mut self, element: &str) {
        self.elements.push_str(element);
        self.elements.push('\n');
    }
}

/// A length or a place, to a tenth.
fn pixels(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// Text as XML has it. What XML cannot have becomes a space.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push(' '),
            letter if letter.is_control() => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escaped("a<b> & \"c\"\u{0}\n"), "a&lt;b&gt; &amp; &quot;c&quot;  ");
    }

    #[test]
    fn places_are_told_to_a_tenth() {
        assert_eq!([1.0, 0.04, 12.25, 12.96].map(pixels), ["1", "0", "12.2", "13"]);
    }
}
