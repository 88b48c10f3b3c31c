//! What processes of the mesh count and measure of themselves.
//!
//! Each metric is a value of [`table`], which says what it is called and how it is recorded:
//!
//! ```
//! use mesh_telemetry::metrics::table::RUNS_STARTED;
//!
//! RUNS_STARTED.add(1, ["orders"]);
//! ```
//!
//! Nothing is recorded, at the cost of one branch, unless metrics are sent by OTLP or an endpoint tells them.

mod collect;
mod document;
mod instrument;
mod labels;
pub mod table;
mod text;

pub use collect::{collect, is_collected, metrics};
pub(crate) use collect::{export, shutdown};
pub use document::document;
pub use instrument::{About, BOUNDS, By, Counter, Gauge, Histogram, Kind, Metric, elapsed};
pub use labels::{MOST_VALUES, OTHER, Seen};
pub use text::CONTENT_TYPE;
