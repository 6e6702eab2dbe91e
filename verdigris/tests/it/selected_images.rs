//! Images that the fleet file names by what matches, with real implementations of EC2's API.

use std::{sync::Arc, time::Duration};

use cloud::{Cloud as _, Ec2, Ec2Settings};
use controller::Controller;
use model::Timestamp;
use runtime::{CancellationToken, clock::ManualClock};

use crate::{
    clouds::{ACCESS_KEY, SECRET_KEY, boto3, devcloud_of, moto},
    moto::{client, context},
};

/// Has moto know one more image of that name; its id.
fn register(port: u16, name: &str) -> String {
    let made = boto3(
        port,
        &format!(
            "print(ec2.register_image(Name='{name}', Architecture='x86_64', RootDeviceName='/dev/sda1')['ImageId'])"
        ),
    );
    assert!(made.starts_with("ami-"), "{made}");
    // moto writes the moment of an image down to the second.
    std::thread::sleep(Duration::from_millis(1100));
    made.trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_image_of_moto_is_taken_up_without_a_word_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = moto(directory.path());
    let first = register(cloud.port, "builder-x86_64-1");
    register(cloud.port, "builder-aarch64-2");
    let own = client(cloud.port)
        .images_named("self", "builder-*")
        .await
        .unwrap();
    assert_eq!(own.len(), 2, "{own:?}");
    assert!(own.iter().all(|image| image.created.is_some()), "{own:?}");
    let strange = client(cloud.port)
        .images_named("999999999999", "builder-*")
        .await
        .unwrap();
    assert_eq!(strange, []);

    let clock = ManualClock::new(Timestamp::from_micros(1_800_000_000_000_000));
    let mut context = context(directory.path(), &cloud, cloud.port, clock.clone()).await;
    let mut fleet = model::fleet::FleetSpec::clone(&context.fleet);
    let image = fleet.images.get_mut("builder").unwrap();
    image.id = None;
    image.select = Some(runtime::yaml::parse("{owner: self, name: \"builder-x86_64-*\"}", "select").unwrap());
    context.fleet = Arc::new(fleet);
    let (store, id) = (context.store.clone(), context.fleet.fleet);
    let stop = CancellationToken::new();
    let running = tokio::spawn(Controller::new(context).run(stop.clone()));
    let mut newer = None;
    // At a second of the farm's a step: five minutes are over within half a minute.
    for _ in 0..1500 {
        clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(20)).await;
        let choices = store.image_choices(id).await.unwrap();
        let chosen = choices.get("builder").and_then(|it| it.chosen.clone());
        let builders = store.builders(None).await.unwrap();
        let Some(chosen) = chosen else { continue };
        match &newer {
            None if !builders.is_empty() => {
                assert_eq!((&chosen.id, &builders[0].image), (&first, &first));
                newer = Some(register(cloud.port, "builder-x86_64-2"));
            }
            Some(newer) if chosen.id == *newer => break,
            _ => {}
        }
    }
    stop.cancel();
    running.await.unwrap().unwrap();
    let chosen = store.image_choices(id).await.unwrap()["builder"]
        .chosen
        .clone()
        .unwrap();
    assert_eq!(
        (Some(chosen.id), chosen.name.as_str()),
        (newer, "builder-x86_64-2")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn devcloud_tells_of_its_images_by_name_in_both_dialects() {
    for profile in [&::devcloud::Profile::AWS, &::devcloud::Profile::EUCALYPTUS] {
        let directory = tempfile::tempdir().unwrap();
        let cloud = devcloud_of(directory.path(), profile);
        let path = match profile.name {
            "eucalyptus" => "/services/compute",
            _ => "",
        };
        let ec2 = Ec2::new(&Ec2Settings {
            region: cloud.region.to_owned(),
            endpoint: Some(format!("http://127.0.0.1:{}{path}", cloud.port)),
            access_key: ACCESS_KEY.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
            session_token: None,
        });
        for (owner, name, is_found) in [
            ("self", "*", true),
            ("self", "?*", true),
            ("self", "no-such-*", false),
            ("amazon", "*", false),
            ("999999999999", "*", false),
        ] {
            let found = ec2.images_named(owner, name).await.unwrap();
            let ids: Vec<_> = found.iter().map(|image| image.id.as_str()).collect();
            let expected = is_found.then_some(cloud.image.as_str());
            assert_eq!(
                ids,
                expected.into_iter().collect::<Vec<_>>(),
                "{} {owner} {name}",
                profile.name
            );
        }
        let image = ec2.images_named("self", "*").await.unwrap().remove(0);
        assert!(controller::listed(&image).created.is_some(), "{image:?}");
    }
}
