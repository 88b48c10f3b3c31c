//! Reads what was drawn.

use std::collections::BTreeMap;

use super::super::text::{self, SIZE};

/// An element with its attributes, and the text that follows.
pub(super) struct Element<'a> {
    pub(super) name: &'a str,
    pub(super) attributes: BTreeMap<&'a str, &'a str>,
    pub(super) text: &'a str,
}

/// The elements of a document, if each is closed in its place and what is said is escaped.
pub(super) fn elements(document: &str) -> Vec<Element<'_>> {
    let mut open = Vec::new();
    let mut all = Vec::new();
    for piece in document.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').expect("an end of a tag");
        assert!(!text.contains('>'), "{piece}");
        for entity in text.split('&').skip(1) {
            assert!(["amp;", "lt;", "gt;", "quot;"].iter().any(|known| entity.starts_with(known)), "{piece}");
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{piece}");
            continue;
        }
        let (name, rest) = tag.split_once(' ').unwrap_or((tag, ""));
        let rest = rest.strip_suffix('/').unwrap_or_else(|| {
            open.push(name);
            rest
        });
        let quoted: Vec<&str> = rest.split('"').collect();
        assert_eq!(quoted.len() % 2, 1, "{tag}");
        let attributes = quoted.chunks_exact(2).map(|pair| (pair[0].trim().trim_end_matches('='), pair[1]));
        all.push(Element { name, attributes: attributes.collect(), text });
    }
    assert!(open.is_empty(), "{open:?}");
    all
}

impl Element<'_> {
    fn number(&self, attribute: &str) -> f64 {
        self.attributes.get(attribute).map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// All places that it reaches, about.
    pub(super) fn reaches(&self) -> Vec<(f64, f64)> {
        let (x, y) = (self.number("x"), self.number("y"));
        let pair = |text: &str, between: char| {
            let (x, y) = text.split_once(between).expect("two numbers");
            (x.parse().expect("a number"), y.parse().expect("a number"))
        };
        match self.name {
            "rect" => vec![(x, y), (x + self.number("width"), y + self.number("height"))],
            "line" => {
                vec![(self.number("x1"), self.number("y1")), (self.number("x2"), self.number("y2"))]
            }
            "polyline" => self.attributes["points"].split(' ').map(|point| pair(point, ',')).collect(),
            "path" => {
                let at = self.attributes["transform"]
                    .strip_prefix("translate(")
                    .and_then(|at| at.strip_suffix(')'));
                vec![pair(at.expect("a place"), ' ')]
            }
            "text" => {
                let class = self.attributes["class"];
                let size = if class.contains("title") { 16.0 } else { SIZE };
                let width = text::width(
                    &self.text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"),
                    size,
                );
                let left = match class {
                    class if class.contains("end") => x - width,
                    class if class.contains("middle") => x - width / 2.0,
                    _ => x,
                };
                vec![(left, y - size), (left + width, y)]
            }
            _ => Vec::new(),
        }
    }
}
