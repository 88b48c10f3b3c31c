//! Is the data sound? All that is wrong is told at once, and as a fatal error: the same data will not be better
//! the next time.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use mesh_agents::{Context, TaskFailure};
use serde::Deserialize;

use crate::merchant::{Application, Merchant};

/// An address of up to this many characters cannot be a whole one.
const TOO_SHORT_ADDRESS: usize = 10;
/// No company on Earth takes in more in a year.
const REVENUE: RangeInclusive<f64> = 0.0..=1e12;
/// The oldest company there is was founded in 578.
const YEARS: RangeInclusive<f64> = 0.0..=1_500.0;

/// What preprocessing hands on.
#[derive(Debug, Deserialize)]
pub(crate) struct Preprocessed {
    merchant: Application,
    /// By field, what could not be understood; the field itself is then missing.
    problems: BTreeMap<String, String>,
}

pub(crate) async fn handle(_context: Context, input: Preprocessed) -> Result<Merchant, TaskFailure> {
    validate(input).map_err(|reasons| TaskFailure::fatal("invalid_merchant", reasons.to_string()))
}

fn validate(input: Preprocessed) -> Result<Merchant, Reasons> {
    let Application {
        merchant_name,
        email,
        business_type,
        annual_revenue,
        years_in_business,
        business_license,
        address,
        // Whether these are needed is for compliance to say.
        tax_id: _,
        owner_identity: _,
    } = input.merchant;
    let mut reasons = Reasons(input.problems);
    let any = |_: &str| None;
    let mail = |text: &str| (!is_email(text)).then_some("is not an e-mail address");
    let whole =
        |text: &str| (text.chars().count() <= TOO_SHORT_ADDRESS).then_some("is too short for an address");
    let merchant = Merchant {
        merchant_name: reasons.text("merchant_name", merchant_name, any),
        email: reasons.text("email", email, mail),
        business_type: reasons.text("business_type", business_type, any),
        annual_revenue: reasons.number("annual_revenue", annual_revenue, REVENUE),
        years_in_business: reasons.number("years_in_business", years_in_business, YEARS),
        business_license: reasons.text("business_license", business_license, any),
        address: reasons.text("address", address, whole),
    };
    if reasons.0.is_empty() { Ok(merchant) } else { Err(reasons) }
}

/// Why a merchant's data is not sound, by field. While there are any, the values returned mean nothing.
#[derive(Debug)]
struct Reasons(BTreeMap<String, String>);

impl Reasons {
    fn text(
        &mut self,
        field: &str,
        value: Option<String>,
        fault: fn(&str) -> Option<&'static str>,
    ) -> String {
        let value = self.present(field, value);
        if let Some(fault) = fault(&value) {
            self.note(field, format!("'{value}' {fault}"));
        }
        value
    }

    fn number(&mut self, field: &str, value: Option<f64>, sound: RangeInclusive<f64>) -> f64 {
        let value = self.present(field, value);
        if !sound.contains(&value) {
            self.note(field, format!("{value} is not between {} and {}", sound.start(), sound.end()));
        }
        value
    }

    fn present<T: Default>(&mut self, field: &str, value: Option<T>) -> T {
        value.unwrap_or_else(|| {
            self.note(field, "missing".to_owned());
            T::default()
        })
    }

    /// The first thing known to be wrong with a field explains the others.
    fn note(&mut self, field: &str, reason: String) {
        self.0.entry(field.to_owned()).or_insert(reason);
    }
}

impl std::fmt::Display for Reasons {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, (field, reason)) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{field}: {reason}")?;
        }
        Ok(())
    }
}

/// Whether a text has the form of an address that mail can be sent to; any script may be used in it.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let labels: Vec<&str> = domain.split('.').collect();
    !local.is_empty()
        && labels.len() > 1
        && labels.iter().all(|label| !label.is_empty())
        && !text.chars().any(char::is_whitespace)
        && !domain.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Preprocessed {
        let text = |text: &str| Some(text.to_owned());
        let merchant = Application {
            merchant_name: text("株式会社さくら茶房"),
            email: text("contact@sakura-sabo.example"),
            business_type: text("喫茶店"),
            annual_revenue: Some(52_000_000.0),
            years_in_business: Some(18.0),
            business_license: text("東京-渋-2008-1187"),
            address: text("東京都渋谷区神南一丁目2番3号"),
            ..Application::default()
        };
        Preprocessed { merchant, problems: BTreeMap::new() }
    }

    fn reasons(change: impl FnOnce(&mut Preprocessed)) -> String {
        let mut input = sound();
        change(&mut input);
        validate(input).expect_err("the data is not sound").to_string()
    }

    #[test]
    fn sound_data_passes_unchanged() {
        let merchant = validate(sound()).expect("the data is sound");
        assert_eq!(merchant.merchant_name, "株式会社さくら茶房");
        assert_eq!(merchant.years_in_business, 18.0);
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let reasons = reasons(|input| input.merchant = Application::default());
        for field in
            ["merchant_name", "email", "business_type", "annual_revenue", "business_license", "address"]
        {
            assert!(reasons.contains(&format!("{field}: missing")), "{reasons}");
        }
    }

    #[test]
    fn what_could_not_be_understood_is_not_called_missing() {
        let reasons = reasons(|input| {
            input.merchant.annual_revenue = None;
            input.problems.insert("annual_revenue".to_owned(), "'lots' is not a number".to_owned());
        });
        assert_eq!(reasons, "annual_revenue: 'lots' is not a number");
    }

    #[test]
    fn an_address_is_measured_in_characters_not_bytes() {
        let address = |text: &str| {
            let mut input = sound();
            input.merchant.address = Some(text.to_owned());
            validate(input).is_ok()
        };
        assert!(!address("京都市東山区祇園町南側"[..30].trim()), "ten characters, thirty bytes");
        assert!(address("京都市東山区祇園町南側"), "eleven characters");
    }

    #[test]
    fn absurd_numbers_are_refused() {
        assert!(
            reasons(|input| input.merchant.annual_revenue = Some(-1.0)).starts_with("annual_revenue: -1")
        );
        assert!(reasons(|input| input.merchant.annual_revenue = Some(1e15)).starts_with("annual_revenue"));
        assert!(
            reasons(|input| input.merchant.years_in_business = Some(1e5)).starts_with("years_in_business")
        );
    }

    #[test]
    fn email_addresses() {
        for address in ["a@b.example", "günther@müßig.example", "first.last+tag@sub.shop.example"] {
            assert!(is_email(address), "{address}");
        }
        for text in
            ["", "a", "a@", "@b.example", "a@b", "a@@b.example", "a@b@c.example", "a b@c.example", "a@b..c"]
        {
            assert!(!is_email(text), "{text}");
        }
    }
}
