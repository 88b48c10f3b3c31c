//! How much is done: a bar for each variant.

use super::super::figures::{Measure, Spread};
use super::super::report::Report;
use super::chart::{Chart, HEIGHT, Plane};
use super::columns::{Column, Columns};
use super::legend::Key;
use super::scale::Scale;
use super::shape::Shape;
use super::svg::{Area, Svg};
use super::text::{self, LINE, SIZE, number};
use super::{known, words};

/// Half of the width of the end of a whisker, in pixels.
const END: f64 = 5.0;

/// Tasks per second: median, least and most of the rounds, and how that stands to what it is compared with.
pub(super) struct Throughput<'a> {
    report: &'a Report,
    columns: &'a Columns<'a>,
}

impl<'a> Throughput<'a> {
    /// Nothing if nothing is known.
    pub(super) fn of(report: &'a Report, columns: &'a Columns<'a>) -> Option<Self> {
        columns.all.iter().any(|column| figure(column).is_some()).then_some(Self { report, columns })
    }

    fn ratio(&self, column: &Column, step: f64) -> Vec<String> {
        let words = words::ratio(self.report, column.variant).unwrap_or_default();
        text::wrapped(&words.replace("the floor", "the\u{a0}floor"), SIZE, step)
    }
}

impl Chart for Throughput<'_> {
    fn title(&self) -> &'static str {
        "Tasks per second"
    }

    fn legend(&self) -> Vec<Key> {
        if self.columns.of_subject(true).next().is_none() {
            return Vec::new();
        }
        let mesh = Key { class: "mesh", shape: Shape::Square, label: "mesh" };
        let floor = Key { class: "floor", shape: Shape::Square, label: "floor: the bare loop" };
        vec![mesh, floor]
    }

    fn scale(&self) -> Scale {
        let most = self.columns.all.iter().filter_map(figure).map(|spread| spread.most);
        Scale::linear(most.fold(0.0, f64::max))
    }

    fn headroom(&self, step: f64) -> f64 {
        let scale = self.scale();
        let of = |column| {
            let words = (text::float(self.ratio(column, step).len()) + 1.0) * LINE + END;
            // What is left of the height is as much of the axis as the column takes, whose words end at the top.
            Some(HEIGHT - (HEIGHT - words) / scale.part(figure(column)?.most))
        };
        self.columns.all.iter().filter_map(of).fold(0.0, f64::max)
    }

    fn draw(&self, svg: &mut Svg, plane: &Plane) {
        for column in &self.columns.all {
            let Some(spread) = figure(column) else { continue };
            bar(svg, plane, column, spread);
            let x = plane.x(column);
            let mut y = plane.y(spread.most) - END;
            for line in self.ratio(column, plane.step).iter().rev() {
                svg.text("middle halo", (x, y), line);
                y -= LINE;
            }
            svg.text("value middle halo", (x, y), &number(spread.median));
        }
    }
}

fn bar(svg: &mut Svg, plane: &Plane, column: &Column, Spread { median, least, most }: Spread) {
    let (x, top, width) = (plane.x(column), plane.y(median), plane.bar());
    let class = if column.is_floor() { "floor bar" } else { "mesh bar" };
    svg.rect(class, Area { left: x - width / 2.0, top, width, height: plane.bottom - top });
    if least < most {
        let (least, most) = (plane.y(least), plane.y(most));
        // On the background and on the bar it is told from both.
        for class in ["under", "whisker"] {
            svg.line(class, (x, least), (x, most));
            for end in [least, most] {
                svg.line(class, (x - END, end), (x + END, end));
            }
        }
    }
}

fn figure(column: &Column) -> Option<Spread> {
    known(column.variant, Measure::TasksPerSecond)
}
