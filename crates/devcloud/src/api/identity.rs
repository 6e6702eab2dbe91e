//! Who the caller is: the one account, and its one user, who is the account itself.

use devcloud_dialect::{
    ApiError, Xml,
    request::{GetCallerIdentity, GetUser},
};

use super::{actions::Question, service::Service};

impl Question for GetCallerIdentity {
    async fn answer(self, service: &Service) -> Result<Xml, ApiError> {
        let account = &service.ledger.snapshot().owner_id;
        let mut xml = Xml::default();
        xml.put("Arn", arn(account));
        xml.put("UserId", account);
        xml.put("Account", account);
        Ok(xml)
    }
}

impl Question for GetUser {
    async fn answer(self, service: &Service) -> Result<Xml, ApiError> {
        if let Some(name) = self.user_name {
            let message = format!("The user with name {name} cannot be found.");
            let error = ApiError::new("NoSuchEntity", message);
            return Err(error.with_status(poem::http::StatusCode::NOT_FOUND));
        }
        let account = &service.ledger.snapshot().owner_id;
        let mut xml = Xml::default();
        xml.element("User", |xml| {
            xml.put("Path", "/");
            xml.put("UserName", "root");
            xml.put("UserId", account);
            xml.put("Arn", arn(account));
            // The account has no date of its own; it is as old as the images.
            xml.put("CreateDate", "2024-01-01T00:00:00Z");
        });
        Ok(xml)
    }
}

fn arn(account: &str) -> String {
    format!("arn:aws:iam::{account}:root")
}
