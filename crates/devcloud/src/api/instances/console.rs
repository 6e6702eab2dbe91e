//! GetConsoleOutput: the last 64 KiB of what the machine wrote.

use base64::{Engine, engine::general_purpose::STANDARD};
use time::OffsetDateTime;

use super::{find_one, view};
use crate::{
    Error,
    api::{Service, error::ApiError, parameters::Parameters, xml::Xml},
};

/// What GetConsoleOutput knows.
pub(in crate::api) const PARAMETERS: &[&str] = &["InstanceId", "Latest"];

/// EC2's limit.
const MOST: usize = 64 * 1024;

pub(in crate::api) async fn get(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    // Old clients send a list of one.
    let listed = parameters.list("InstanceId")?;
    let id = match listed.first() {
        Some(id) => id.as_str(),
        None => parameters.required("InstanceId")?,
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
