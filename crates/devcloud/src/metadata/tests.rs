use std::{net::IpAddr, sync::Arc};

use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use time::{Duration, OffsetDateTime};

use super::{Answer, Metadata, tokens::Tokens};
use crate::{
    CloudConfig, Error,
    api::samples::instance,
    ledger::{InstanceState, Interruption, Ledger},
};

const PEER: &str = "10.88.3.4";

async fn metadata(tokens_required: bool) -> (tempfile::TempDir, Metadata) {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    ledger
        .commit(move |state| {
            let mut instance = instance("i-00000000000000001");
            instance.state = InstanceState::Running;
            instance.private_address = PEER.parse().unwrap();
            instance.metadata.tokens_required = tokens_required;
            instance.user_data = Some("IyEvYmluL3No".to_owned());
            instance.key_name = Some("mine".to_owned());
            instance.public_key = Some("ssh-ed25519 AAAA mine".to_owned());
            state.instances.insert(instance.id.clone(), Arc::new(instance));
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    let config = Arc::new(CloudConfig::new(directory.path(), "key", "secret"));
    (
        directory,
        Metadata {
            ledger,
            config,
            tokens: Tokens::new().unwrap(),
        },
    )
}

fn ask(
    metadata: &Metadata,
    method: &Method,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<Answer, StatusCode> {
    ask_from(metadata, PEER, method, path, headers, OffsetDateTime::now_utc())
}

fn ask_from(
    metadata: &Metadata,
    peer: &str,
    method: &Method,
    path: &str,
    headers: &[(&'static str, &str)],
    now: OffsetDateTime,
) -> Result<Answer, StatusCode> {
    let peer: IpAddr = peer.parse().unwrap();
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    metadata.answer(peer, method, path, &map, now)
}

fn text(answer: Result<Answer, StatusCode>) -> String {
    String::from_utf8(answer.unwrap().body).unwrap()
}

#[tokio::test]
async fn an_instance_is_known_by_its_address_and_strangers_find_nothing() {
    let (_directory, metadata) = metadata(false).await;
    let id = text(ask(&metadata, &Method::GET, "/latest/meta-data/instance-id", &[]));
    assert_eq!(id, "i-00000000000000001");
    let now = OffsetDateTime::now_utc();
    let stranger = ask_from(
        &metadata,
        "10.88.3.5",
        &Method::GET,
        "/latest/meta-data/",
        &[],
        now,
    );
    assert_eq!(stranger.unwrap_err(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn directories_list_what_is_below_them() {
    let (_directory, metadata) = metadata(false).await;
    let get = |path: &str| text(ask(&metadata, &Method::GET, path, &[]));
    assert_eq!(get("/latest/"), "dynamic\nmeta-data\nuser-data");
    assert_eq!(get("/latest/meta-data/placement/"), "availability-zone\nregion");
    assert_eq!(get("/latest/meta-data/public-keys/"), "0=mine");
    assert_eq!(get("/latest/meta-data/public-keys/0"), "openssh-key");
    assert_eq!(
        get("/2009-04-04/meta-data/public-keys/0/openssh-key"),
        "ssh-ed25519 AAAA mine"
    );
    assert_eq!(get("/latest/user-data"), "#!/bin/sh");
    let listing = get("/latest/meta-data");
    assert!(listing.lines().any(|line| line == "placement/"), "{listing}");
    let document = get("/latest/dynamic/instance-identity/document");
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["privateIp"], PEER);
    let missing = ask(&metadata, &Method::GET, "/latest/meta-data/nothing", &[]);
    assert_eq!(missing.unwrap_err(), StatusCode::NOT_FOUND);
}

/// The items of EC2's guide "Instance metadata categories" that there are here, with the value of this instance.
#[tokio::test]
async fn each_item_tells_of_the_instance_that_asks() {
    let (_directory, metadata) = metadata(false).await;
    let mac = "0a:58:0a:58:03:04";
    let interface = format!("network/interfaces/macs/{mac}");
    for (item, value) in [
        ("ami-id", "ami-00000000000000001"),
        ("ami-launch-index", "0"),
        ("hostname", "ip-10-88-3-4.dev-1.compute.internal"),
        ("instance-action", "none"),
        ("instance-id", "i-00000000000000001"),
        ("instance-life-cycle", "on-demand"),
        ("instance-type", "t3.micro"),
        ("local-hostname", "ip-10-88-3-4.dev-1.compute.internal"),
        ("local-ipv4", PEER),
        ("mac", mac),
        ("placement/availability-zone", "dev-1a"),
        ("placement/region", "dev-1"),
        ("public-ipv4", "127.88.1.1"),
        (
            "public-hostname",
            "ec2-127-88-1-1.dev-1.compute.devcloud.internal",
        ),
        ("reservation-id", "r-00000000000000001"),
        ("services/domain", "devcloud.internal"),
        (&format!("{interface}/device-number"), "0"),
        (&format!("{interface}/local-ipv4s"), PEER),
        (&format!("{interface}/public-ipv4s"), "127.88.1.1"),
    ] {
        for version in ["latest", "1.0", "2021-07-15"] {
            let path = format!("/{version}/meta-data/{item}");
            assert_eq!(text(ask(&metadata, &Method::GET, &path, &[])), value, "{path}");
        }
    }
    for path in [
        "/meta-data/instance-id",
        "/0.9/meta-data/instance-id",
        "/latest/meta-data/iam/info",
        "/latest/meta-data/instance-id/more",
        "/latest/metadata/instance-id",
        "/latest/dynamic/instance-identity/signature",
    ] {
        let missing = ask(&metadata, &Method::GET, path, &[]);
        assert_eq!(missing.unwrap_err(), StatusCode::NOT_FOUND, "{path}");
    }
    let other = ask(&metadata, &Method::DELETE, "/latest/meta-data/instance-id", &[]);
    assert_eq!(other.unwrap_err(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_token_is_wanted_where_it_is_required_and_ends_in_time() {
    let (_directory, metadata) = metadata(true).await;
    let path = "/latest/meta-data/instance-id";
    assert_eq!(
        ask(&metadata, &Method::GET, path, &[]).unwrap_err(),
        StatusCode::UNAUTHORIZED
    );
    for ttl in ["0", "21601", "x", "+60", "060", "60s", "-60", ""] {
        let refused = ask(
            &metadata,
            &Method::PUT,
            "/latest/api/token",
            &[(super::TOKEN_TTL, ttl)],
        );
        assert_eq!(refused.unwrap_err(), StatusCode::BAD_REQUEST);
    }
    let token = text(ask(
        &metadata,
        &Method::PUT,
        "/latest/api/token",
        &[(super::TOKEN_TTL, "60")],
    ));
    assert_eq!(
        text(ask(&metadata, &Method::GET, path, &[(super::TOKEN, &token)])),
        "i-00000000000000001"
    );

    let later = OffsetDateTime::now_utc() + Duration::seconds(61);
    let expired = ask_from(
        &metadata,
        PEER,
        &Method::GET,
        path,
        &[(super::TOKEN, &token)],
        later,
    );
    assert_eq!(expired.unwrap_err(), StatusCode::UNAUTHORIZED);
    let other = Tokens::new()
        .unwrap()
        .make("i-00000000000000001", 60, OffsetDateTime::now_utc())
        .unwrap();
    let forged = ask(&metadata, &Method::GET, path, &[(super::TOKEN, &other)]);
    assert_eq!(forged.unwrap_err(), StatusCode::UNAUTHORIZED);
    let elsewhere = metadata
        .tokens
        .make("i-2", 60, OffsetDateTime::now_utc())
        .unwrap();
    let stolen = ask(&metadata, &Method::GET, path, &[(super::TOKEN, &elsewhere)]);
    assert_eq!(stolen.unwrap_err(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_request_through_a_proxy_is_refused() {
    let (_directory, metadata) = metadata(false).await;
    let headers = [(super::TOKEN_TTL, "60"), ("x-forwarded-for", "10.0.0.1")];
    let refused = ask(&metadata, &Method::PUT, "/latest/api/token", &headers);
    assert_eq!(refused.unwrap_err(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_instance_is_told_of_its_end_from_the_notice_on() {
    let (_directory, metadata) = metadata(false).await;
    let end = OffsetDateTime::from_unix_timestamp(1_505_809_320).unwrap();
    let notice = end - Duration::seconds(120);
    let interruption = Interruption {
        notice,
        end: end + Duration::milliseconds(250),
        spared: false,
    };
    let get = |path: &str, now| {
        let path = format!("/latest/meta-data/{path}");
        ask_from(&metadata, PEER, &Method::GET, &path, &[], now).map(|answer| text(Ok(answer)))
    };
    let paths = ["spot/instance-action", "spot/termination-time"];
    for path in paths {
        assert_eq!(
            get(path, notice),
            Err(StatusCode::NOT_FOUND),
            "nothing is to come"
        );
    }
    metadata
        .ledger
        .commit(move |state| {
            let instance = state.instance_mut("i-00000000000000001").unwrap();
            instance.faults.interruption = Some(interruption);
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    let second = Duration::SECOND;
    for (now, is_told) in [
        (notice - second, false),
        (notice, true),
        (end - second, true),
        (end + second, false),
    ] {
        for path in paths {
            assert_eq!(get(path, now).is_ok(), is_told, "{path} at {now}");
        }
        assert_eq!(get("", now).unwrap().contains("spot/"), is_told, "{now}");
    }
    // As in Amazon's guide to spot instance interruptions.
    assert_eq!(
        get("spot/instance-action", notice).unwrap(),
        r#"{"action":"terminate","time":"2017-09-19T08:22:00Z"}"#
    );
    assert_eq!(
        get("spot/termination-time", notice).unwrap(),
        "2017-09-19T08:22:00Z"
    );
}

#[tokio::test]
async fn the_service_of_eucalyptus_has_no_tokens_and_lacks_the_names_of_later_years() {
    let (_directory, amazon) = metadata(true).await;
    let mut config = (*amazon.config).clone();
    config.profile = crate::Profile::EUCALYPTUS;
    let eucalyptus = Metadata {
        ledger: amazon.ledger.clone(),
        config: Arc::new(config),
        tokens: Tokens::new().unwrap(),
    };
    let ttl = [("x-aws-ec2-metadata-token-ttl-seconds", "60")];
    for (method, path, headers, expected) in [
        (Method::PUT, "/latest/api/token", ttl, Err(StatusCode::NOT_FOUND)),
        // Whatever the method, and whatever token is shown.
        (
            Method::PUT,
            "/latest/meta-data/instance-id",
            ttl,
            Ok("i-00000000000000001"),
        ),
        (
            Method::GET,
            "/latest/meta-data/instance-id",
            [("x-aws-ec2-metadata-token", "x")],
            Ok("i-00000000000000001"),
        ),
        (
            Method::GET,
            "/latest/meta-data/spot/instance-action",
            ttl,
            Err(StatusCode::NOT_FOUND),
        ),
        (
            Method::GET,
            "/latest/meta-data/instance-life-cycle",
            ttl,
            Err(StatusCode::NOT_FOUND),
        ),
        (
            Method::GET,
            "/latest/meta-data/placement/",
            ttl,
            Ok("availability-zone"),
        ),
    ] {
        let told = ask(&eucalyptus, &method, path, &headers);
        let told = told.map(|answer| String::from_utf8(answer.body).unwrap());
        assert_eq!(told, expected.map(str::to_owned), "{method} {path}");
    }
    assert!(ask(&amazon, &Method::PUT, "/latest/api/token", &ttl).is_ok());
    let versions = ask(&eucalyptus, &Method::GET, "/", &[]).unwrap().body;
    assert!(versions.starts_with(b"1.0\n2007-01-19\n") && versions.ends_with(b"\nlatest"));
}
