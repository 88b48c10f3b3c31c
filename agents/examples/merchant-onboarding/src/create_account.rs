//! Service 1: opens the account.

use mesh_agents::{Context, TaskFailure};
use serde::{Deserialize, Serialize};

use crate::merchant::Merchant;
use crate::risk::{Level, Risk};

/// Digits of the run's uuid in an account id.
const ID_DIGITS: usize = 8;
/// Share of a year's revenue that an account may move in a month, by risk.
const LIMIT_LOW: f64 = 0.25;
const LIMIT_MEDIUM: f64 = 0.10;

#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    merchant: Merchant,
    risk: Risk,
}

/// The account.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) account_id: String,
    /// Where notices about the account go.
    pub(crate) contact: String,
    /// In the currency that the merchant trades in.
    pub(crate) monthly_limit: f64,
}

pub(crate) async fn handle(context: Context, request: Request) -> Result<Account, TaskFailure> {
    Ok(open(&context.run().uuid().to_string(), request))
}

/// The id is a function of the run: however often the task is executed, it is the same account.
fn open(run: &str, Request { merchant, risk }: Request) -> Account {
    let digits: String = run.chars().take(ID_DIGITS).collect();
    let share = match risk.level {
        Level::Low => LIMIT_LOW,
        Level::Medium => LIMIT_MEDIUM,
    };
    Account {
        account_id: format!("MERCH_{digits}"),
        contact: merchant.email,
        monthly_limit: (merchant.annual_revenue * share).round(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_id_comes_from_the_run_and_the_limit_from_the_risk() {
        let account = |level| {
            let merchant = Merchant {
                merchant_name: "Harbour Lane Books".to_owned(),
                email: "orders@harbourlanebooks.example".to_owned(),
                business_type: "bookshop".to_owned(),
                annual_revenue: 480_000.0,
                years_in_business: 12.0,
                business_license: "BL-2013-00417".to_owned(),
                address: "14 Harbour Lane, Bristol".to_owned(),
            };
            open(
                "2c0b6e5e-6d1f-5f43-9d0e-6f2a3b0c9a11",
                Request { merchant, risk: Risk { score: 0.9, level } },
            )
        };
        assert_eq!(account(Level::Low).account_id, "MERCH_2c0b6e5e");
        assert_eq!(account(Level::Low).monthly_limit, 120_000.0);
        assert_eq!(account(Level::Medium).monthly_limit, 48_000.0);
    }
}
