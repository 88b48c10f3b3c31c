//! May we do business with them? An answer of "no" is a result, not an error.

use mesh_agents::{Context, TaskFailure};
use serde::{Deserialize, Serialize};

use crate::merchant::Application;

/// A merchant with at least this many of the 100 points is compliant. Every check but the one on privacy is worth
/// more than what may be missing, so each of them alone can turn a merchant down.
const COMPLIANT_POINTS: u32 = 80;
/// Trades that we do not serve.
const PROHIBITED: [&str; 5] = ["gambling", "weapons", "tobacco", "adult", "crypto mixing"];
/// A younger business that takes in more than this in a year needs an explanation.
const YOUNG_YEARS: f64 = 1.0;
const MOST_REVENUE_OF_YOUNG: f64 = 50_000_000.0;

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Compliance {
    pub(crate) compliant: bool,
    /// From 0 to 1.
    pub(crate) score: f64,
    /// What counts against the merchant, `<check>: <why>`.
    pub(crate) findings: Vec<String>,
}

pub(crate) async fn handle(_context: Context, merchant: Application) -> Result<Compliance, TaskFailure> {
    Ok(check(&merchant))
}

fn check(merchant: &Application) -> Compliance {
    // Know your customer; against money laundering; privacy; industry: name, points, what is wrong.
    let checks = [
        ("tax_id", 22, missing(merchant.tax_id.as_deref())),
        ("owner_identity", 22, missing(merchant.owner_identity.as_deref())),
        ("anti_money_laundering", 23, implausible_revenue(merchant)),
        ("industry", 23, prohibited(merchant.business_type.as_deref())),
        ("privacy", 10, social_security_number(merchant.tax_id.as_deref())),
    ];
    let points: u32 =
        checks.iter().filter(|(_, _, finding)| finding.is_none()).map(|(_, points, _)| points).sum();
    let findings = checks
        .iter()
        .filter_map(|(name, _, finding)| Some(format!("{name}: {}", finding.as_ref()?)))
        .collect();
    Compliance { compliant: points >= COMPLIANT_POINTS, score: f64::from(points) / 100.0, findings }
}

fn missing(value: Option<&str>) -> Option<String> {
    value.is_none().then(|| "missing".to_owned())
}

fn implausible_revenue(merchant: &Application) -> Option<String> {
    let (revenue, years) = (merchant.annual_revenue?, merchant.years_in_business?);
    (years < YOUNG_YEARS && revenue > MOST_REVENUE_OF_YOUNG)
        .then(|| format!("a revenue of {revenue} after {years} years in business is not plausible"))
}

fn prohibited(business_type: Option<&str>) -> Option<String> {
    PROHIBITED
        .into_iter()
        .find(|trade| business_type == Some(trade))
        .map(|trade| format!("we do not serve the trade '{trade}'"))
}

/// A tax id in the form 123-45-6789 is a person's, which we may not keep.
fn social_security_number(tax_id: Option<&str>) -> Option<String> {
    let parts: Vec<&str> = tax_id?.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    (lengths == [3, 2, 4] && parts.concat().bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| "the tax id is a person's social security number".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merchant() -> Application {
        Application {
            business_type: Some("bookshop".to_owned()),
            annual_revenue: Some(480_000.0),
            years_in_business: Some(12.0),
            tax_id: Some("GB 847 2291 06".to_owned()),
            owner_identity: Some("passport:533401287".to_owned()),
            ..Application::default()
        }
    }

    fn findings(change: impl FnOnce(&mut Application)) -> (bool, Vec<String>) {
        let mut merchant = merchant();
        change(&mut merchant);
        let Compliance { compliant, findings, .. } = check(&merchant);
        (compliant, findings)
    }

    #[test]
    fn a_merchant_without_findings_has_the_full_score() {
        let Compliance { compliant, score, findings } = check(&merchant());
        assert!(compliant && findings.is_empty());
        assert_eq!(score, 1.0);
    }

    #[test]
    fn each_of_these_alone_turns_a_merchant_down() {
        type Change = fn(&mut Application);
        let changes: [(&str, Change); 4] = [
            ("tax_id", |merchant| merchant.tax_id = None),
            ("owner_identity", |merchant| merchant.owner_identity = None),
            ("industry", |merchant| merchant.business_type = Some("weapons".to_owned())),
            ("anti_money_laundering", |merchant| {
                merchant.annual_revenue = Some(95e6);
                merchant.years_in_business = Some(0.2);
            }),
        ];
        for (name, change) in changes {
            let (compliant, findings) = findings(change);
            assert!(!compliant, "{name}");
            assert!(matches!(&findings[..], [finding] if finding.starts_with(name)), "{findings:?}");
        }
    }

    #[test]
    fn a_persons_tax_id_is_noted_and_accepted() {
        let (compliant, findings) = findings(|merchant| merchant.tax_id = Some("123-45-6789".to_owned()));
        assert!(compliant);
        assert_eq!(findings, ["privacy: the tax id is a person's social security number"]);
    }

    #[test]
    fn missing_numbers_say_nothing_about_money_laundering() {
        let (compliant, findings) = findings(|merchant| merchant.annual_revenue = None);
        assert!(compliant && findings.is_empty());
    }
}
