//! The instance types that can be asked for, and DescribeInstanceTypes.

use super::{Service, error::ApiError, filters::Filters, paging::Page, parameters::Parameters, xml::Xml};

/// One instance type. Figures are those of Amazon's types of the same name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InstanceType {
    pub(crate) name: &'static str,
    pub(crate) processors: u32,
    pub(crate) memory_mebibytes: u32,
    pub(crate) current: bool,
}

const fn new(name: &'static str, processors: u32, memory_mebibytes: u32, current: bool) -> InstanceType {
    InstanceType {
        name,
        processors,
        memory_mebibytes,
        current,
    }
}

/// All types, by name.
const TYPES: &[InstanceType] = &[
    new("c7i.2xlarge", 8, 16_384, true),
    new("c7i.large", 2, 4_096, true),
    new("c7i.xlarge", 4, 8_192, true),
    new("m1.large", 2, 7_680, false),
    new("m1.medium", 1, 3_788, false),
    new("m1.small", 1, 1_740, false),
    new("m5.large", 2, 8_192, true),
    new("m5.xlarge", 4, 16_384, true),
    new("t3.large", 2, 8_192, true),
    new("t3.medium", 2, 4_096, true),
    new("t3.micro", 2, 1_024, true),
    new("t3.nano", 2, 512, true),
    new("t3.small", 2, 2_048, true),
    new("t3.xlarge", 4, 16_384, true),
];

/// The type that EC2 takes when none is named.
pub(crate) const DEFAULT: &str = "m1.small";

/// The type of this name.
pub(crate) fn find(name: &str) -> Option<&'static InstanceType> {
    TYPES.iter().find(|one| one.name == name)
}

/// The names of DescribeInstanceTypes' parameters.
pub(super) const PARAMETERS: &[&str] = &["InstanceType", "Filter", "MaxResults", "NextToken"];

/// DescribeInstanceTypes.
pub(super) fn describe(_: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    let names = parameters.list("InstanceType")?;
    if let Some(unknown) = names.iter().find(|name| find(name).is_none()) {
        let message = format!("The following supplied instance types do not exist: [{unknown}]");
        return Err(ApiError::new("InvalidInstanceType", message));
    }
    let filters = Filters::parse(
        parameters,
        &[
            "instance-type",
            "current-generation",
            "processor-info.supported-architecture",
            "vcpu-info.default-vcpus",
        ],
    )?;
    let page = Page::parse(parameters, "DescribeInstanceTypes", 5)?;
    let found: Vec<&InstanceType> = TYPES
        .iter()
        .filter(|one| names.is_empty() || names.iter().any(|name| name == one.name))
        .filter(|one| {
            filters.pass(|filter| match filter {
                "instance-type" => vec![one.name.to_owned()],
                "current-generation" => vec![one.current.to_string()],
                "vcpu-info.default-vcpus" => vec![one.processors.to_string()],
                _ => vec!["x86_64".to_owned()],
            })
        })
        .collect();
    let (found, next) = page.cut(found, |one| one.name.to_owned());
    let mut xml = Xml::default();
    xml.list("instanceTypeSet", found, |xml, one| {
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
        xml.put("burstablePerformanceSupported", one.name.starts_with('t'));
    });
    xml.put_some("nextToken", next);
    Ok(xml)
}
