use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
};

use model::{BuilderId, step::launch::Reply};
use uuid::Uuid;

use super::*;

mod owners;

/// An endpoint that gives one prepared answer and hands back what it was asked.
pub(super) fn endpoint(status: &str, body: &str) -> (Ec2, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let asked = read_whole(&mut stream);
        stream.write_all(answer.as_bytes()).unwrap();
        asked
    });
    (at(&format!("http://{address}")), server)
}

/// A client of that endpoint.
pub(super) fn at(endpoint: &str) -> Ec2 {
    Ec2::new(&Ec2Settings {
        region: "dev-1".to_owned(),
        endpoint: Some(endpoint.to_owned()),
        access_key: "AKIAEXAMPLE".to_owned(),
        secret_key: "secret".to_owned(),
        session_token: None,
    })
}

pub(super) fn read_whole(stream: &mut TcpStream) -> String {
    let mut asked = Vec::new();
    let mut chunk = [0; 4096];
    while !is_whole(&asked) {
        let count = stream.read(&mut chunk).unwrap();
        asked.extend_from_slice(&chunk[..count]);
    }
    String::from_utf8(asked).unwrap()
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

pub(super) fn request() -> LaunchRequest {
    LaunchRequest {
        launch: LaunchId(Uuid::from_u128(1)),
        builder: BuilderId(Uuid::from_u128(2)),
        fleet: FleetId(Uuid::from_u128(3)),
        pool: "x86".parse().unwrap(),
        image: "ami-0123456789abcdef0".to_owned(),
        offering: "c7i.xlarge".parse().unwrap(),
        volumes: Vec::new(),
        security_groups: Vec::new(),
        user_data: "#cloud-config\n".to_owned(),
        metadata_options: true,
        limit: Duration::from_secs(60),
    }
}

pub(super) fn error_body(code: &str) -> String {
    format!("<Response><Errors><Error><Code>{code}</Code><Message>no</Message></Error></Errors></Response>")
}

#[tokio::test]
async fn a_launch_is_waited_for_as_long_as_it_says_and_nobody_knows_what_came_of_it_then() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let cloud = at(&format!("http://{}", silent.local_addr().unwrap()));
    let begun = std::time::Instant::now();
    let mut request = request();
    request.limit = Duration::from_millis(700);
    let answer = cloud.launch(&request).await;
    assert!(matches!(answer, Err(Error::Unclear { .. })), "{answer:?}");
    assert!((700..20_000).contains(&begun.elapsed().as_millis()));
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
async fn any_code_of_a_launch_is_a_definite_refusal_whatever_its_status() {
    // Capacity comes as a server error, addresses and quotas as client errors; the last two are no code of Amazon's.
    for (status, code) in [
        ("500 Oh", "InsufficientInstanceCapacity"),
        ("400 No", "InsufficientFreeAddressesInSubnet"),
        ("400 No", "VcpuLimitExceeded"),
        ("400 No", "InstanceLimitExceeded"),
        ("400 No", "MaxSpotInstanceCountExceeded"),
        ("400 No", "Unsupported"),
        ("400 No", "Client.InvalidInstanceType"),
        ("503 Oh", "NodeTypeSoldOut"),
        ("400 No", "NotEnoughResources"),
    ] {
        let (cloud, server) = endpoint(status, &error_body(code));
        let error = cloud.launch(&request()).await.unwrap_err();
        let bare = code.trim_start_matches("Client.");
        let expected = Error::Refused {
            code: bare.to_owned(),
            message: "no".to_owned(),
        };
        assert_eq!(error, expected);
        assert!(!matches!(error.reply(), Reply::Unclear(_)));
        server.join().unwrap();
    }
}

#[tokio::test]
async fn a_cloud_that_asks_for_fewer_calls_is_asked_later_whatever_it_calls_that() {
    for (status, code) in [
        ("503 Oh", "RequestLimitExceeded"),
        ("400 No", "EC2ThrottledException"),
        ("400 No", "RequestThrottled"),
        ("400 No", "RequestThrottledException"),
        ("429 No", "TooManyRequestsException"),
        ("400 No", "Throttling"),
        ("400 No", "ThrottlingException"),
        ("503 Oh", "SlowDown"),
        ("400 No", "Server.RequestLimitExceeded"),
        ("429 No", "AnyOtherWord"),
    ] {
        let (cloud, server) = endpoint(status, &error_body(code));
        let error = cloud.launch(&request()).await.unwrap_err();
        assert!(matches!(error, Error::Throttled { .. }), "{code}: {error}");
        assert!(!matches!(error.reply(), Reply::Unclear(_)));
        server.join().unwrap();
    }
}

#[tokio::test]
async fn a_server_error_that_says_nothing_may_have_made_a_machine() {
    for body in [
        "<html>sorry</html>".to_owned(),
        error_body("InternalError"),
        error_body("InternalFailure"),
        error_body("Unavailable"),
        error_body("ServiceUnavailable"),
    ] {
        let (cloud, server) = endpoint("500 Oh", &body);
        let error = cloud.launch(&request()).await.unwrap_err();
        assert!(matches!(error.reply(), Reply::Unclear(_)), "{body}: {error}");
        server.join().unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_never_comes_may_have_made_a_machine_and_is_told_in_plain_words() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let cloud = at(&format!("http://{}", listener.local_addr().unwrap()));
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // Taken, and hung up on.
        let mut some = [0; 16];
        stream.read_exact(&mut some).unwrap();
    });
    let error = cloud.launch(&request()).await.unwrap_err();
    assert!(matches!(error.reply(), Reply::Unclear(_)), "{error}");
    assert_eq!(
        error.to_string(),
        "no clear answer from the cloud: the connection ended before an answer came"
    );
    server.join().unwrap();
}

#[tokio::test]
async fn what_could_not_be_asked_has_launched_nothing_and_says_why() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = taken.local_addr().unwrap();
    drop(taken);
    let error = at(&format!("http://{free}"))
        .launch(&request())
        .await
        .unwrap_err();
    assert!(!matches!(error.reply(), Reply::Unclear(_)));
    // What people read names no address, no library and no type.
    assert_eq!(
        error.to_string(),
        "the cloud cannot be reached: connection refused"
    );
}

/// An endpoint that answers every question with an empty list, and the ids that each asked for.
fn lists(questions: usize) -> (Ec2, std::thread::JoinHandle<Vec<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let cloud = at(&format!("http://{}", listener.local_addr().unwrap()));
    let server = std::thread::spawn(move || {
        let body = "<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>";
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let mut asked = Vec::new();
        for _ in 0..questions {
            let (mut stream, _) = listener.accept().unwrap();
            let text = read_whole(&mut stream);
            stream.write_all(answer.as_bytes()).unwrap();
            asked.push(text.matches("Filter.1.Value.").count());
        }
        asked
    });
    (cloud, server)
}

#[tokio::test]
async fn more_ids_than_a_filter_takes_are_asked_for_in_portions() {
    let (cloud, server) = lists(3);
    let ids: Vec<String> = (0..450).map(|number| format!("i-{number:017x}")).collect();
    assert_eq!(cloud.describe(&ids).await.unwrap(), []);
    assert_eq!(server.join().unwrap(), [200, 200, 50]);
    assert_eq!(
        cloud.describe(&[]).await.unwrap(),
        [],
        "nothing is asked for nothing"
    );
}

#[tokio::test]
async fn a_list_is_read_to_its_last_page() {
    let item = |id: &str| {
        format!(
            "<item><instancesSet><item><instanceId>{id}</instanceId><tagSet><item><key>verdigris:fleet</key>\
             <value>{}</value></item></tagSet></item></instancesSet></item>",
            FleetId(Uuid::from_u128(3))
        )
    };
    // A page may be empty, and there may still be a next one.
    let pages = [
        (item("i-1"), "<nextToken>two</nextToken>"),
        (String::new(), "<nextToken>three</nextToken>"),
        (item("i-2"), ""),
    ];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let cloud = at(&format!("http://{}", listener.local_addr().unwrap()));
    let server = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for (items, next) in pages {
            let body = format!(
                "<DescribeInstancesResponse><reservationSet>{items}</reservationSet>{next}</DescribeInstancesResponse>"
            );
            let (mut stream, _) = listener.accept().unwrap();
            asked.push(read_whole(&mut stream));
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
        asked
    });
    let found = cloud.list(FleetId(Uuid::from_u128(3))).await.unwrap();
    let ids: Vec<&str> = found.iter().map(|instance| instance.id.as_str()).collect();
    assert_eq!(ids, ["i-1", "i-2"]);
    let asked = server.join().unwrap();
    assert!(!asked[0].contains("NextToken="), "{}", asked[0]);
    assert!(asked[1].contains("NextToken=two") && asked[2].contains("NextToken=three"));
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

fn described(state: &str, addresses: &str) -> String {
    format!(
        "<DescribeInstancesResponse><reservationSet><item><instancesSet><item><instanceId>i-1</instanceId>\
         {addresses}<instanceState><code>0</code><name>{state}</name></instanceState>\
         <stateReason><code>x</code><message>Server.InternalError</message></stateReason>\
         <tagSet><item><key>verdigris:pool</key><value>x86</value></item><item><key>bare</key></item></tagSet>\
         </item></instancesSet></item></reservationSet></DescribeInstancesResponse>"
    )
}

#[tokio::test]
async fn each_state_is_read_as_it_is_called_and_one_that_is_not_known_proves_nothing() {
    for (word, state) in [
        ("pending", InstanceState::Pending),
        ("running", InstanceState::Running),
        ("shutting-down", InstanceState::ShuttingDown),
        ("terminated", InstanceState::Terminated),
        ("stopping", InstanceState::Stopping),
        ("stopped", InstanceState::Stopped),
        ("Running", InstanceState::Unknown),
        ("hibernated", InstanceState::Unknown),
        ("", InstanceState::Unknown),
    ] {
        let (cloud, server) = endpoint("200 OK", &described(word, ""));
        let found = cloud.describe(&["i-1".to_owned()]).await.unwrap();
        assert_eq!(found.len(), 1, "{word}");
        assert_eq!(found[0].state, state, "{word}");
        if state != InstanceState::Unknown {
            assert_eq!(found[0].state.as_str(), word);
        }
        assert_eq!(found[0].state_reason.as_deref(), Some("Server.InternalError"));
        assert_eq!(
            found[0].tags.get("verdigris:pool").map(String::as_str),
            Some("x86")
        );
        assert_eq!(found[0].tags.get("bare").map(String::as_str), Some(""));
        server.join().unwrap();
    }
}

#[tokio::test]
async fn a_machine_is_reached_at_its_public_address_where_it_has_one() {
    let public = "<ipAddress>54.1.2.3</ipAddress>";
    let private = "<privateIpAddress>10.0.0.7</privateIpAddress>";
    for (addresses, expected) in [
        (format!("{private}{public}"), Some("54.1.2.3")),
        (public.to_owned(), Some("54.1.2.3")),
        (private.to_owned(), Some("10.0.0.7")),
        (format!("{private}<ipAddress></ipAddress>"), Some("10.0.0.7")),
        (String::new(), None),
    ] {
        let (cloud, server) = endpoint("200 OK", &described("running", &addresses));
        let found = cloud.describe(&["i-1".to_owned()]).await.unwrap();
        assert_eq!(found[0].address.as_deref(), expected, "{addresses}");
        server.join().unwrap();
    }
}

/// A change of a launch, words that it adds to what is asked, and words that it takes away.
type Changed = (
    fn(&mut LaunchRequest),
    &'static [&'static str],
    &'static [&'static str],
);

#[tokio::test]
async fn what_a_launch_does_not_name_is_left_to_the_cloud() {
    let body = "<RunInstancesResponse><instancesSet><item><instanceId>i-1</instanceId></item></instancesSet>\
        </RunInstancesResponse>";
    let cases: [Changed; 6] = [
        (
            |_| (),
            &["MinCount=1", "MaxCount=1"],
            &["Placement", "Subnet", "SecurityGroup", "InstanceMarketOptions"],
        ),
        (
            |request| request.offering.zone = Some("eu-central-1a".to_owned()),
            &["Placement.AvailabilityZone=eu-central-1a"],
            &["Subnet"],
        ),
        (
            |request| {
                request.offering.subnet = Some("subnet-1".to_owned());
                request.security_groups = vec!["sg-1".to_owned(), "sg-2".to_owned()];
            },
            &[
                "SubnetId=subnet-1",
                "SecurityGroupId.1=sg-1",
                "SecurityGroupId.2=sg-2",
            ],
            &["Placement"],
        ),
        (
            |request| request.offering.market = Market::Spot,
            &[
                "InstanceMarketOptions.MarketType=spot",
                "SpotInstanceType=one-time",
                "InstanceInterruptionBehavior=terminate",
            ],
            &["MaxPrice"],
        ),
        (
            |request| request.offering = "m5.large@a spot<=0.156".parse().unwrap(),
            &[
                "InstanceType=m5.large",
                "AvailabilityZone=a",
                "SpotOptions.MaxPrice=0.156",
            ],
            &["Subnet"],
        ),
        (
            |request| request.metadata_options = false,
            &["ClientToken="],
            &["MetadataOptions"],
        ),
    ];
    for (change, present, missing) in cases {
        let (cloud, server) = endpoint("200 OK", body);
        let mut wanted = request();
        change(&mut wanted);
        cloud.launch(&wanted).await.unwrap();
        let asked = server.join().unwrap();
        for word in present {
            assert!(asked.contains(word), "{word}: {asked}");
        }
        for word in missing {
            assert!(!asked.contains(word), "{word}: {asked}");
        }
    }
}

#[tokio::test]
async fn an_end_that_the_cloud_knows_nothing_of_is_an_end() {
    for (code, is_fine) in [
        ("InvalidInstanceID.NotFound", true),
        ("InvalidInstanceID.Malformed", false),
        ("OperationNotPermitted", false),
        ("UnauthorizedOperation", false),
    ] {
        let (cloud, server) = endpoint("400 No", &error_body(code));
        let ended = cloud.terminate("i-1").await;
        assert_eq!(ended.is_ok(), is_fine, "{code}: {ended:?}");
        let asked = server.join().unwrap();
        assert!(
            asked.contains("Action=TerminateInstances") && asked.contains("InstanceId.1=i-1"),
            "{asked}"
        );
    }
}

#[tokio::test]
async fn a_console_is_read_as_text_whatever_bytes_a_machine_wrote() {
    let answer = |output: &str| {
        format!("<GetConsoleOutputResponse><instanceId>i-1</instanceId>{output}</GetConsoleOutputResponse>")
    };
    for (output, expected) in [
        ("<output>Ym9vdGVkCg==</output>", Some("booted\n")),
        // In lines, as Amazon's own clients take it.
        ("<output>Ym9v\r\ndGVk\nCg==\n</output>", Some("booted\n")),
        ("<output>/2Jvb3Q=</output>", Some("\u{fffd}boot")),
        ("<output></output>", Some("")),
        ("", Some("")),
        ("<output>not base64!</output>", None),
    ] {
        let (cloud, server) = endpoint("200 OK", &answer(output));
        let read = cloud.console_output("i-1").await;
        match expected {
            Some(text) => assert_eq!(read.unwrap(), text, "{output}"),
            None => assert!(matches!(read, Err(Error::Unclear { .. })), "{output}: {read:?}"),
        }
        server.join().unwrap();
    }
}
