use super::*;
use crate::ImageConfig;

fn refused(change: impl FnOnce(&mut CloudConfig)) -> String {
    let mut config = CloudConfig::new("/nowhere", "key", "secret");
    config.public_network = 85;
    config.ssh_port = 4522;
    change(&mut config);
    match check(&config) {
        Ok(()) => "taken".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn image(name: &str) -> ImageConfig {
    ImageConfig {
        id: String::new(),
        name: name.to_owned(),
        description: String::new(),
        architecture: "x86_64".to_owned(),
        layers: Vec::new(),
        keeps_volume: false,
    }
}

#[test]
fn an_address_that_others_could_reach_is_refused() {
    let outside = "the setting `listen` is wrong: the API must listen on a loopback address";
    for (address, expected) in [
        ("127.0.0.1:0", "taken"),
        ("127.9.9.9:8773", "taken"),
        ("[::1]:8773", "taken"),
        ("0.0.0.0:8773", outside),
        ("[::]:8773", outside),
        ("192.0.2.1:8773", outside),
        ("[::ffff:127.0.0.1]:8773", outside),
    ] {
        let told = refused(|config| config.listen = address.parse().unwrap());
        assert_eq!(told, expected, "{address}");
    }
}

#[test]
fn a_key_that_no_signature_could_name_is_refused() {
    let wrong = "the setting `access_key` is wrong: it must not be empty or hold slashes, commas or blanks";
    for (key, expected) in [
        ("AKIA+x=", "taken"),
        ("", wrong),
        ("a/b", wrong),
        ("a,b", wrong),
        ("a b", wrong),
    ] {
        let told = refused(|config| config.access_key = key.to_owned());
        assert_eq!(told, expected, "{key:?}");
    }
    let told = refused(|config| config.secret_key.clear());
    assert_eq!(told, "the setting `secret_key` is wrong: it must not be empty");
}

#[test]
fn a_region_is_a_short_label() {
    let wrong = "the setting `region` is wrong: it must be 1 to 40 lower-case letters, digits and dashes";
    for (region, expected) in [
        ("eu-central-1", "taken"),
        (&"r".repeat(40), "taken"),
        (&"r".repeat(41), wrong),
        ("", wrong),
        ("EU", wrong),
        ("eu central", wrong),
        ("eu.1", wrong),
        ("eü-1", wrong),
    ] {
        let told = refused(|config| config.region = region.to_owned());
        assert_eq!(told, expected, "{region:?}");
    }
}

#[test]
fn images_have_names_of_their_own_and_addresses_a_network_and_a_port() {
    let told = refused(|config| config.images = ["a", "b", "a"].map(image).to_vec());
    assert_eq!(told, "the setting `images` is wrong: two images are named `a`");
    assert_eq!(
        refused(|config| config.images = ["a", "b"].map(image).to_vec()),
        "taken"
    );
    let zero = "the setting `public_network` is wrong: neither it nor ssh_port may be 0";
    assert_eq!(refused(|config| config.public_network = 0), zero);
    assert_eq!(refused(|config| config.ssh_port = 0), zero);
    let other = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let told = refused(|config| config.ssh_port = port);
    assert!(
        told.contains("no instance could be reached") && told.ends_with("choose another ssh_port"),
        "{told}"
    );
}
