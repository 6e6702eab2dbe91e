//! The controller against moto's EC2, whose instances never answer SSH.
//!
//! What moto makes of client tokens, seen with moto 5.2.5: an instance keeps the `ClientToken` of its launch, and no launch looks at
//! those of others. The same launch asked twice makes two instances, where EC2 and devcloud answer with the first once more.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use cloud::{Cloud as _, Ec2, Ec2Settings, InstanceState};
use controller::{Context, Controller, OverSsh};
use model::{BuilderState, Timestamp};
use provisioner::Provisioner;
use runtime::{
    CancellationToken,
    clock::{Clock, ManualClock},
};
use shell::ClientKey;
use store::{DatabaseSettings, Store};

use crate::{
    clouds::{ACCESS_KEY, CloudFacts, Fleet, SECRET_KEY, boto3, moto, states},
    farm::eventually,
};

#[test]
fn machines_that_never_answer_are_given_up_in_time_and_terminated() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = moto(directory.path());
    let fleet = Fleet::new(
        directory.path(),
        &cloud,
        cloud.port,
        "    size: {max: 4, idle: 1}\n    offerings: [{types: [t3.micro]}]\n",
        "{boot: 2s, pending: 60s}",
    );
    let _controller = fleet.controller();
    let settled = || {
        let status = fleet.status();
        let words = status["troubles"][0].as_str().unwrap_or_default().to_owned();
        let failures = words
            .split("since its last ")
            .nth(1)?
            .split(' ')
            .next()?
            .to_owned();
        let is_alone = status["builders"] == serde_json::json!([]);
        is_alone.then_some((failures, words))
    };
    // Three failures in a row, then the pool is held back, and every failure has cost one machine, which is gone. On a slow
    // machine the pause may end meanwhile: what is compared was so before and after.
    let mut words = String::new();
    eventually(
        "three were launched, given up and ended, and the pool is held back",
        || {
            let Some(before) = settled() else { return false };
            let launched = states(cloud.port);
            let plan = fleet.run(&["fleet", "plan"]);
            if settled().is_none_or(|after| after.0 != before.0) {
                return false;
            }
            assert!(launched.iter().all(|state| state == "terminated"), "{launched:?}");
            assert_eq!(launched.len().to_string(), before.0, "{}", fleet.log());
            assert!(
                launched.len() >= 3 && plan.contains("pool x86 is held back"),
                "{plan}"
            );
            words = before.1;
            true
        },
    );
    assert!(words.starts_with("pool x86 is held back"), "{words}");
    assert!(
        words.contains("builders never got ready: the last one: SSH did not answer within "),
        "{words}"
    );
    let volumes = "print(*[(one['VolumeId'], one['State']) for one in ec2.describe_volumes()['Volumes']])";
    let is_kept = format!(
        "print(*[disk['Ebs']['DeleteOnTermination'] for disk in ec2.describe_images(ImageIds=['{}'])['Images'][0]['BlockDeviceMappings']])",
        cloud.image
    );
    assert_eq!(
        boto3(cloud.port, &is_kept).trim(),
        "False",
        "its image leaves its volume behind"
    );
    assert_eq!(boto3(cloud.port, volumes).trim(), "", "and none is left");
    let resumed = fleet.run(&["fleet", "resume", "x86"]);
    assert_eq!(
        resumed.trim(),
        "Pool x86 launches builders again as it needs them."
    );
}

/// A launch that went through a [`Cutter`]: its client token, and the instance that was made, once it is.
type Launch = (String, Option<String>);

/// A way to a cloud that loses the answer to the first launch. Until the launch is repeated nobody is answered who asks for
/// instances: the farm is to find out by the repeated token alone.
struct Cutter {
    port: u16,
    launches: Arc<Mutex<Vec<Launch>>>,
}

impl Cutter {
    fn to(leads_to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let cutter = Self {
            port: listener.local_addr().unwrap().port(),
            launches: Arc::default(),
        };
        let launches = Arc::clone(&cutter.launches);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let launches = Arc::clone(&launches);
                thread::spawn(move || carry(stream, leads_to, &launches));
            }
        });
        cutter
    }

    fn launches(&self) -> Vec<Launch> {
        self.launches.lock().unwrap().clone()
    }
}

/// One request and its answer. A caller that goes away is no matter.
fn carry(mut inside: TcpStream, leads_to: u16, launches: &Mutex<Vec<Launch>>) -> Option<()> {
    let (head, body) = request(&mut inside)?;
    let is_launch = body.contains("Action=RunInstances&");
    let number = is_launch.then(|| {
        let token = between(&body, "ClientToken=", "&");
        let mut all = launches.lock().unwrap();
        all.push((token, None));
        all.len() - 1
    });
    let until = Instant::now() + Duration::from_secs(20);
    while !is_launch && launches.lock().unwrap().len() == 1 && Instant::now() < until {
        thread::sleep(Duration::from_millis(2));
    }
    let mut outside = TcpStream::connect(("127.0.0.1", leads_to)).ok()?;
    write!(outside, "{head}\r\nConnection: close\r\n\r\n{body}").ok()?;
    let mut answer = String::new();
    outside.read_to_string(&mut answer).ok()?;
    if let Some(number) = number {
        launches.lock().unwrap()[number].1 = Some(between(&answer, "<instanceId>", "<"));
    }
    if number == Some(0) {
        inside.shutdown(Shutdown::Both).ok()?;
    } else {
        inside.write_all(answer.as_bytes()).ok()?;
    }
    Some(())
}

/// The head of a request without its last empty line, and its body.
fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let (mut read, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        read.extend_from_slice(piece.get(..count)?);
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = between(&head.to_ascii_lowercase(), "content-length: ", "\r");
        if body.len() >= length.parse().unwrap_or(0) {
            return Some((head.to_owned(), body.to_owned()));
        }
    }
}

/// What stands after a text, as far as another one or the end.
fn between(text: &str, before: &str, after: &str) -> String {
    let rest = text.split_once(before).map_or("", |(_, rest)| rest);
    rest.split(after).next().unwrap_or_default().to_owned()
}

pub(crate) fn client(port: u16) -> Ec2 {
    Ec2::new(&Ec2Settings {
        region: "us-east-1".to_owned(),
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        access_key: ACCESS_KEY.to_owned(),
        secret_key: SECRET_KEY.to_owned(),
        session_token: None,
    })
}

/// What a controller in this process needs that wants one machine of a cloud, with a clock of the test's own: an instance that nobody
/// has is watched for two minutes before it is ended.
pub(crate) async fn context(directory: &Path, cloud: &CloudFacts, port: u16, clock: ManualClock) -> Context {
    let text = format!(
        "schema: 1\nfleet: 019a0000-0000-7000-8000-000000000001\nname: test\n\
         controller: {{lease: {{ttl: 1h, renew: 1m}}}}\n\
         clouds:\n  rented:\n    kind: ec2\n    region: us-east-1\n    credentials: {{source: environment}}\n    \
         network: {{subnet: {subnet}}}\n\
         images:\n  builder: {{cloud: rented, id: {image}}}\n\
         provision:\n  base: {{connect: {{port: 1}}, timeouts: {{boot: 30m}}}}\n\
         pools:\n  x86:\n    labels: [\"arch:x86_64\"]\n    image: builder\n    provision: base\n    \
         size: {{max: 4, idle: 1}}\n    offerings: [{{types: [t3.micro]}}]\n",
        subnet = cloud.subnet.as_deref().unwrap_or_default(),
        image = cloud.image,
    );
    let settings = DatabaseSettings {
        url: format!("sqlite://{}/farm.db", directory.display()),
        max_connections: 4,
    };
    let store = Store::connect(&settings).await.unwrap();
    store.migrate().await.unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let files = Provisioner::load(&root.join("playbooks"), &root.join("provision-files"));
    let provisioner = Arc::new(files.unwrap());
    let key = Arc::new(ClientKey::generate("test").unwrap());
    let ec2 = Arc::new(client(port)) as Arc<dyn cloud::Cloud>;
    Context {
        store,
        clouds: BTreeMap::from([("rented".to_owned(), ec2)]),
        fleet: Arc::new(runtime::yaml::parse(&text, "fleet.yaml").unwrap()),
        provisioner: Arc::clone(&provisioner),
        reach: Arc::new(OverSsh {
            key: Arc::clone(&key),
            provisioner,
        }),
        key,
        clients: controller::Clients::default(),
        calls: controller::Calls::default(),
        term: controller::Term::default(),
        builder_url: "http://farm".to_owned(),
        holder: "test".to_owned(),
        clock: Clock::Manual(clock),
        quiesce: CancellationToken::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_whose_answer_is_lost_ends_with_one_machine_though_moto_makes_one_for_each_question() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = moto(directory.path());
    // What moto does with a token that it knows, without the farm.
    let made = boto3(
        cloud.port,
        &format!(
            "one = dict(ImageId='{}', MinCount=1, MaxCount=1, ClientToken='same')\n\
             print(*[ec2.run_instances(**one)['Instances'][0]['InstanceId'] for _ in range(2)])",
            cloud.image
        ),
    );
    let made: Vec<_> = made.split_whitespace().collect();
    assert!(
        made.len() == 2 && made[0] != made[1],
        "moto heeds client tokens by now: {made:?}"
    );

    let cutter = Cutter::to(cloud.port);
    let clock = ManualClock::new(Timestamp::from_micros(1_800_000_000_000_000));
    let context = context(directory.path(), &cloud, cutter.port, clock.clone()).await;
    let (store, fleet) = (context.store.clone(), context.fleet.fleet);
    let stop = CancellationToken::new();
    let running = tokio::spawn(Controller::new(context).run(stop.clone()));
    let moto = client(cloud.port);
    let mut agreed = 0_u32;
    let begun = Instant::now();
    // They agree when the instance that runs is that of the only builder; for a minute and a half more nothing is to change that.
    while agreed < 90 {
        assert!(
            begun.elapsed() < Duration::from_secs(100),
            "{:?}",
            cutter.launches()
        );
        clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(10)).await;
        let ours = moto.list(fleet).await.unwrap();
        assert!(ours.len() <= 2, "{ours:?}");
        let live: Vec<_> = ours
            .iter()
            .filter(|it| it.state != InstanceState::Terminated)
            .collect();
        let builders = store.builders(None).await.unwrap();
        let agree = match (live.as_slice(), builders.as_slice()) {
            ([one], [builder]) => {
                builder.state == BuilderState::Booting && builder.instance_id.as_ref() == Some(&one.id)
            }
            _ => false,
        };
        assert!(agree || agreed == 0, "{live:?} beside {builders:?}");
        agreed += u32::from(agree);
    }
    stop.cancel();
    running.await.unwrap().unwrap();
    let launches = cutter.launches();
    let [(first, lost), (second, told)] = launches.as_slice() else {
        panic!("one launch, asked twice: {launches:?}");
    };
    assert_eq!(first, second, "the question is repeated with its token");
    assert_ne!(lost, told, "moto made another machine for it");
    // Which of the two is kept depends on what comes first: the answer to the repeated question, or a list of instances that was
    // asked for beside it and has the first machine in it. That the other one is ended was seen above.
    let kept = &store.builders(None).await.unwrap()[0].instance_id;
    assert!(kept == lost || kept == told, "{kept:?} of {launches:?}");
}
