//! GetConsoleOutput: the last 64 KiB of what the machine wrote.

use base64::{Engine, engine::general_purpose::STANDARD};
use time::OffsetDateTime;

use devcloud_dialect::{ApiError, Xml, request::GetConsoleOutput};

use super::{find_one, view};
use crate::{
    Error,
    api::actions::{Call, Listing},
};

/// EC2's limit.
const MOST: usize = 64 * 1024;

impl Listing for GetConsoleOutput {
    async fn list(self, call: Call<'_>) -> Result<Xml, ApiError> {
        let service = call.service;
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
        let mut output = service
            .machines
            .console_output(&instance.id, MOST)
            .await
            .map_err(|source| Error::Machines {
                action: "read the console",
                source,
            })?;
        if let Some(bytes) = call.work.console() {
            output.truncate(bytes);
        }
        let mut xml = Xml::default();
        xml.put("instanceId", &instance.id);
        xml.put("timestamp", view::timestamp(OffsetDateTime::now_utc()));
        xml.put("output", STANDARD.encode(output));
        Ok(xml)
    }
}
