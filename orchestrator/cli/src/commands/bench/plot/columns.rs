//! Which variant is drawn where: in their order from left to right, the floor beside what is compared with it.

use super::super::figures::Variant;
use super::super::plan::Subject;
use super::super::report::Report;
use super::text::{self, SIZE};

/// Room between a variant with its floor and the next, in widths of a column.
const BETWEEN: f64 = 0.35;
/// Room between the names of two columns, in pixels.
const BESIDE_NAME: f64 = 6.0;
/// Widths of a column: so many pixels for the numbers in it, and so many at most for its name.
const LEAST: f64 = 66.0;
const MOST: f64 = 112.0;

/// All that is drawn side by side.
pub(super) struct Columns<'a> {
    pub(super) all: Vec<Column<'a>>,
    /// Width of all, in widths of a column.
    pub(super) width: f64,
}

/// A variant in its place.
pub(super) struct Column<'a> {
    pub(super) variant: &'a Variant,
    /// Its middle, in widths of a column.
    pub(super) middle: f64,
}

impl<'a> Columns<'a> {
    pub(super) fn of(report: &'a Report) -> Self {
        let groups = groups(&report.variants);
        let has_floors = groups.iter().any(|group| group.len() > 1);
        let mut columns = Self { all: Vec::new(), width: 0.0 };
        for group in groups {
            if has_floors && !columns.all.is_empty() {
                columns.width += BETWEEN;
            }
            for variant in group {
                columns.all.push(Column { variant, middle: columns.width + 0.5 });
                columns.width += 1.0;
            }
        }
        columns
    }

    /// How wide a column is at least, in pixels, so that names and numbers do not overlap.
    pub(super) fn least(&self) -> f64 {
        let words = self.all.iter().flat_map(|column| column.variant.name.split(' '));
        let widest = words.map(|word| text::width(word, SIZE)).fold(0.0, f64::max);
        (widest + BESIDE_NAME).clamp(LEAST, MOST)
    }

    /// Those of the mesh, or those of floors.
    pub(super) fn of_subject(&self, is_floor: bool) -> impl Iterator<Item = &Column<'a>> {
        self.all.iter().filter(move |column| column.is_floor() == is_floor)
    }
}

impl Column<'_> {
    pub(super) fn is_floor(&self) -> bool {
        self.variant.setting.subject == Subject::Floor
    }

    /// Its name in lines for a column of so many pixels.
    pub(super) fn name(&self, width: f64) -> Vec<String> {
        text::wrapped(&self.variant.name, SIZE, width - BESIDE_NAME)
    }
}

/// What belongs together: each variant of the mesh after its floor, if it has one that no other had before; then what is left.
fn groups(variants: &[Variant]) -> Vec<Vec<&Variant>> {
    let is_floor = |variant: &&Variant| variant.setting.subject == Subject::Floor;
    let mut floors: Vec<&Variant> = variants.iter().filter(is_floor).collect();
    let mut groups: Vec<Vec<&Variant>> = Vec::new();
    for variant in variants.iter().filter(|variant| !is_floor(variant)) {
        let to = variant.ratio.as_ref().map(|ratio| ratio.to.as_str());
        let floor = floors.iter().position(|floor| Some(floor.name.as_str()) == to);
        let floor = floor.map(|place| floors.remove(place));
        groups.push(floor.into_iter().chain([variant]).collect());
    }
    groups.extend(floors.into_iter().map(|floor| vec![floor]));
    groups
}
