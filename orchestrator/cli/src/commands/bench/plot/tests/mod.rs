mod reader;
mod sample;

use super::super::figures::{Measure, Spread};
use super::super::report::Report;
use super::super::workload::Workload;
use super::columns::Columns;
use super::page::document;
use super::svg::escaped;
use reader::{Element, elements};
use sample::NINE;
pub(super) use sample::report;

/// Draws a report, and looks whether it is well-formed, whole, and inside its frame.
fn drawn(report: &Report) -> String {
    let document = document(report);
    assert!(!document.contains("NaN") && !document.contains("inf\""), "{document}");
    let elements = elements(&document);
    let size =
        elements[0].attributes["viewBox"].split(' ').map(|number| number.parse::<f64>().expect("a number"));
    let [_, _, width, height] = size.collect::<Vec<_>>()[..] else { panic!("no size: {document}") };
    for element in &elements {
        for (x, y) in element.reaches() {
            let is_inside = (0.0..=width).contains(&x) && (0.0..=height).contains(&y);
            assert!(is_inside, "({x}, {y}) of {} {:?} is outside", element.name, element.attributes);
        }
    }
    let description = elements.iter().find(|element| element.name == "desc").expect("a description");
    for variant in &report.variants {
        assert!(description.text.contains(&escaped(&format!("{}: ", variant.name))), "{document}");
        // Of a long word only the beginning is shown.
        let beginning: String = variant.name.split(' ').next().unwrap_or_default().chars().take(8).collect();
        let is_below = |element: &Element| element.text.starts_with(&escaped(&beginning));
        assert!(!document.contains("heading\"") || elements.iter().any(is_below), "{beginning}: {document}");
    }
    document
}

#[test]
fn the_mesh_is_beside_its_floor() {
    let document = drawn(&report(&["floor", "mesh"]));
    for words in [
        "chain-3, 512 bytes of text, 256 in flight, 3 rounds of 10 s",
        "0.78 of the floor",
        "Warning: ",
        "&lt;Processor&gt;",
    ] {
        assert!(document.contains(words), "{words}: {document}");
    }
    assert_eq!(document.matches(r#"<rect class="floor bar""#).count(), 1);
    assert_eq!(document.matches(r#"<rect class="mesh bar""#).count(), 1);
    assert_eq!(document.matches("<polyline ").count(), 0);
    assert_eq!(document.matches(r#"class="heading""#).count(), 3);
    let alone = drawn(&report(&["mesh"]));
    assert!(!alone.contains(" of the floor") && !alone.contains("bare loop"), "{alone}");
}

#[test]
fn several_variants_are_a_series() {
    let document = drawn(&report(&NINE));
    // A curve for each quantile, of the mesh and of floors.
    assert_eq!(document.matches("<polyline ").count(), 8);
    assert_eq!(document.matches(r#"<rect class="mesh bar""#).count(), 5);
    assert_eq!(document.matches(", 0.78 of the floor, ").count(), 5);
    let names: Vec<String> = (1..=16).map(|number| format!("orchestrators {number}")).collect();
    drawn(&report(&names.iter().map(String::as_str).collect::<Vec<_>>()));
}

#[test]
fn floors_come_before_what_is_compared_with_them_in_the_order_of_the_variants() {
    let report = report(&["b", "a", "a floor", "b floor", "c floor"]);
    let names: Vec<&str> =
        Columns::of(&report).all.iter().map(|column| column.variant.name.as_str()).collect();
    assert_eq!(names, ["b floor", "b", "a floor", "a", "c floor"]);
}

#[test]
fn what_is_not_known_is_left_out() {
    let is_cpu = |measure: &Measure| *measure >= Measure::ServerCpu;
    let mut report = report(&["floor", "mesh"]);
    report.variants[1].figures.retain(|measure, _| !is_cpu(measure));
    assert_eq!(drawn(&report).matches("not known").count(), 1);
    report.variants[0].figures.retain(|measure, _| !is_cpu(measure));
    assert!(!drawn(&report).contains("CPU time"));
    for spread in report.variants[0].figures.values_mut() {
        *spread = Spread { median: f64::NAN, least: 0.0, most: f64::INFINITY };
    }
    drawn(&report);
    for variant in &mut report.variants {
        variant
            .figures
            .values_mut()
            .for_each(|spread| *spread = Spread { median: 0.0, least: 0.0, most: 0.0 });
    }
    drawn(&report);
    report.variants.iter_mut().for_each(|variant| variant.figures.clear());
    assert!(drawn(&report).contains("mesh: no figures."));
    report.variants.clear();
    drawn(&report);
}

#[test]
fn names_are_text() {
    drawn(&report(&["<&>", "a < b & \"c\" > d", "extraordinarily-long-names-of-variants-too"]));
}

#[test]
fn what_differs_is_left_to_the_names() {
    let mut report = report(&["chain-3", "one"]);
    report.variants[1].setting.workload = Workload::One;
    report.variants[1].setting.agents = 8;
    let document = drawn(&report);
    assert!(document.contains("mesh bench: 512 bytes of text, 256 in flight"), "{document}");
    assert!(document.contains(">1 orchestrator, 100 tasks at once of each, 1 capability"), "{document}");
}
