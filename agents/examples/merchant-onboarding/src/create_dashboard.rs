//! Service 2: gives the merchant a dashboard and a welcome.

use mesh_agents::{Context, TaskFailure};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    merchant_name: String,
    account_id: String,
}

/// The dashboard.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Dashboard {
    pub(crate) url: String,
    pub(crate) welcome: String,
}

pub(crate) async fn handle(_context: Context, request: Request) -> Result<Dashboard, TaskFailure> {
    Ok(create(&request))
}

fn create(Request { merchant_name, account_id }: &Request) -> Dashboard {
    Dashboard {
        url: format!("https://dashboard.example/{account_id}"),
        welcome: format!("Welcome, {merchant_name}! Your account {account_id} is open."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_merchant_is_welcomed_by_name() {
        let request =
            Request { merchant_name: "Żółta Łódź".to_owned(), account_id: "MERCH_2c0b6e5e".to_owned() };
        let dashboard = create(&request);
        assert_eq!(dashboard.url, "https://dashboard.example/MERCH_2c0b6e5e");
        assert_eq!(dashboard.welcome, "Welcome, Żółta Łódź! Your account MERCH_2c0b6e5e is open.");
    }
}
