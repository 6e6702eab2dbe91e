//! DescribeInstanceTypes, in Amazon's form and in Eucalyptus's own, and DescribeInstanceTypeOfferings.

use devcloud_dialect::{
    ApiError, Filters, Page, Xml,
    request::{DescribeInstanceTypeOfferings, DescribeInstanceTypes},
};

use super::{actions::Question, service::Service};
use crate::instance_types::{InstanceType, TYPES, find};

/// The namespace of Eucalyptus's own answers, which its clients look for.
const EUCALYPTUS: &str = "http://msgs.eucalyptus.com/3.3.0";

/// Eucalyptus gives types a disk; here every instance shares the host's. What it says by default.
const EUCALYPTUS_DISK: u32 = 10;

impl Question for DescribeInstanceTypes {
    async fn answer(self, service: &Service) -> Result<Xml, ApiError> {
        let names = self.instance_type;
        if let Some(unknown) = names.iter().find(|name| find(name).is_none()) {
            let message = format!("The following supplied instance types do not exist: [{unknown}]");
            return Err(ApiError::new("InvalidInstanceType", message));
        }
        let filters = Filters::check(
            self.filter,
            &[
                "bare-metal",
                "burstable-performance-supported",
                "current-generation",
                "hypervisor",
                "instance-type",
                "processor-info.supported-architecture",
                "supported-virtualization-type",
                "vcpu-info.default-vcpus",
            ],
        )?;
        let page = Page::check(
            "DescribeInstanceTypes",
            self.max_results,
            self.next_token.as_deref(),
            5,
        )?;
        let found: Vec<&InstanceType> = TYPES
            .iter()
            .filter(|one| names.is_empty() || names.iter().any(|name| name == one.name))
            .filter(|one| {
                filters.pass(|filter| match filter {
                    "instance-type" => vec![one.name.to_owned()],
                    "bare-metal" => vec!["false".to_owned()],
                    "burstable-performance-supported" => vec![is_burstable(one).to_string()],
                    "current-generation" => vec![one.current.to_string()],
                    "hypervisor" => vec!["xen".to_owned()],
                    "supported-virtualization-type" => vec!["hvm".to_owned()],
                    "vcpu-info.default-vcpus" => vec![one.processors.to_string()],
                    _ => vec!["x86_64".to_owned()],
                })
            })
            .collect();
        if service.config.profile.has_own_instance_types {
            return Ok(as_eucalyptus(&found));
        }
        let (found, next) = page.cut(found, |one| one.name.to_owned());
        let mut xml = Xml::default();
        xml.list("instanceTypeSet", found, show);
        xml.put_some("nextToken", next);
        Ok(xml)
    }
}

fn is_burstable(one: &InstanceType) -> bool {
    one.name.starts_with('t')
}

fn show(xml: &mut Xml, one: &InstanceType) {
    xml.put("instanceType", one.name);
    xml.put("currentGeneration", one.current);
    xml.put("freeTierEligible", false);
    xml.put("bareMetal", false);
    xml.put("hypervisor", "xen");
    xml.list("supportedUsageClasses", ["on-demand", "spot"], Xml::text);
    xml.list("supportedRootDeviceTypes", ["ebs"], Xml::text);
    xml.list("supportedVirtualizationTypes", ["hvm"], Xml::text);
    xml.element("processorInfo", |xml| {
        xml.list("supportedArchitectures", ["x86_64"], Xml::text);
    });
    xml.element("vCpuInfo", |xml| {
        xml.put("defaultVCpus", one.processors);
        xml.put("defaultCores", one.processors);
        xml.put("defaultThreadsPerCore", 1);
    });
    xml.element("memoryInfo", |xml| xml.put("sizeInMiB", one.memory_mebibytes));
    xml.put("instanceStorageSupported", false);
    xml.put("burstablePerformanceSupported", is_burstable(one));
}

fn as_eucalyptus(found: &[&InstanceType]) -> Xml {
    let mut xml = Xml::with_root(EUCALYPTUS, "DescribeInstanceTypesResponseType");
    xml.list("instanceTypeDetails", found, |xml, one| {
        xml.put("name", one.name);
        xml.put("cpu", one.processors);
        xml.put("disk", EUCALYPTUS_DISK);
        xml.put("memory", one.memory_mebibytes);
    });
    xml
}

impl Question for DescribeInstanceTypeOfferings {
    async fn answer(self, service: &Service) -> Result<Xml, ApiError> {
        let kind = self.location_type.as_deref().unwrap_or("region");
        let location = match kind {
            "region" => service.config.region.clone(),
            "availability-zone" => service.config.zone(),
            "availability-zone-id" => service.config.zone_id(),
            other => {
                let reason = "It must be one of: region, availability-zone, availability-zone-id.";
                return Err(ApiError::invalid("LocationType", other, reason));
            }
        };
        let filters = Filters::check(self.filter, &["instance-type", "location"])?;
        let page = Page::check(
            "DescribeInstanceTypeOfferings",
            self.max_results,
            self.next_token.as_deref(),
            5,
        )?;
        let found: Vec<&InstanceType> = TYPES
            .iter()
            .filter(|one| {
                filters.pass(|filter| match filter {
                    "location" => vec![location.clone()],
                    _ => vec![one.name.to_owned()],
                })
            })
            .collect();
        let (found, next) = page.cut(found, |one| one.name.to_owned());
        let mut xml = Xml::default();
        xml.list("instanceTypeOfferingSet", found, |xml, one| {
            xml.put("instanceType", one.name);
            xml.put("locationType", kind);
            xml.put("location", &location);
        });
        xml.put_some("nextToken", next);
        Ok(xml)
    }
}
