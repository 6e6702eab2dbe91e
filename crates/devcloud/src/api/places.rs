//! Regions, availability zones and the account: there is one of each.

use devcloud_dialect::{
    ApiError, Filters, Xml,
    request::{DescribeAccountAttributes, DescribeAvailabilityZones, DescribeRegions},
};

use super::{actions::Question, service::Service, vpc};

impl Question for DescribeRegions {
    async fn answer(self, service: &Service) -> Result<Xml, ApiError> {
        let region = &service.config.region;
        if let Some(unknown) = self.region_name.iter().find(|name| *name != region) {
            let message = format!("Invalid region name: {unknown}. There is only {region}.");
            return Err(ApiError::new("InvalidParameterValue", message));
        }
        let endpoint = service.config.listen.to_string();
        let filters = Filters::check(self.filter, &["endpoint", "opt-in-status", "region-name"])?;
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
}

impl Question for DescribeAvailabilityZones {
    async fn answer(self, service: &Service) -> Result<Xml, ApiError> {
        let region = &service.config.region;
        let zone = service.config.zone();
        let zone_id = service.config.zone_id();
        for (asked, known) in [(&self.zone_name, &zone), (&self.zone_id, &zone_id)] {
            if let Some(unknown) = asked.iter().find(|one| *one != known) {
                let message = format!("Invalid availability zone: [{unknown}]");
                return Err(ApiError::new("InvalidParameterValue", message));
            }
        }
        let filters = Filters::check(
            self.filter,
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
}

impl Question for DescribeAccountAttributes {
    async fn answer(self, service: &Service) -> Result<Xml, ApiError> {
        let all = [
            ("default-vpc", vpc::vpc_id(&service.ledger.snapshot())),
            // No address is elastic.
            ("max-elastic-ips", "0".to_owned()),
            ("max-instances", service.config.capacity.max_instances.to_string()),
            ("supported-platforms", "VPC".to_owned()),
            ("vpc-max-elastic-ips", "0".to_owned()),
        ];
        let asked = self.attribute_name;
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
}
