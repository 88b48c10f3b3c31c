//! The list of rules, for the page about the contract.

use super::rule::{Need, Rule, Severity};

/// A table of all rules.
pub(crate) fn reference() -> String {
    let mut table = "| Rule | | Says | If it is broken | Is tried with |\n|---|---|---|---|---|\n".to_owned();
    for rule in Rule::ALL {
        let facts = rule.facts();
        let severity = match facts.severity {
            Severity::Must => "must",
            Severity::Should => "should",
        };
        let needs: Vec<String> = facts.needs.iter().map(|need| format!("`{}`", Need::flag(*need))).collect();
        let row = [facts.says, facts.mend].map(|text| text.replace('|', "\\|"));
        table.push_str(&format!(
            "| `{}` | {severity} | {} | {} | {} |\n",
            facts.name,
            row[0],
            row[1],
            needs.join(", ")
        ));
    }
    table
}
