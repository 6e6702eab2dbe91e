//! The instance types that can be asked for.

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
pub(crate) const TYPES: &[InstanceType] = &[
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

/// The names of all types.
pub fn instance_type_names() -> impl Iterator<Item = &'static str> {
    TYPES.iter().map(|one| one.name)
}

/// The type of this name.
pub(crate) fn find(name: &str) -> Option<&'static InstanceType> {
    TYPES.iter().find(|one| one.name == name)
}
