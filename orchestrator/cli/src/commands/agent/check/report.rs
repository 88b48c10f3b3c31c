//! What came out of a check, and how it is printed.

use std::collections::BTreeMap;

use mesh_schemas::Capability;
use serde::Serialize;

use super::rule::{Rule, Severity};
use crate::output;

/// Whether an agent keeps a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Kept,
    /// With what was found.
    Broken(String),
    /// It could not be tried, and why.
    Untried(String),
}

/// What a trial found, rule by rule.
#[derive(Debug, Default)]
pub(crate) struct Findings(BTreeMap<Rule, Verdict>);

impl Findings {
    /// Notes what was found about a rule. What was found first counts.
    pub(crate) fn note(&mut self, rule: Rule, verdict: Verdict) {
        self.0.entry(rule).or_insert(verdict);
    }

    /// Notes that a rule is kept, or what was found instead.
    pub(crate) fn judge(&mut self, rule: Rule, judgement: Result<(), String>) {
        self.note(rule, judgement.map_or_else(Verdict::Broken, |()| Verdict::Kept));
    }

    /// Notes that a rule is broken.
    pub(crate) fn broken(&mut self, rule: Rule, found: impl Into<String>) {
        self.note(rule, Verdict::Broken(found.into()));
    }

    /// Notes that a rule could not be tried.
    pub(crate) fn untried(&mut self, rule: Rule, why: impl Into<String>) {
        self.note(rule, Verdict::Untried(why.into()));
    }

    /// Adds what another trial found.
    pub(crate) fn add(&mut self, other: Self) {
        other.0.into_iter().for_each(|(rule, verdict)| self.note(rule, verdict));
    }

    pub(crate) fn get(&self, rule: Rule) -> Option<&Verdict> {
        self.0.get(&rule)
    }
}

/// The document that is printed.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    capability: Capability,
    /// Whether every rule that must be kept, and could be tried, is kept.
    passed: bool,
    counts: Counts,
    rules: Vec<Line>,
}

#[derive(Debug, Default, Serialize)]
struct Counts {
    pass: usize,
    fail: usize,
    warning: usize,
    skipped: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Mark {
    Pass,
    Fail,
    Warning,
    Skipped,
}

/// What is said of one rule.
#[derive(Debug, Serialize)]
struct Line {
    rule: &'static str,
    severity: Severity,
    result: Mark,
    says: String,
    /// What was found, or why the rule was not tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
    /// What to change in the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Report {
    pub(crate) fn new(capability: &Capability, findings: &Findings) -> Self {
        let found = Rule::ALL.iter().filter_map(|rule| Some((*rule, findings.get(*rule)?)));
        let rules: Vec<Line> = found.map(|(rule, verdict)| line(capability, rule, verdict)).collect();
        let mut counts = Counts::default();
        for line in &rules {
            match line.result {
                Mark::Pass => counts.pass += 1,
                Mark::Fail => counts.fail += 1,
                Mark::Warning => counts.warning += 1,
                Mark::Skipped => counts.skipped += 1,
            }
        }
        Self { capability: capability.clone(), passed: counts.fail == 0, counts, rules }
    }

    pub(crate) fn passed(&self) -> bool {
        self.passed
    }

    /// For people: a line for each rule that was tried, with what to do below those that are not kept. Rules that were
    /// not tried for the same reason share a line.
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        let mut skipped: Vec<(&str, Vec<&str>)> = Vec::new();
        for line in &self.rules {
            let word = match line.result {
                Mark::Pass => "pass",
                Mark::Fail => "FAIL",
                Mark::Warning => "warn",
                Mark::Skipped => {
                    let why = line.found.as_deref().unwrap_or_default();
                    match skipped.iter_mut().find(|(reason, _)| *reason == why) {
                        Some((_, rules)) => rules.push(line.rule),
                        None => skipped.push((why, vec![line.rule])),
                    }
                    continue;
                }
            };
            output::line(&format!("{word}  {:18}  {}", line.rule, line.says))?;
            for (what, text) in [("found", &line.found), ("mend", &line.mend)] {
                if let Some(text) = text {
                    output::line(&format!("{:26}{:7}{text}", "", format!("{what}:")))?;
                }
            }
        }
        for (why, rules) in skipped {
            output::line(&format!("skip  {}: {why}", rules.join(", ")))?;
        }
        let Counts { pass, fail, warning, skipped } = self.counts;
        let counts = format!("{pass} passed, {fail} failed, {warning} warned of, {skipped} skipped");
        output::line(&format!("\n{counts}"))?;
        Ok(())
    }
}

fn line(capability: &Capability, rule: Rule, verdict: &Verdict) -> Line {
    let facts = rule.facts();
    let named = |text: &str| text.replace("{capability}", capability.as_str());
    let (result, found) = match verdict {
        Verdict::Kept => (Mark::Pass, None),
        Verdict::Broken(found) if facts.severity == Severity::Must => (Mark::Fail, Some(found)),
        Verdict::Broken(found) => (Mark::Warning, Some(found)),
        Verdict::Untried(why) => (Mark::Skipped, Some(why)),
    };
    let mend = matches!(verdict, Verdict::Broken(_)).then(|| named(facts.mend));
    Line {
        rule: facts.name,
        severity: facts.severity,
        result,
        says: named(facts.says),
        found: found.cloned(),
        mend,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rules_that_must_be_kept_fail_a_check() {
        let capability = Capability::new("c").unwrap();
        let report = |rule| {
            let mut findings = Findings::default();
            findings.broken(rule, "this");
            findings.judge(Rule::Acks, Ok(()));
            findings.untried(Rule::Reconnects, "that");
            Report::new(&capability, &findings)
        };
        assert!(!report(Rule::TakesWork).passed());
        assert!(report(Rule::Registered).passed());
        let line = &report(Rule::TakesWork).rules[0];
        assert!(line.mend.as_ref().unwrap().contains("agent-c-normal"), "{line:?}");
    }
}
