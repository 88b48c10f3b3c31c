//! The answer to the merchant, approved or rejected.

use mesh_agents::{Context, TaskFailure};
use serde::{Deserialize, Serialize};

use crate::compliance::Compliance;
use crate::create_account::Account;
use crate::create_dashboard::Dashboard;
use crate::risk::{Level, Risk};

/// What the other tasks found; those that were skipped are null.
#[derive(Debug, Deserialize)]
pub(crate) struct Findings {
    merchant_name: String,
    compliance: Compliance,
    risk: Option<Risk>,
    account: Option<Account>,
    dashboard: Option<Dashboard>,
}

/// The answer.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub(crate) enum Answer {
    Approved {
        merchant_name: String,
        account_id: String,
        monthly_limit: f64,
        contact: String,
        risk_level: Level,
        risk_score: f64,
        dashboard_url: String,
        welcome: String,
        notes: Vec<String>,
    },
    Rejected {
        merchant_name: String,
        compliance_score: f64,
        reasons: Vec<String>,
    },
}

pub(crate) async fn handle(_context: Context, findings: Findings) -> Result<Answer, TaskFailure> {
    answer(findings).ok_or_else(|| {
        TaskFailure::fatal("inconsistent", "compliance agreed, but risk, account or dashboard is missing")
    })
}

fn answer(Findings { merchant_name, compliance, risk, account, dashboard }: Findings) -> Option<Answer> {
    if !compliance.compliant {
        let Compliance { score: compliance_score, findings: reasons, .. } = compliance;
        return Some(Answer::Rejected { merchant_name, compliance_score, reasons });
    }
    let (risk, account, dashboard) = (risk?, account?, dashboard?);
    Some(Answer::Approved {
        merchant_name,
        account_id: account.account_id,
        monthly_limit: account.monthly_limit,
        contact: account.contact,
        risk_level: risk.level,
        risk_score: risk.score,
        dashboard_url: dashboard.url,
        welcome: dashboard.welcome,
        notes: compliance.findings,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answer_to(findings: Value) -> Option<Value> {
        let findings = serde_json::from_value(findings).expect("findings");
        answer(findings).map(|answer| serde_json::to_value(answer).expect("JSON"))
    }

    #[test]
    fn a_merchant_that_compliance_turns_down_gets_the_reasons() {
        let answer = answer_to(json!({
            "merchant_name": "Nobody's Boutique",
            "compliance": {"compliant": false, "score": 0.78, "findings": ["owner_identity: missing"]},
            "risk": null, "account": null, "dashboard": null,
        }));
        let expected = json!({
            "status": "rejected", "merchant_name": "Nobody's Boutique",
            "compliance_score": 0.78, "reasons": ["owner_identity: missing"],
        });
        assert_eq!(answer, Some(expected));
    }

    #[test]
    fn an_approved_merchant_gets_an_account_and_a_dashboard() {
        let answer = answer_to(json!({
            "merchant_name": "Harbour Lane Books",
            "compliance": {"compliant": true, "score": 1.0, "findings": []},
            "risk": {"score": 0.9, "level": "low"},
            "account": {"account_id": "MERCH_2c0b6e5e", "contact": "orders@harbourlanebooks.example",
                "monthly_limit": 120_000.0},
            "dashboard": {"url": "https://dashboard.example/MERCH_2c0b6e5e", "welcome": "Welcome!"},
        }))
        .expect("an answer");
        assert_eq!(answer["status"], "approved");
        assert_eq!(answer["account_id"], "MERCH_2c0b6e5e");
        assert_eq!(answer["risk_level"], "low");
    }

    #[test]
    fn an_approval_without_an_account_is_no_answer() {
        let answer = answer_to(json!({
            "merchant_name": "Harbour Lane Books",
            "compliance": {"compliant": true, "score": 1.0, "findings": []},
            "risk": {"score": 0.9, "level": "low"}, "account": null, "dashboard": null,
        }));
        assert_eq!(answer, None);
    }
}
