//! The merchant, before and after validation.

use serde::{Deserialize, Serialize};

/// What a merchant typed, cleaned: every field may be missing.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Application {
    pub(crate) merchant_name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) business_type: Option<String>,
    /// In the currency that the merchant trades in.
    pub(crate) annual_revenue: Option<f64>,
    pub(crate) years_in_business: Option<f64>,
    pub(crate) business_license: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) tax_id: Option<String>,
    /// The owner's document: its kind and number.
    pub(crate) owner_identity: Option<String>,
}

/// A merchant whose data is sound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Merchant {
    pub(crate) merchant_name: String,
    pub(crate) email: String,
    pub(crate) business_type: String,
    pub(crate) annual_revenue: f64,
    pub(crate) years_in_business: f64,
    pub(crate) business_license: String,
    pub(crate) address: String,
}
