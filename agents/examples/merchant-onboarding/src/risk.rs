//! How much of a risk is the merchant?

use mesh_agents::{Context, TaskFailure};
use serde::{Deserialize, Serialize};

use crate::merchant::Merchant;

/// The score begins here; it is counted in tenths so that 0.5 + 0.2 is 0.7 and not a little more.
const BASE_TENTHS: u32 = 5;
const BONUS_TENTHS: u32 = 2;
/// More years than this earn the bonus.
const SETTLED_YEARS: f64 = 2.0;
/// More revenue than this earns it too.
const SOLID_REVENUE: f64 = 100_000.0;
/// A higher score means a low risk.
const LOW_RISK_TENTHS: u32 = 7;

/// The assessment.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Risk {
    /// From 0 to 1, higher is better.
    pub(crate) score: f64,
    pub(crate) level: Level,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    Low,
    Medium,
}

pub(crate) async fn handle(_context: Context, merchant: Merchant) -> Result<Risk, TaskFailure> {
    Ok(assess(&merchant))
}

fn assess(merchant: &Merchant) -> Risk {
    let settled = merchant.years_in_business > SETTLED_YEARS;
    let solid = merchant.annual_revenue > SOLID_REVENUE;
    let tenths = BASE_TENTHS + BONUS_TENTHS * (u32::from(settled) + u32::from(solid));
    let level = if tenths > LOW_RISK_TENTHS { Level::Low } else { Level::Medium };
    Risk { score: f64::from(tenths) / 10.0, level }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn risk(years_in_business: f64, annual_revenue: f64) -> Risk {
        assess(&Merchant {
            merchant_name: "Harbour Lane Books".to_owned(),
            email: "orders@harbourlanebooks.example".to_owned(),
            business_type: "bookshop".to_owned(),
            annual_revenue,
            years_in_business,
            business_license: "BL-2013-00417".to_owned(),
            address: "14 Harbour Lane, Bristol".to_owned(),
        })
    }

    #[test]
    fn only_both_bonuses_make_the_risk_low() {
        assert_eq!(risk(12.0, 480_000.0), Risk { score: 0.9, level: Level::Low });
        assert_eq!(risk(12.0, 64_000.0), Risk { score: 0.7, level: Level::Medium });
        assert_eq!(risk(0.5, 480_000.0), Risk { score: 0.7, level: Level::Medium });
        assert_eq!(risk(0.0, 0.0), Risk { score: 0.5, level: Level::Medium });
    }

    #[test]
    fn the_limits_themselves_earn_nothing() {
        assert_eq!(risk(2.0, 100_000.0), Risk { score: 0.5, level: Level::Medium });
    }
}
