//! GetConsoleOutput: the last 64 KiB of what the machine wrote.

use base64::{Engine, engine::general_purpose::STANDARD};
use time::OffsetDateTime;

use devcloud_dialect::{ApiError, Xml, request::GetConsoleOutput};

use super::{find_one, view};
use crate::{
    Error,
    api::{actions::Question, service::Service},
};

/// EC2's limit.
const MOST: usize = 64 * 1024;

impl Question for GetConsoleOutput {
    async fn answer(self, service: &Service) -> Result<Xml, ApiError> {
        let [id] = self.instance_id.as_slice() else {
            return Err(match self.instance_id.first() {
                None => ApiError::missing("InstanceId"),
                Some(_) => ApiError::new(
                    "InvalidParameterCombination",
                    "One instance can be asked for at once",
                ),
            });
        };
        let state = service.ledger.snapshot();
        let instance = find_one(&state, id)?;
        let output = service
            .machines
            .console_output(&instance.id, MOST)
            .await
            .map_err(|source| Error::Machines {
                action: "read the console",
                source,
            })?;
        let mut xml = Xml::default();
        xml.put("instanceId", &instance.id);
        xml.put("timestamp", view::timestamp(OffsetDateTime::now_utc()));
        xml.put("output", STANDARD.encode(output));
        Ok(xml)
    }
}
