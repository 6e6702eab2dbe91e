use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
};

use model::{BuilderId, LaunchId};
use uuid::Uuid;

use super::*;

/// An endpoint that gives one prepared answer and hands back what it was asked.
fn endpoint(status: &str, body: &str) -> (Ec2, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        let mut chunk = [0; 4096];
        while !is_whole(&asked) {
            let count = stream.read(&mut chunk).unwrap();
            asked.extend_from_slice(&chunk[..count]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(asked).unwrap()
    });
    let cloud = Ec2::new(&Ec2Settings {
        region: "dev-1".to_owned(),
        endpoint: Some(format!("http://{address}")),
        access_key: "AKIAEXAMPLE".to_owned(),
        secret_key: "secret".to_owned(),
    });
    (cloud, server)
}

fn is_whole(asked: &[u8]) -> bool {
    let text = String::from_utf8_lossy(asked).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap_or("0");
    body.len() >= length.trim().parse().unwrap()
}

fn request() -> LaunchRequest {
    LaunchRequest {
        launch: LaunchId(Uuid::from_u128(1)),
        builder: BuilderId(Uuid::from_u128(2)),
        fleet: FleetId(Uuid::from_u128(3)),
        pool: "x86".parse().unwrap(),
        image: "ami-0123456789abcdef0".to_owned(),
        instance_type: "c7i.xlarge".to_owned(),
        zone: None,
        subnet: None,
        security_groups: Vec::new(),
        user_data: "#cloud-config\n".to_owned(),
        metadata_options: true,
    }
}

fn error_body(code: &str) -> String {
    format!("<Response><Errors><Error><Code>{code}</Code><Message>no</Message></Error></Errors></Response>")
}

#[tokio::test]
async fn a_launch_carries_its_token_and_the_tags_that_make_it_ours() {
    let body = "<RunInstancesResponse><instancesSet><item><instanceId>i-1</instanceId>\
        <instanceState><code>0</code><name>pending</name></instanceState></item></instancesSet>\
        </RunInstancesResponse>";
    let (cloud, server) = endpoint("200 OK", body);
    let instance = cloud.launch(&request()).await.unwrap();
    assert_eq!(
        (instance.id.as_str(), instance.state),
        ("i-1", InstanceState::Pending)
    );
    let asked = server.join().unwrap();
    assert!(
        asked.contains("ClientToken=lch_00000000000000000000000000000001"),
        "{asked}"
    );
    assert!(
        asked.contains("verdigris%3Afleet&TagSpecification.1.Tag.2.Value=flt_"),
        "{asked}"
    );
    assert!(asked.contains("MetadataOptions.HttpTokens=required"), "{asked}");
}

#[tokio::test]
async fn a_refusal_for_capacity_is_definite_though_it_comes_as_a_server_error() {
    let (cloud, server) = endpoint("500 Oh", &error_body("InsufficientInstanceCapacity"));
    let error = cloud.launch(&request()).await.unwrap_err();
    assert!(matches!(error, Error::NoCapacity { .. }), "{error}");
    assert!(!error.may_have_acted());
    server.join().unwrap();
}

#[tokio::test]
async fn a_server_error_without_a_code_may_have_made_a_machine() {
    let (cloud, server) = endpoint("500 Oh", "<html>sorry</html>");
    let error = cloud.launch(&request()).await.unwrap_err();
    assert!(error.may_have_acted(), "{error}");
    server.join().unwrap();
}

#[tokio::test]
async fn a_connection_that_is_refused_is_unclear_to_the_caller() {
    let (cloud, server) = endpoint("200 OK", "");
    drop(server);
    let closed = Ec2::new(&Ec2Settings {
        region: "dev-1".to_owned(),
        endpoint: Some("http://127.0.0.1:1".to_owned()),
        access_key: "a".to_owned(),
        secret_key: "b".to_owned(),
    });
    assert!(matches!(
        closed.launch(&request()).await,
        Err(Error::Unclear { .. })
    ));
    drop(cloud);
}

#[tokio::test]
async fn a_wrong_key_is_for_a_person_to_mend() {
    let (cloud, server) = endpoint("401 No", &error_body("AuthFailure"));
    let error = cloud.terminate("i-1").await.unwrap_err();
    assert_eq!(error.to_string(), "the cloud refuses: AuthFailure: no");
    server.join().unwrap();
}

#[tokio::test]
async fn an_instance_with_another_fleets_tag_is_not_listed() {
    let item = |id: &str, fleet: u128| {
        format!(
            "<item><instancesSet><item><instanceId>{id}</instanceId><tagSet><item><key>verdigris:fleet</key>\
             <value>{}</value></item></tagSet></item></instancesSet></item>",
            FleetId(Uuid::from_u128(fleet))
        )
    };
    let body = format!(
        "<DescribeInstancesResponse><reservationSet>{}{}</reservationSet></DescribeInstancesResponse>",
        item("i-ours", 3),
        item("i-theirs", 4)
    );
    let (cloud, server) = endpoint("200 OK", &body);
    let found = cloud.list(FleetId(Uuid::from_u128(3))).await.unwrap();
    assert_eq!(
        found
            .iter()
            .map(|instance| instance.id.as_str())
            .collect::<Vec<_>>(),
        ["i-ours"]
    );
    server.join().unwrap();
}
