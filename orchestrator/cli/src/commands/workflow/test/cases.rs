use mesh_orchestrator::definitions::Known;
use mesh_orchestrator::rehearsal::cases::{self, Case, CaseReport, Cases};

use super::Source;
use crate::output;
use crate::text;
use crate::unknown::unknown;
use crate::words::count;

/// Plays every case, or those of the names.
pub(super) fn test(known: &Known, cases: &Cases, names: &[String]) -> anyhow::Result<Vec<CaseReport>> {
    for name in names {
        if cases.cases.iter().all(|case| case.name != *name) {
            let there = cases.cases.iter().map(|case| case.name.as_str());
            return Err(unknown("case", name, there, "the file has none"));
        }
    }
    let is_chosen = |case: &&Case| names.is_empty() || names.contains(&case.name);
    let chosen = cases.cases.iter().filter(is_chosen);
    Ok(chosen.map(|case| cases::test(known, cases, case)).collect::<Result<_, _>>()?)
}

/// Prints a line for each case, and one for each thing that is not as expected.
pub(super) fn print(source: &Source, cases: &[CaseReport]) -> anyhow::Result<()> {
    for case in cases {
        output::line(&format!("{:6}  {}", if case.passed { "ok" } else { "FAILED" }, case.name))?;
        for finding in &case.findings {
            let place = match (finding.line, finding.column) {
                (Some(line), Some(column)) => format!("{source}:{line}:{column}"),
                _ => source.to_string(),
            };
            output::line(&format!(
                "        {place}: {}: {}",
                finding.path,
                text::one_line(&finding.message)
            ))?;
        }
    }
    let failed = cases.iter().filter(|case| !case.passed).count();
    let passed = cases.len() - failed;
    let words = if failed == 0 { format!("{passed} ok") } else { format!("{passed} ok, {failed} failed") };
    Ok(output::line(&format!("{}: {words}", count(cases.len() as u64, "case")))?)
}
