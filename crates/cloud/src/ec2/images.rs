//! Machine images: looked up, made of machines, tagged and deleted.

use std::collections::BTreeMap;

use aws_sdk_ec2::{
    error::ProvideErrorMetadata as _,
    operation::describe_images::builders::DescribeImagesFluentBuilder,
    types::{
        BlockDeviceMapping, EbsBlockDevice, Filter, ImageState as Ec2State, ResourceType, Tag,
        TagSpecification, VolumeType,
    },
};
use model::FleetId;

use super::{Ec2, answer::classify, once::asked_once};
use crate::{Error, FLEET_TAG, Image, ImageState, NewImage, Volume};

impl Ec2 {
    pub(super) async fn find_image(&self, id: &str) -> Result<Option<Image>, Error> {
        let sent = self.client.describe_images().image_ids(id).send().await;
        match sent {
            Ok(answer) => Ok(answer.images().iter().find_map(image)),
            // Not there, or not any more.
            Err(error) if error.code().is_some_and(|code| code.contains("InvalidAMIID")) => Ok(None),
            Err(error) => Err(classify(&error)),
        }
    }

    pub(super) async fn images_of(&self, fleet: FleetId) -> Result<Vec<Image>, Error> {
        let filter = filter(&format!("tag:{FLEET_TAG}"), &fleet.to_string());
        let mut found = images(self.own_images().filters(filter)).await?;
        // Whatever the endpoint makes of the filter: what is not tagged exactly is not ours.
        found.retain(|image| image.tags.get(FLEET_TAG) == Some(&fleet.to_string()));
        Ok(found)
    }

    /// Asks once: who asks again by himself finds the name taken, by the image that the first question made.
    pub(super) async fn make_image(&self, wanted: &NewImage) -> Result<String, Error> {
        let tags = (!wanted.tags.is_empty()).then(|| {
            TagSpecification::builder()
                .resource_type(ResourceType::Image)
                .set_tags(Some(tags(&wanted.tags)))
                .build()
        });
        let sent = self
            .client
            .create_image()
            .instance_id(&wanted.instance_id)
            .name(&wanted.name)
            .description(&wanted.description)
            .set_no_reboot((!wanted.may_stop).then_some(true))
            .set_tag_specifications(tags.map(|tags| vec![tags]))
            .customize()
            .config_override(asked_once())
            .send()
            .await;
        let error = match sent {
            Ok(answer) => match answer.image_id() {
                Some(id) => return Ok(id.to_owned()),
                None => Error::Unclear {
                    what: "CreateImage answered without an image".to_owned(),
                },
            },
            Err(error) => classify(&error),
        };
        let may_be_made = match &error {
            Error::Unclear { .. } => true,
            Error::Refused { code, .. } => code == "InvalidAMIName.Duplicate",
            Error::Throttled { .. }
            | Error::Rationed { .. }
            | Error::Unreachable { .. }
            | Error::NoAccess { .. }
            | Error::Ended => false,
        };
        let found = match may_be_made {
            true => images(self.own_images().filters(filter("name", &wanted.name))).await?,
            false => Vec::new(),
        };
        let made = found.into_iter().find(|image| image.name == wanted.name);
        made.map(|image| image.id).ok_or(error)
    }

    pub(super) async fn give_tags(&self, id: &str, given: &BTreeMap<String, String>) -> Result<(), Error> {
        let question = self.client.create_tags().resources(id);
        let question = question.set_tags(Some(tags(given))).customize();
        let sent = question.config_override(asked_once()).send().await;
        sent.map(|_| ()).map_err(|error| classify(&error))
    }

    pub(super) async fn deregister(&self, id: &str) -> Result<(), Error> {
        let question = self.client.deregister_image().image_id(id).customize();
        let sent = question.config_override(asked_once()).send().await;
        match sent {
            Ok(_) => Ok(()),
            // Somebody was quicker.
            Err(error) if error.code().is_some_and(|code| code.contains("InvalidAMIID")) => Ok(()),
            Err(error) => Err(classify(&error)),
        }
    }

    fn own_images(&self) -> DescribeImagesFluentBuilder {
        self.client.describe_images().owners("self")
    }
}

async fn images(question: DescribeImagesFluentBuilder) -> Result<Vec<Image>, Error> {
    let answer = question.send().await.map_err(|error| classify(&error))?;
    Ok(answer.images().iter().filter_map(image).collect())
}

pub(super) fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

fn tags(given: &BTreeMap<String, String>) -> Vec<Tag> {
    let tags = given.iter();
    tags.map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}

pub(super) fn image(found: &aws_sdk_ec2::types::Image) -> Option<Image> {
    let state = match found.state() {
        Some(Ec2State::Available) => ImageState::Available,
        Some(Ec2State::Pending | Ec2State::Transient) => ImageState::Pending,
        _ => ImageState::Failed,
    };
    let tags = found.tags().iter();
    Some(Image {
        id: found.image_id()?.to_owned(),
        name: found.name().unwrap_or_default().to_owned(),
        state,
        state_reason: found
            .state_reason()
            .and_then(|reason| reason.message())
            .map(str::to_owned),
        created: found.creation_date().map(str::to_owned),
        tags: tags
            .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
            .collect(),
        kept_volumes: found.block_device_mappings().iter().filter_map(kept).collect(),
        root_volume: root(found),
    })
}

/// The volume of the root device, where that is one.
fn root(found: &aws_sdk_ec2::types::Image) -> Option<Volume> {
    let name = found.root_device_name()?;
    let mut devices = found.block_device_mappings().iter();
    volume(devices.find(|device| device.device_name() == Some(name))?)
}

/// The volume of a device of an image, unless it goes with its machine. Where nothing is said of that, it may stay.
fn kept(device: &BlockDeviceMapping) -> Option<Volume> {
    let goes = device.ebs()?.delete_on_termination() == Some(true);
    volume(device).filter(|_| !goes)
}

/// The volume of a device, where it is one.
fn volume(device: &BlockDeviceMapping) -> Option<Volume> {
    let size = device.ebs()?.volume_size();
    Some(Volume {
        device: device.device_name()?.to_owned(),
        size: size.and_then(|size| u32::try_from(size).ok()),
        kind: None,
    })
}

/// What a launch says of its volumes. All else of them is as the image has it; the size is repeated for clouds that do not take
/// a volume without one.
pub(super) fn going_with(volumes: &[Volume]) -> Option<Vec<BlockDeviceMapping>> {
    let going = volumes.iter().map(|volume| {
        let disk = EbsBlockDevice::builder()
            .delete_on_termination(true)
            .set_volume_size(volume.size.and_then(|size| i32::try_from(size).ok()))
            .set_volume_type(volume.kind.as_deref().map(VolumeType::from));
        BlockDeviceMapping::builder()
            .device_name(&volume.device)
            .ebs(disk.build())
            .build()
    });
    (!volumes.is_empty()).then(|| going.collect())
}

#[cfg(test)]
pub(super) mod tests {
    use std::{io::Write as _, net::TcpListener};

    use super::{
        super::tests::{at, endpoint, error_body, read_whole, request},
        *,
    };
    use crate::{Cloud as _, LaunchRequest};

    pub(in crate::ec2) fn described(items: &str) -> String {
        format!("<DescribeImagesResponse><imagesSet>{items}</imagesSet></DescribeImagesResponse>")
    }

    pub(in crate::ec2) fn item(id: &str, name: &str, state: &str, tags: &str) -> String {
        format!(
            "<item><imageId>{id}</imageId><name>{name}</name><imageState>{state}</imageState>\
             <tagSet>{tags}</tagSet></item>"
        )
    }

    /// An endpoint that gives one answer after the other, and hands back what it was asked.
    pub(in crate::ec2) fn in_turn(
        answers: Vec<(&'static str, String)>,
    ) -> (Ec2, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let serve = |(status, body): (&str, String)| {
                let (mut stream, _) = listener.accept().unwrap();
                let asked = read_whole(&mut stream);
                let length = body.len();
                write!(
                    stream,
                    "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                )
                .unwrap();
                asked
            };
            answers.into_iter().map(serve).collect()
        });
        (at(&format!("http://{address}")), server)
    }

    fn wanted(may_stop: bool, tags: &[(&str, &str)]) -> NewImage {
        NewImage {
            instance_id: "i-1".to_owned(),
            name: "verdigris-x86-1".to_owned(),
            description: "a builder".to_owned(),
            may_stop,
            tags: tags
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    const MADE: &str = "<CreateImageResponse><imageId>ami-7</imageId></CreateImageResponse>";

    #[tokio::test]
    async fn an_image_is_what_the_cloud_says_and_none_where_it_knows_none() {
        let tag = "<item><key>verdigris:playbook</key><value>ab</value></item>";
        for (status, body, expected) in [
            (
                "200 OK",
                described(&item("ami-1", "a", "available", tag)),
                Some(Some(ImageState::Available)),
            ),
            (
                "200 OK",
                described(&item("ami-1", "a", "pending", tag)),
                Some(Some(ImageState::Pending)),
            ),
            (
                "200 OK",
                described(&item("ami-1", "a", "failed", tag)),
                Some(Some(ImageState::Failed)),
            ),
            (
                "200 OK",
                described(&item("ami-1", "a", "deregistered", tag)),
                Some(Some(ImageState::Failed)),
            ),
            ("200 OK", described(""), Some(None)),
            ("400 No", error_body("InvalidAMIID.NotFound"), Some(None)),
            ("403 No", error_body("UnauthorizedOperation"), None),
        ] {
            let (cloud, server) = endpoint(status, &body);
            let found = cloud.find_image("ami-1").await.ok();
            if let Some(Some(image)) = &found {
                assert_eq!(image.made_by(), Some("ab"));
            }
            assert_eq!(
                found.map(|image| image.map(|image| image.state)),
                expected,
                "{body}"
            );
            assert!(server.join().unwrap().contains("ImageId.1=ami-1"));
        }
    }

    #[tokio::test]
    async fn volumes_that_an_image_would_leave_behind_are_known_and_launched_to_go_with_the_machine() {
        let device =
            |name: &str, inside: &str| format!("<item><deviceName>{name}</deviceName>{inside}</item>");
        let devices = [
            device(
                "/dev/xvda",
                "<ebs><volumeSize>8</volumeSize><deleteOnTermination>false</deleteOnTermination></ebs>",
            ),
            device(
                "/dev/sdb",
                "<ebs><deleteOnTermination>true</deleteOnTermination></ebs>",
            ),
            device("/dev/sdc", "<virtualName>ephemeral0</virtualName>"),
            // Nothing is said, so that it may stay.
            device("/dev/sdd", "<ebs><snapshotId>snap-1</snapshotId></ebs>"),
        ];
        let body = described(&format!(
            "<item><imageId>ami-1</imageId><imageState>available</imageState>\
             <rootDeviceName>/dev/xvda</rootDeviceName><blockDeviceMapping>{}</blockDeviceMapping></item>",
            devices.concat()
        ));
        let (cloud, server) = endpoint("200 OK", &body);
        let found = cloud.find_image("ami-1").await.unwrap().unwrap();
        server.join().unwrap();
        let disk = serde_json::from_str(r#"{"size": "160g", "type": "gp3"}"#).unwrap();
        let with_disk = found.volumes(Some(&disk)).unwrap();
        let volumes = found.kept_volumes;
        assert_eq!(found.root_volume.as_ref(), volumes.first());
        let named: Vec<_> = volumes.iter().map(|it| (it.device.as_str(), it.size)).collect();
        assert_eq!(named, [("/dev/xvda", Some(8)), ("/dev/sdd", None)]);

        for (volumes, expected) in [
            (
                volumes,
                "BlockDeviceMapping.1.DeviceName=%2Fdev%2Fxvda&BlockDeviceMapping.1.Ebs.DeleteOnTermination=true\
                 &BlockDeviceMapping.1.Ebs.VolumeSize=8&BlockDeviceMapping.2.DeviceName=%2Fdev%2Fsdd\
                 &BlockDeviceMapping.2.Ebs.DeleteOnTermination=true",
            ),
            (
                with_disk,
                "BlockDeviceMapping.1.DeviceName=%2Fdev%2Fxvda&BlockDeviceMapping.1.Ebs.DeleteOnTermination=true\
                 &BlockDeviceMapping.1.Ebs.VolumeSize=160&BlockDeviceMapping.1.Ebs.VolumeType=gp3\
                 &BlockDeviceMapping.2.DeviceName=%2Fdev%2Fsdd&BlockDeviceMapping.2.Ebs.DeleteOnTermination=true",
            ),
            (Vec::new(), ""),
        ] {
            let (cloud, server) = endpoint("400 No", &error_body("InsufficientInstanceCapacity"));
            let request = LaunchRequest { volumes, ..request() };
            cloud.launch(&request).await.unwrap_err();
            let asked = server.join().unwrap();
            let mut said: Vec<_> = asked
                .split('&')
                .filter(|it| it.starts_with("BlockDevice"))
                .collect();
            said.sort_unstable();
            assert_eq!(said.join("&"), expected);
        }
    }

    #[tokio::test]
    async fn an_image_is_asked_for_with_its_tags_and_with_the_machine_at_rest() {
        for (may_stop, tags) in [(true, &[("verdigris:pool", "x86")][..]), (false, &[])] {
            let (cloud, server) = endpoint("200 OK", MADE);
            assert_eq!(cloud.make_image(&wanted(may_stop, tags)).await.unwrap(), "ami-7");
            let asked = server.join().unwrap();
            assert!(asked.contains("InstanceId=i-1&Name=verdigris-x86-1"), "{asked}");
            assert_eq!(asked.contains("NoReboot=true"), !may_stop, "{asked}");
            // Eucalyptus does not know the parameter.
            assert_eq!(asked.contains("TagSpecification"), !tags.is_empty(), "{asked}");
        }
    }

    #[tokio::test]
    async fn an_image_whose_answer_was_lost_is_found_by_its_name() {
        let there = described(&format!(
            "{}{}",
            item("ami-8", "verdigris-x86-10", "available", ""),
            item("ami-7", "verdigris-x86-1", "pending", "")
        ));
        for (first, found, expected) in [
            (("500 Oh", String::new()), there.clone(), Some("ami-7")),
            (
                ("400 No", error_body("InvalidAMIName.Duplicate")),
                there,
                Some("ami-7"),
            ),
            (("500 Oh", String::new()), described(""), None),
        ] {
            let (cloud, server) = in_turn(vec![first, ("200 OK", found)]);
            let made = cloud.make_image(&wanted(true, &[])).await;
            assert_eq!(made.ok().as_deref(), expected);
            let asked = server.join().unwrap();
            assert!(
                asked[1].contains("Owner.1=self") && asked[1].contains("verdigris-x86-1"),
                "{asked:?}"
            );
        }
        // A refusal is one, and nothing is looked for.
        let (cloud, server) = endpoint("400 No", &error_body("IncorrectState"));
        let refused = cloud.make_image(&wanted(true, &[])).await.unwrap_err();
        assert!(matches!(refused, Error::Refused { .. }), "{refused}");
        server.join().unwrap();
    }

    #[tokio::test]
    async fn only_images_with_the_fleets_exact_tag_are_its_own() {
        let fleet = FleetId(uuid::Uuid::from_u128(4));
        let tag = |value: &str| format!("<item><key>{FLEET_TAG}</key><value>{value}</value></item>");
        let body = described(&format!(
            "{}{}{}",
            item("ami-1", "a", "available", &tag(&fleet.to_string())),
            item("ami-2", "b", "available", &tag("flt_another")),
            item("ami-3", "c", "available", "")
        ));
        let (cloud, server) = endpoint("200 OK", &body);
        let found = cloud.images_of(fleet).await.unwrap();
        let ids: Vec<_> = found.iter().map(|image| image.id.as_str()).collect();
        assert_eq!(ids, ["ami-1"]);
        assert!(server.join().unwrap().contains("Owner.1=self"));
    }

    #[tokio::test]
    async fn what_is_gone_already_is_deleted() {
        for (status, body, expected) in [
            ("200 OK", "<DeregisterImageResponse/>".to_owned(), true),
            ("400 No", error_body("InvalidAMIID.Unavailable"), true),
            ("403 No", error_body("UnauthorizedOperation"), false),
        ] {
            let (cloud, server) = endpoint(status, &body);
            assert_eq!(cloud.deregister("ami-1").await.is_ok(), expected, "{body}");
            assert!(server.join().unwrap().contains("ImageId=ami-1"));
        }
        let (cloud, server) = endpoint("200 OK", "<CreateTagsResponse/>");
        let tags = [("verdigris:base".to_owned(), "ami-0".to_owned())].into();
        cloud.give_tags("ami-1", &tags).await.unwrap();
        let asked = server.join().unwrap();
        assert!(
            asked.contains("ResourceId.1=ami-1&Tag.1.Key=verdigris%3Abase&Tag.1.Value=ami-0"),
            "{asked}"
        );
    }
}
