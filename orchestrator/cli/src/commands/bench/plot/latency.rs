//! How long runs take: marks for each variant, and curves where several are compared.

use super::super::figures::Measure;
use super::chart::{Chart, Plane};
use super::columns::{Column, Columns};
use super::known;
use super::legend::Key;
use super::scale::Scale;
use super::shape::Shape;
use super::svg::{Point, Svg};
use super::text::number;

/// From so many variants on they are a series, whose values are joined.
const SERIES: usize = 3;
/// From one number to the next, in pixels.
const NUMBER: f64 = 11.0;

/// A quantile: what is measured, and how it is drawn.
struct Quantile {
    measure: Measure,
    key: Key,
}

const QUANTILES: [Quantile; 4] = [
    Quantile { measure: Measure::RunMsP50, key: Key { class: "p50", shape: Shape::Circle, label: "p50" } },
    Quantile { measure: Measure::RunMsP90, key: Key { class: "p90", shape: Shape::Square, label: "p90" } },
    Quantile { measure: Measure::RunMsP99, key: Key { class: "p99", shape: Shape::Triangle, label: "p99" } },
    Quantile {
        measure: Measure::RunMsP999,
        key: Key { class: "p999", shape: Shape::Diamond, label: "p99.9" },
    },
];

/// Milliseconds of a run, of half of the runs, nine of ten, and so on.
pub(super) struct Latency<'a> {
    columns: &'a Columns<'a>,
}

impl<'a> Latency<'a> {
    /// Nothing if nothing is known.
    pub(super) fn of(columns: &'a Columns<'a>) -> Option<Self> {
        let latency = Self { columns };
        let is_known = latency.values().next().is_some();
        is_known.then_some(latency)
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        let of = |column| QUANTILES.iter().filter_map(move |quantile| figure(column, quantile));
        self.columns.all.iter().flat_map(of)
    }

    /// Joins the values of each quantile over the variants of the mesh, and over floors.
    fn curves(&self, svg: &mut Svg, plane: &Plane) {
        for is_floor in [true, false] {
            if self.columns.of_subject(is_floor).count() < SERIES {
                continue;
            }
            for quantile in &QUANTILES {
                let point = |column: &Column| Some((plane.x(column), plane.y(figure(column, quantile)?)));
                let points: Vec<Point> = self.columns.of_subject(is_floor).filter_map(point).collect();
                svg.curve(&format!("{} curve", class(is_floor, quantile)), &points);
            }
        }
    }
}

impl Chart for Latency<'_> {
    fn title(&self) -> &'static str {
        "Time of a run in ms (logarithmic)"
    }

    fn legend(&self) -> Vec<Key> {
        QUANTILES.map(|quantile| quantile.key).to_vec()
    }

    fn scale(&self) -> Scale {
        let (least, most) = (self.values().fold(f64::MAX, f64::min), self.values().fold(0.0, f64::max));
        Scale::logarithmic(least, most)
    }

    fn headroom(&self, _: f64) -> f64 {
        NUMBER
    }

    fn draw(&self, svg: &mut Svg, plane: &Plane) {
        self.curves(svg, plane);
        for column in &self.columns.all {
            marks(svg, plane, column);
        }
    }
}

/// All values of a variant one above the other, each with its number.
fn marks(svg: &mut Svg, plane: &Plane, column: &Column) {
    let x = plane.x(column);
    let shown: Vec<(f64, f64, &Quantile)> = QUANTILES
        .iter()
        .filter_map(|quantile| figure(column, quantile).map(|value| (plane.y(value), value, quantile)))
        .collect();
    let ys: Vec<f64> = shown.iter().map(|(y, ..)| *y).collect();
    if let (Some(lowest), Some(highest)) = (ys.first(), ys.last()) {
        let class = if column.is_floor() { "floor range" } else { "mesh range" };
        svg.line(class, (x, *lowest), (x, *highest));
    }
    for ((y, value, quantile), beside) in shown.iter().zip(apart(&ys, plane.bottom - 4.0)) {
        svg.path(&format!("{} bar", class(column.is_floor(), quantile)), (x, *y), quantile.key.shape.path());
        let class = if column.is_floor() { "tiny small halo" } else { "tiny halo" };
        svg.text(class, (x + 9.0, beside + 3.5), &number(*value));
    }
}

/// Heights of numbers beside values, from the lowest on, so that none covers another and none is below the bottom.
fn apart(values: &[f64], bottom: f64) -> Vec<f64> {
    let mut limit = bottom;
    let place = |y: &f64| {
        let place = y.min(limit);
        limit = place - NUMBER;
        place
    };
    values.iter().map(place).collect()
}

fn class(is_floor: bool, quantile: &Quantile) -> &'static str {
    if is_floor { "floor" } else { quantile.key.class }
}

/// What a logarithmic axis has.
fn figure(column: &Column, quantile: &Quantile) -> Option<f64> {
    known(column.variant, quantile.measure).map(|spread| spread.median).filter(|value| *value > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_beside_their_values_where_there_is_room() {
        assert_eq!(apart(&[90.0, 60.0, 10.0], 100.0), [90.0, 60.0, 10.0]);
        assert_eq!(apart(&[110.0, 95.0, 94.0, 20.0], 100.0), [100.0, 89.0, 78.0, 20.0]);
    }
}
