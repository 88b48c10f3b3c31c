//! How a picture looks.

/// The style of all classes. The colours of Okabe and Ito are told apart by colour-blind people, too; what has the same kind of
/// colour differs in shape or is named beside it. The background is part of the picture, which is thus readable on any page.
pub(super) const STYLE: &str = "\
text { font-family: system-ui, sans-serif; font-size: 11px; fill: #1f2328; }
.title { font-size: 16px; font-weight: 600; }
.heading { font-size: 13px; font-weight: 600; }
.value { font-weight: 600; }
.tick, .small, .floor-name { fill: #59636e; }
.tiny { font-size: 10px; }
.end { text-anchor: end; }
.middle { text-anchor: middle; }
.back { fill: #ffffff; }
.grid { stroke: #e4e8ec; }
.axis { stroke: #59636e; }
.whisker { stroke: #1f2328; stroke-width: 1.5px; }
.under { stroke: #ffffff; stroke-width: 4.5px; }
.halo { stroke: #ffffff; stroke-width: 4px; stroke-linejoin: round; paint-order: stroke; }
.mesh, .p50 { fill: #0072b2; stroke: #0072b2; }
.floor { fill: #8a8f94; stroke: #8a8f94; }
.p90 { fill: #009e73; stroke: #009e73; }
.p99 { fill: #cc79a7; stroke: #cc79a7; }
.p999 { fill: #d55e00; stroke: #d55e00; }
.server { fill: #0072b2; }
.orchestrator { fill: #e69f00; }
.agents { fill: #009e73; }
.load { fill: #56b4e9; }
.collector { fill: #cc79a7; }
.bar { stroke: none; }
.part { stroke: #ffffff; }
.range { stroke-width: 1.5px; stroke-opacity: 0.35; }
.curve { fill: none; stroke-width: 1.5px; stroke-opacity: 0.75; }
.curve.floor { stroke-dasharray: 3 3; }
.on-bright { fill: #000000; }
.on-dark { fill: #ffffff; }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc; }
.tick, .small, .floor-name { fill: #9198a1; }
.back { fill: #0d1117; }
.grid { stroke: #262c34; }
.axis { stroke: #9198a1; }
.whisker { stroke: #f0f6fc; }
.under, .halo, .part { stroke: #0d1117; }
.mesh, .p50 { fill: #56b4e9; stroke: #56b4e9; }
.floor { fill: #7d848c; stroke: #7d848c; }
.bar { stroke: none; }
.curve { fill: none; }
.on-bright { fill: #000000; }
}
";
