//! One of the charts of a picture: title, legend, axis and names, around what is drawn of each variant.

use super::columns::{Column, Columns};
use super::legend::{self, Key};
use super::scale::Scale;
use super::svg::Svg;
use super::text::{self, LINE, number};

/// Room for the values at the axis, and right of the last column, in pixels.
pub(super) const AXIS: f64 = 50.0;
pub(super) const RIGHT: f64 = 16.0;
/// Height of what is drawn of values, and of the title.
pub(super) const HEIGHT: f64 = 210.0;
const TITLE: f64 = 20.0;
/// Room between parts of a chart.
const FREE: f64 = 10.0;

/// What a chart shows.
pub(super) trait Chart {
    fn title(&self) -> &'static str;
    /// What its colours stand for.
    fn legend(&self) -> Vec<Key>;
    fn scale(&self) -> Scale;
    /// Room above the highest value, in pixels, where columns are so wide.
    fn headroom(&self, step: f64) -> f64;
    fn draw(&self, svg: &mut Svg, plane: &Plane);
}

/// Where a chart is drawn, in pixels.
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    /// Height of title and legend.
    pub(super) head: f64,
    /// Width of a column.
    pub(super) step: f64,
}

/// Where values are.
pub(super) struct Plane {
    left: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) step: f64,
    headroom: f64,
    scale: Scale,
}

impl Plane {
    pub(super) fn x(&self, column: &Column) -> f64 {
        self.left + column.middle * self.step
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        self.bottom - self.scale.part(value) * (self.bottom - self.top - self.headroom)
    }

    /// How wide a bar is.
    pub(super) fn bar(&self) -> f64 {
        (self.step * 0.62).min(60.0)
    }
}

/// Height of title and legend.
pub(super) fn head(chart: &dyn Chart, width: f64) -> f64 {
    TITLE + legend::height(&chart.legend(), width) + FREE
}

/// Height of all below title and legend.
pub(super) fn height(columns: &Columns, step: f64) -> f64 {
    let lines = columns.all.iter().map(|column| column.name(step).len()).max().unwrap_or_default();
    HEIGHT + FREE + text::float(lines) * LINE
}

pub(super) fn draw(svg: &mut Svg, chart: &dyn Chart, columns: &Columns, frame: &Frame) {
    svg.text("heading", (frame.left, frame.top + LINE), chart.title());
    legend::draw(svg, &chart.legend(), (frame.left, frame.top + TITLE), frame.width);
    let room = frame.width - AXIS - RIGHT;
    let top = frame.top + frame.head;
    let plane = Plane {
        // In the middle, where there is more room than columns take.
        left: frame.left + AXIS + (room - columns.width * frame.step) / 2.0,
        top,
        bottom: top + HEIGHT,
        step: frame.step,
        headroom: chart.headroom(frame.step),
        scale: chart.scale(),
    };
    axis(svg, &plane, frame);
    chart.draw(svg, &plane);
    for column in &columns.all {
        name(svg, column, &plane);
    }
}

fn axis(svg: &mut Svg, plane: &Plane, frame: &Frame) {
    let (left, right) = (frame.left + AXIS, frame.left + frame.width - RIGHT);
    for tick in plane.scale.ticks() {
        let y = plane.y(tick);
        svg.line("grid", (left, y), (right, y));
        svg.text("tick end", (left - 6.0, y + 4.0), &number(tick));
    }
    svg.line("axis", (left, plane.bottom), (right, plane.bottom));
}

fn name(svg: &mut Svg, column: &Column, plane: &Plane) {
    let class = if column.is_floor() { "floor-name middle" } else { "middle" };
    let mut y = plane.bottom + FREE;
    for line in column.name(plane.step) {
        y += LINE;
        svg.text(class, (plane.x(column), y - 4.0), &line);
    }
}
