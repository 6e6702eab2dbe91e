//! The root disk of a launch. Its size, kind and speed are taken as words, since it shares the disk of the host; but they have
//! to be words that EC2 would take.

use std::ops::RangeInclusive;

use devcloud_dialect::{ApiError, request::BlockDeviceMapping, request::Ebs, within};

use crate::ImageConfig;

/// The name of the one disk.
const ROOT: &str = "/dev/sda1";

/// A kind of disk, with EC2's bounds.
struct Kind {
    name: &'static str,
    gibibytes: RangeInclusive<i64>,
    /// Operations a second, where they can be asked for.
    iops: Option<RangeInclusive<i64>>,
    /// How many of them for each gibibyte.
    iops_per_gibibyte: i64,
}

const fn kind(
    name: &'static str,
    least: i64,
    most: i64,
    iops: Option<RangeInclusive<i64>>,
    ratio: i64,
) -> Kind {
    Kind {
        name,
        gibibytes: least..=most,
        iops,
        iops_per_gibibyte: ratio,
    }
}

/// EC2's kinds. The first is what a disk is when no kind is named.
const KINDS: &[Kind] = &[
    kind("gp2", 1, 16_384, None, 0),
    kind("gp3", 1, 65_536, Some(3_000..=80_000), 500),
    kind("io1", 4, 16_384, Some(100..=64_000), 50),
    kind("io2", 4, 65_536, Some(100..=256_000), 1_000),
    kind("sc1", 125, 16_384, None, 0),
    kind("st1", 125, 16_384, None, 0),
    kind("standard", 1, 1_024, None, 0),
];

/// What a disk of the kind gp3 does at any size: ratios begin to count above it.
const GP3_IOPS: i64 = 3_000;

/// Checks `BlockDeviceMapping.N`.
pub(super) fn check(number: usize, disk: &BlockDeviceMapping) -> Result<(), ApiError> {
    let name = |member: &str| format!("BlockDeviceMapping.{number}.{member}");
    let device = disk
        .device_name
        .as_deref()
        .ok_or_else(|| ApiError::missing(&name("DeviceName")))?;
    if let Some(snapshot) = &disk.ebs.snapshot_id {
        let message = format!("The snapshot '{snapshot}' does not exist.");
        return Err(ApiError::new("InvalidSnapshot.NotFound", message));
    }
    if disk.no_device.is_some() && device != ROOT {
        // A device that is not there is not to be there: that is so.
        return Ok(());
    }
    if device != ROOT || disk.virtual_name.is_some() || disk.no_device.is_some() {
        let message = format!("Invalid device {device}: instances have the root device {ROOT} and no other");
        return Err(ApiError::new("InvalidBlockDeviceMapping", message));
    }
    size_and_speed(&name("Ebs."), &disk.ebs)?;
    match disk.ebs.encrypted {
        Some(true) => Err(ApiError::unsupported(&name("Ebs.Encrypted=true"))),
        _ => Ok(()),
    }
}

/// Refuses a disk that is smaller than the image's, in the words of EC2.
pub(super) fn fits(disks: &[BlockDeviceMapping], image: &ImageConfig) -> Result<(), ApiError> {
    let sizes = disks.iter().filter_map(|disk| disk.ebs.volume_size);
    let least = ImageConfig::GIBIBYTES;
    match sizes.min().filter(|size| *size < least) {
        None => Ok(()),
        Some(size) => {
            let snapshot = image.snapshot_id();
            let message = format!(
                "Volume of size {size}GB is smaller than snapshot '{snapshot}', expect size >= {least}GB"
            );
            Err(ApiError::new("InvalidBlockDeviceMapping", message))
        }
    }
}

/// Whether the disk of an instance stays when that is terminated: as the launch says, else as its image does.
pub(super) fn keeps_volume(disks: &[BlockDeviceMapping], image: &ImageConfig) -> bool {
    let mut said = disks
        .iter()
        .filter(|disk| disk.device_name.as_deref() == Some(ROOT))
        .filter_map(|disk| disk.ebs.delete_on_termination);
    said.next_back().map_or(image.keeps_volume, |deleted| !deleted)
}

/// Whether the kind of the disk allows its size and speed. `prefix` comes before the names of parameters.
fn size_and_speed(prefix: &str, ebs: &Ebs) -> Result<(), ApiError> {
    let name = |member: &str| format!("{prefix}{member}");
    let wanted = ebs.volume_type.as_deref();
    let kind = KINDS
        .iter()
        .find(|kind| wanted.is_none_or(|wanted| kind.name == wanted))
        .ok_or_else(|| {
            let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
            let reason = format!("It must be one of: {}.", names.join(", "));
            ApiError::invalid(&name("VolumeType"), wanted.unwrap_or_default(), &reason)
        })?;
    if let Some(size) = ebs.volume_size {
        let (least, most) = (*kind.gibibytes.start(), *kind.gibibytes.end());
        within(&name("VolumeSize"), size, least, most)?;
    }
    match (&kind.iops, ebs.iops) {
        (Some(range), Some(iops)) => {
            within(&name("Iops"), iops, *range.start(), *range.end())?;
        }
        (None, Some(_)) => return Err(not_of("iops", kind)),
        (Some(_), None) if kind.name != "gp3" => {
            let message = format!("The parameter iops must be specified for {} volumes.", kind.name);
            return Err(ApiError::new("MissingParameter", message));
        }
        (_, None) => {}
    }
    if let Some(throughput) = ebs.throughput {
        if kind.name != "gp3" {
            return Err(not_of("throughput", kind));
        }
        within(&name("Throughput"), throughput, 125, 2_000)?;
    }
    ratios(kind, ebs)
}

fn not_of(parameter: &str, kind: &Kind) -> ApiError {
    let message = format!(
        "The parameter {parameter} is not supported for {} volumes.",
        kind.name
    );
    ApiError::new("InvalidParameterCombination", message)
}

/// A small disk cannot be as fast as a large one, and each operation moves so much.
fn ratios(kind: &Kind, ebs: &Ebs) -> Result<(), ApiError> {
    if let (Some(iops), Some(size)) = (ebs.iops, ebs.volume_size)
        && iops > (size * kind.iops_per_gibibyte).max(if kind.name == "gp3" { GP3_IOPS } else { 0 })
    {
        let message = format!(
            "Iops to volume size ratio of {iops} to {size} is too high; maximum is {}",
            kind.iops_per_gibibyte
        );
        return Err(ApiError::new("InvalidParameterCombination", message));
    }
    if let Some(throughput) = ebs.throughput
        && throughput * 4 > ebs.iops.unwrap_or(GP3_IOPS)
    {
        let message = format!(
            "Throughput (MiBps) to iops ratio of {throughput} to {} is too high; maximum is 0.25 MiBps per iops",
            ebs.iops.unwrap_or(GP3_IOPS)
        );
        return Err(ApiError::new("InvalidParameterCombination", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use devcloud_dialect::{Form, request::RunInstances};

    /// What becomes of a root disk with these members: `ok`, or the error's code and the parameter or ratio it names.
    fn outcome(members: &str) -> String {
        let members = members.split_whitespace();
        let named = members.map(|member| format!("&BlockDeviceMapping.1.Ebs.{member}"));
        let form = format!(
            "BlockDeviceMapping.1.DeviceName=/dev/sda1{}",
            named.collect::<String>()
        );
        let request: RunInstances = Form::parse(&[form.as_str()]).unwrap().decode().unwrap();
        match super::check(1, &request.block_device_mapping[0]) {
            Ok(()) => "ok".to_owned(),
            Err(error) => format!("{}: {}", error.code, error.message),
        }
    }

    /// The members of a disk, and what becomes of it.
    const GP3: &str = "\
# What Ansible's ec2_instance makes of a gp3 disk with nothing but a size.
VolumeType=gp3 VolumeSize=20 Iops=3000 Throughput=125 DeleteOnTermination=true => ok
VolumeType=gp3 => ok
VolumeType=gp3 VolumeSize=1 Iops=3000 => ok
VolumeType=gp3 VolumeSize=160 Iops=80000 Throughput=2000 => ok
VolumeType=gp3 Iops=2999 => Iops is outside 3000 80000
VolumeType=gp3 Iops=80001 => Iops is outside 3000 80000
VolumeType=gp3 Iops=8000 Throughput=124 => Throughput is outside 125 2000
VolumeType=gp3 Iops=9000 Throughput=2001 => Throughput is outside 125 2000
VolumeType=gp3 VolumeSize=65537 => VolumeSize is outside 1 65536
VolumeType=gp3 VolumeSize=10 Iops=5001 => InvalidParameterCombination: Iops to volume size ratio of 5001 to 10 is too high; maximum is 500
VolumeType=gp3 VolumeSize=10 Iops=5000 => ok
VolumeType=gp3 Throughput=750 => ok
VolumeType=gp3 Throughput=751 => InvalidParameterCombination: Throughput (MiBps) to iops ratio of 751 to 3000 is too high; maximum is 0.25 MiBps per iops
";

    /// The same of disks of other types.
    const OTHERS: &str = "\
VolumeType=io1 VolumeSize=4 Iops=200 => ok
VolumeType=io1 VolumeSize=4 Iops=201 => InvalidParameterCombination: Iops to volume size ratio of 201 to 4 is too high; maximum is 50
VolumeType=io1 VolumeSize=3 Iops=100 => VolumeSize is outside 4 16384
VolumeType=io1 Iops=99 => Iops is outside 100 64000
VolumeType=io1 VolumeSize=4 => MissingParameter: The parameter iops must be specified for io1 volumes.
VolumeType=io2 VolumeSize=256 Iops=256000 => ok
VolumeType=io2 Iops=256001 => Iops is outside 100 256000
VolumeType=io2 Iops=4000 Throughput=125 => InvalidParameterCombination: The parameter throughput is not supported for io2 volumes.
VolumeType=gp2 Iops=3000 => InvalidParameterCombination: The parameter iops is not supported for gp2 volumes.
Iops=3000 => InvalidParameterCombination: The parameter iops is not supported for gp2 volumes.
VolumeSize=16384 => ok
VolumeSize=0 => VolumeSize is outside 1 16384
VolumeType=standard VolumeSize=1025 => VolumeSize is outside 1 1024
VolumeType=st1 VolumeSize=124 => VolumeSize is outside 125 16384
";

    /// Whether each line of a table is so. `NAME is outside LEAST MOST` stands for how a number is refused that is out of bounds.
    fn assert_table(table: &str) {
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            let (members, expected) = line.split_once(" => ").unwrap();
            let expected = match expected.split_once(" is outside ") {
                None => expected.to_owned(),
                Some((name, bounds)) => {
                    let value = members.split_once(&format!("{name}=")).unwrap().1;
                    let value = value.split(' ').next().unwrap().parse().unwrap();
                    let (least, most) = bounds.split_once(' ').unwrap();
                    let name = format!("BlockDeviceMapping.1.Ebs.{name}");
                    let (least, most) = (least.parse().unwrap(), most.parse().unwrap());
                    let refused: Result<i64, _> = devcloud_dialect::within(&name, value, least, most);
                    let refused = refused.unwrap_err();
                    format!("{}: {}", refused.code, refused.message)
                }
            };
            assert_eq!(outcome(members), expected, "{members}");
        }
    }

    #[test]
    fn size_and_speed_of_a_gp3_root_disk_have_ec2s_bounds() {
        assert_table(GP3);
    }

    #[test]
    fn size_kind_and_speed_of_other_root_disks_have_ec2s_bounds() {
        assert_table(OTHERS);
        let other = outcome("VolumeType=gp4");
        assert!(
            other.starts_with("InvalidParameterValue: ") && other.contains("gp2, gp3, io1"),
            "{other}"
        );
    }
}
