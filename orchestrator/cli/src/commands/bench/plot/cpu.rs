//! What it costs: CPU time of each part, one upon the other.

use super::super::figures::Measure;
use super::chart::{Chart, Plane};
use super::columns::{Column, Columns};
use super::known;
use super::legend::Key;
use super::scale::Scale;
use super::shape::Shape;
use super::svg::{Area, Svg};
use super::text::{self, LINE, number};

/// Height from which on a part has its number in it, in pixels.
const NUMBER: f64 = 12.0;

/// A part, and how it is drawn.
pub(super) struct Part {
    pub(super) measure: Measure,
    key: Key,
    /// Class of the text on its colour.
    text: &'static str,
}

pub(super) const PARTS: [Part; 5] = [
    part(Measure::ServerCpu, "server", "on-dark"),
    part(Measure::OrchestratorCpu, "orchestrator", "on-bright"),
    part(Measure::AgentsCpu, "agents", "on-bright"),
    part(Measure::LoadCpu, "load", "on-bright"),
    part(Measure::CollectorCpu, "collector", "on-bright"),
];

const fn part(measure: Measure, name: &'static str, text: &'static str) -> Part {
    Part { measure, key: Key { class: name, shape: Shape::Square, label: name }, text }
}

impl Part {
    pub(super) fn name(&self) -> &'static str {
        self.key.label
    }
}

/// Milliseconds of CPU time per 1 000 tasks.
pub(super) struct Cpu<'a> {
    columns: &'a Columns<'a>,
}

impl<'a> Cpu<'a> {
    /// Nothing if nothing is known.
    pub(super) fn of(columns: &'a Columns<'a>) -> Option<Self> {
        columns.all.iter().any(|column| total(column).is_some()).then_some(Self { columns })
    }
}

impl Chart for Cpu<'_> {
    fn title(&self) -> &'static str {
        "CPU time per 1\u{a0}000 tasks in ms"
    }

    fn legend(&self) -> Vec<Key> {
        let is_known = |part: &&Part| self.columns.all.iter().any(|column| figure(column, part).is_some());
        PARTS.iter().filter(is_known).map(|part| part.key).collect()
    }

    fn scale(&self) -> Scale {
        Scale::linear(self.columns.all.iter().filter_map(total).fold(0.0, f64::max))
    }

    fn headroom(&self, _: f64) -> f64 {
        LINE + 4.0
    }

    fn draw(&self, svg: &mut Svg, plane: &Plane) {
        for column in &self.columns.all {
            match total(column) {
                Some(total) => stack(svg, plane, column, total),
                None => svg.text("small middle", (plane.x(column), plane.bottom - 6.0), "not known"),
            }
        }
    }
}

fn stack(svg: &mut Svg, plane: &Plane, column: &Column, total: f64) {
    let (x, width) = (plane.x(column), plane.bar());
    let mut below = 0.0;
    for part in &PARTS {
        let Some(value) = figure(column, part) else { continue };
        let (top, bottom) = (plane.y(below + value), plane.y(below));
        below += value;
        let area = Area { left: x - width / 2.0, top, width, height: bottom - top };
        svg.rect(&format!("{} part", part.key.class), area);
        let words = number(value);
        if area.height >= NUMBER && text::width(&words, 10.0) <= width {
            svg.text(&format!("tiny middle {}", part.text), (x, f64::midpoint(top, bottom) + 3.5), &words);
        }
    }
    svg.text("value middle halo", (x, plane.y(total) - 4.0), &number(total));
}

/// Of all parts that are known.
fn total(column: &Column) -> Option<f64> {
    PARTS.iter().filter_map(|part| figure(column, part)).reduce(|sum, value| sum + value)
}

/// In milliseconds.
fn figure(column: &Column, part: &Part) -> Option<f64> {
    known(column.variant, part.measure).map(|seconds| seconds.median * 1_000.0)
}
