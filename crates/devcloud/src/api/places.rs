//! Regions, availability zones and the account: there is one of each.

use super::{Service, error::ApiError, filters::Filters, parameters::Parameters, xml::Xml};

/// What DescribeRegions knows.
pub(super) const REGIONS: &[&str] = &["AllRegions", "Filter", "RegionName"];

/// What DescribeAvailabilityZones knows.
pub(super) const ZONES: &[&str] = &["AllAvailabilityZones", "Filter", "ZoneId", "ZoneName"];

/// What DescribeAccountAttributes knows.
pub(super) const ATTRIBUTES: &[&str] = &["AttributeName"];

pub(super) fn regions(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    let region = &service.config.region;
    if let Some(unknown) = parameters.list("RegionName")?.iter().find(|name| *name != region) {
        let message = format!("Invalid region name: {unknown}. There is only {region}.");
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    let endpoint = service.config.listen.to_string();
    let filters = Filters::parse(parameters, &["endpoint", "opt-in-status", "region-name"])?;
    let passes = filters.pass(|name| {
        vec![match name {
            "endpoint" => endpoint.clone(),
            "region-name" => region.clone(),
            _ => "opt-in-not-required".to_owned(),
        }]
    });
    let mut xml = Xml::default();
    xml.list("regionInfo", passes.then_some(region), |xml, region| {
        xml.put("regionName", region);
        xml.put("regionEndpoint", &endpoint);
        xml.put("optInStatus", "opt-in-not-required");
    });
    Ok(xml)
}

pub(super) fn zones(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    let region = &service.config.region;
    let zone = service.config.zone();
    let zone_id = format!("{region}-az1");
    for (name, known) in [("ZoneName", &zone), ("ZoneId", &zone_id)] {
        if let Some(unknown) = parameters.list(name)?.iter().find(|asked| *asked != known) {
            let message = format!("Invalid availability zone: [{unknown}]");
            return Err(ApiError::new("InvalidParameterValue", message));
        }
    }
    let filters = Filters::parse(
        parameters,
        &["region-name", "state", "zone-id", "zone-name", "zone-type"],
    )?;
    let passes = filters.pass(|name| {
        vec![match name {
            "region-name" => region.clone(),
            "state" => "available".to_owned(),
            "zone-id" => zone_id.clone(),
            "zone-name" => zone.clone(),
            _ => "availability-zone".to_owned(),
        }]
    });
    let mut xml = Xml::default();
    xml.list("availabilityZoneInfo", passes.then_some(&zone), |xml, zone| {
        xml.put("zoneName", zone);
        xml.put("zoneState", "available");
        xml.put("regionName", region);
        xml.element("messageSet", |_| {});
        xml.put("zoneId", &zone_id);
        xml.put("groupName", region);
        xml.put("optInStatus", "opt-in-not-required");
        xml.put("zoneType", "availability-zone");
    });
    Ok(xml)
}

pub(super) fn attributes(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    let all = [
        ("default-vpc", "none".to_owned()),
        ("max-instances", service.config.capacity.max_instances.to_string()),
        ("supported-platforms", "EC2".to_owned()),
    ];
    let asked = parameters.list("AttributeName")?;
    if let Some(unknown) = asked
        .iter()
        .find(|name| !all.iter().any(|(known, _)| known == name))
    {
        return Err(ApiError::invalid(
            "AttributeName",
            unknown,
            "There is no such attribute.",
        ));
    }
    let found = all
        .iter()
        .filter(|(name, _)| asked.is_empty() || asked.iter().any(|one| one == name));
    let mut xml = Xml::default();
    xml.list("accountAttributeSet", found, |xml, (name, value)| {
        xml.put("attributeName", name);
        xml.list("attributeValueSet", [value], |xml, value| {
            xml.put("attributeValue", value)
        });
    });
    Ok(xml)
}
