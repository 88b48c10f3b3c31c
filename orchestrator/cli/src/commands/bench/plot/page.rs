//! The whole picture: what it is about, the charts, and how to read them.

use super::super::report::Report;
use super::chart::{self, AXIS, Chart, Frame, RIGHT};
use super::columns::Columns;
use super::cpu::Cpu;
use super::latency::Latency;
use super::svg::Svg;
use super::text::{self, SIZE};
use super::throughput::Throughput;
use super::words;

/// Free on each side, between charts side by side, and between them one below the other, in pixels.
const MARGIN: f64 = 20.0;
const BESIDE: f64 = 16.0;
const BELOW: f64 = 26.0;
/// Width up to which all charts stand side by side, as much as a page shows without making it smaller.
const SIDE_BY_SIDE: f64 = 960.0;
/// Widths of a chart: of one for titles and legends, and of those one below the other.
const LEAST: f64 = 280.0;
const ALONE: f64 = 760.0;
/// Width of a column at most.
const STEP: f64 = 170.0;
/// Size of the title.
const TITLE: f64 = 16.0;

/// How charts are arranged.
struct Layout {
    /// Charts side by side.
    in_row: usize,
    /// Width of each.
    chart: f64,
    /// Width of a column.
    step: f64,
}

impl Layout {
    fn of(columns: &Columns, charts: usize) -> Self {
        let (least, charts) = (columns.least(), charts.max(1));
        let own = |step: f64| AXIS + columns.width * step + RIGHT;
        let step = |width: f64| ((width - AXIS - RIGHT) / columns.width.max(1.0)).min(STEP).max(least);
        let beside = (SIDE_BY_SIDE + BESIDE) / text::float(charts) - BESIDE;
        if own(least) <= beside {
            let step = step(beside);
            return Self { in_row: charts, chart: own(step).max(LEAST), step };
        }
        let step = step(ALONE);
        Self { in_row: 1, chart: own(step).max(ALONE), step }
    }

    fn width(&self) -> f64 {
        let in_row = text::float(self.in_row);
        in_row * self.chart + (in_row - 1.0) * BESIDE
    }
}

/// The report as an SVG document.
pub(super) fn document(report: &Report) -> String {
    let columns = Columns::of(report);
    let throughput = Throughput::of(report, &columns);
    let latency = Latency::of(&columns);
    let cpu = Cpu::of(&columns);
    let charts: Vec<&dyn Chart> = [
        throughput.as_ref().map(|chart| chart as &dyn Chart),
        latency.as_ref().map(|chart| chart as &dyn Chart),
        cpu.as_ref().map(|chart| chart as &dyn Chart),
    ]
    .into_iter()
    .flatten()
    .collect();
    let layout = Layout::of(&columns, charts.len());
    let mut svg = Svg::default();
    let title = words::title(report);
    let mut y = lines(&mut svg, "title", TITLE, &layout, MARGIN, &title);
    for line in words::surroundings(report) {
        y = lines(&mut svg, "small", SIZE, &layout, y, &line);
    }
    for row in charts.chunks(layout.in_row) {
        y = side_by_side(&mut svg, row, &columns, &layout, y + BELOW / 2.0) + BELOW / 2.0;
    }
    for note in words::notes(report) {
        y = lines(&mut svg, "small", SIZE, &layout, y, &note);
    }
    let size = (layout.width() + 2.0 * MARGIN, y + MARGIN);
    let variants = columns.all.iter().map(|column| column.variant);
    svg.document(size, &title, &words::description(report, variants))
}

/// Draws charts beside each other, and returns where they end.
fn side_by_side(svg: &mut Svg, row: &[&dyn Chart], columns: &Columns, layout: &Layout, top: f64) -> f64 {
    let head = row.iter().map(|chart| chart::head(*chart, layout.chart)).fold(0.0, f64::max);
    let mut left = MARGIN;
    for chart in row {
        chart::draw(svg, *chart, columns, &Frame { left, top, width: layout.chart, head, step: layout.step });
        left += layout.chart + BESIDE;
    }
    top + head + chart::height(columns, layout.step)
}

/// Writes words in as many lines as they take, and returns where they end.
fn lines(svg: &mut Svg, class: &str, size: f64, layout: &Layout, top: f64, words: &str) -> f64 {
    let mut y = top;
    for line in text::wrapped(words, size, layout.width()) {
        y += size * 1.4;
        svg.text(class, (MARGIN, y - size * 0.3), &line);
    }
    y
}
