//! What colours and shapes stand for.

use super::shape::Shape;
use super::svg::{Point, Svg};
use super::text::{self, SIZE};

/// From one row of a legend to the next, in pixels.
pub(super) const ROW: f64 = 16.0;
/// What a mark takes before its words, and what is free after them.
const MARK: f64 = 14.0;
const FREE: f64 = 12.0;

/// One thing that a legend explains.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) class: &'static str,
    pub(super) shape: Shape,
    pub(super) label: &'static str,
}

/// Draws keys one beside the other, in as many rows as they take.
pub(super) fn draw(svg: &mut Svg, keys: &[Key], (left, top): Point, width: f64) {
    for (key, (right, below)) in keys.iter().zip(places(keys, width)) {
        let middle = (left + right, top + below + ROW / 2.0);
        svg.path(&format!("{} bar", key.class), (middle.0 + 5.0, middle.1), key.shape.path());
        svg.text("small", (middle.0 + MARK, middle.1 + 4.0), key.label);
    }
}

/// How high the rows are, in pixels.
pub(super) fn height(keys: &[Key], width: f64) -> f64 {
    places(keys, width).last().map_or(0.0, |(_, below)| below + ROW)
}

/// The place of each from the left and from the top.
fn places(keys: &[Key], width: f64) -> Vec<Point> {
    let (mut right, mut below) = (0.0, 0.0);
    let place = |key: &Key| {
        let own = MARK + text::width(key.label, SIZE);
        if right > 0.0 && right + own > width {
            (right, below) = (0.0, below + ROW);
        }
        let place = (right, below);
        right += own + FREE;
        place
    };
    keys.iter().map(place).collect()
}
