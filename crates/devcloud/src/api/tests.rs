//! Actions called as a request calls them, without HTTP, on machines that are none.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use devcloud_dialect::{Api, ApiError, Form};

use super::{Service, actions::dispatch};
use crate::{
    CloudConfig, ImageConfig, Profile,
    faults::{Faults, Struck},
    ledger::{InstanceState, Ledger},
    life::Life,
    testing::FakeMachines,
};

mod answers;
mod attributes;
mod control;
mod faults;
mod filters;
mod groups;
mod images;
mod lists;
mod parameters;
mod plans;
mod profiles;
mod states;

/// How many elements of this name an answer has.
fn count(answer: &str, element: &str) -> usize {
    answer.matches(&format!("<{element}>")).count()
}

/// The texts of the elements of this name, in their order.
fn texts<'a>(answer: &'a str, element: &str) -> Vec<&'a str> {
    let begin = format!("<{element}>");
    let parts = answer.split(&begin).skip(1);
    parts.filter_map(|rest| rest.split('<').next()).collect()
}

/// What a table of cases says of an answer: the texts of one element, or the code of a refusal.
fn told(answer: Result<String, ApiError>, element: &str) -> String {
    match answer {
        Ok(answer) => texts(&answer, element).join(" "),
        Err(error) => format!("{}: {}", error.code, error.message),
    }
}

struct Harness {
    service: Service,
    _directory: tempfile::TempDir,
}

impl Harness {
    fn new(change: impl FnOnce(&mut CloudConfig)) -> Self {
        Self::on(FakeMachines::new(), change)
    }

    /// One whose machines can be asked what became of them.
    fn with_machines() -> (Self, Arc<FakeMachines>) {
        let machines = FakeMachines::new();
        (Self::on(Arc::clone(&machines), |_| ()), machines)
    }

    fn on(machines: Arc<FakeMachines>, change: impl FnOnce(&mut CloudConfig)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = CloudConfig::new(directory.path(), "key", "secret");
        config.public_network = 86;
        config.ssh_port = 4322;
        config.images.push(ImageConfig {
            id: Profile::AWS.image_id("fake"),
            name: "fake".to_owned(),
            description: String::new(),
            architecture: "x86_64".to_owned(),
            layers: Vec::new(),
            keeps_volume: false,
        });
        change(&mut config);
        for image in &mut config.images {
            image.id = config.profile.image_id(&image.name);
        }
        let config = Arc::new(config);
        let ledger = Ledger::open(directory.path()).unwrap();
        let life = Life::new(
            ledger.clone(),
            machines.clone(),
            &config,
            CancellationToken::new(),
        );
        let service = Service {
            ledger,
            life,
            machines,
            faults: Faults::default(),
            config,
        };
        Self {
            service,
            _directory: directory,
        }
    }

    async fn call(&self, action: &str, form: &str) -> Result<String, ApiError> {
        let form = Form::parse(&[form])?;
        let (xml, _) = dispatch(&self.service, Api::Ec2, action, &form).await?;
        Ok(xml.response(Api::Ec2, "2016-11-15", action, "request"))
    }

    async fn refused(&self, action: &str, form: &str) -> String {
        self.call(action, form).await.unwrap_err().code.into_owned()
    }

    async fn run(&self, form: &str) -> Result<String, ApiError> {
        let image = self.service.config.profile.image_id("fake");
        self.call("RunInstances", &format!("ImageId={image}&{form}"))
            .await
    }

    /// The ids of all instances, in the order in which they were made.
    fn ids(&self) -> Vec<String> {
        let instances = self.service.ledger.instances();
        instances.iter().map(|one| one.id.clone()).collect()
    }

    async fn settled(&self) {
        for _ in 0..1000 {
            let moving = |state| matches!(state, InstanceState::Pending | InstanceState::ShuttingDown);
            if !self
                .service
                .ledger
                .instances()
                .iter()
                .any(|one| moving(one.state))
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("instances do not settle: {:?}", self.service.ledger.instances());
    }
}

#[tokio::test]
async fn a_launch_takes_what_there_is_room_for_and_refuses_what_there_is_not() {
    let harness = Harness::new(|config| config.capacity.instances = 3);
    harness.run("MinCount=1&MaxCount=2").await.unwrap();
    let error = harness.run("MinCount=2&MaxCount=2").await.unwrap_err();
    assert_eq!(
        (error.code.as_ref(), error.status.as_u16()),
        ("InsufficientInstanceCapacity", 500)
    );
    harness.run("MinCount=1&MaxCount=5").await.unwrap();
    assert_eq!(harness.service.ledger.instances().len(), 3);
}

#[tokio::test]
async fn the_quota_counts_what_is_alive_only() {
    let harness = Harness::new(|config| config.capacity.max_instances = 1);
    harness.run("MinCount=1&MaxCount=1").await.unwrap();
    assert_eq!(
        harness.run("MinCount=1&MaxCount=1").await.unwrap_err().code,
        "InstanceLimitExceeded"
    );
    let id = harness.service.ledger.instances()[0].id.clone();
    harness
        .call("TerminateInstances", &format!("InstanceId.1={id}"))
        .await
        .unwrap();
    harness.settled().await;
    harness.run("MinCount=1&MaxCount=1").await.unwrap();
}

#[tokio::test]
async fn concurrent_launches_with_one_token_make_one_set_of_instances() {
    let harness = Harness::new(|_| ());
    let launches = (0..16).map(|_| harness.run("MinCount=2&MaxCount=2&ClientToken=same"));
    let answers = futures_util::future::join_all(launches).await;
    let reservations: Vec<String> = answers
        .into_iter()
        .map(|answer| {
            let answer = answer.unwrap();
            answer.split("reservationId>").nth(1).unwrap().to_owned()
        })
        .collect();
    assert!(
        reservations.iter().all(|one| *one == reservations[0]),
        "{reservations:?}"
    );
    let instances = harness.service.ledger.instances();
    assert_eq!(instances.len(), 2);
    assert_ne!(instances[0].private_address, instances[1].private_address);
}

#[tokio::test]
async fn hostile_parameters_are_refused_by_name_and_leave_nothing() {
    let harness = Harness::new(|_| ());
    for (form, code) in [
        ("", "MissingParameter"),
        ("MinCount=1", "MissingParameter"),
        ("MinCount=0&MaxCount=1", "InvalidParameterValue"),
        ("MinCount=1&MaxCount=1001", "InvalidParameterValue"),
        ("MinCount=1&MaxCount=1&Colour=red", "UnknownParameter"),
        (
            "MinCount=1&MaxCount=1&UserData=%21%21",
            "InvalidUserData.Malformed",
        ),
        (
            "MinCount=1&MaxCount=1&MetadataOptions.HttpTokens=maybe",
            "InvalidParameterValue",
        ),
        (
            "MinCount=1&MaxCount=1&InstanceInitiatedShutdownBehavior=burn",
            "InvalidParameterValue",
        ),
        (
            "MinCount=1&MaxCount=1&TagSpecification.1.ResourceType=moon",
            "InvalidParameterValue",
        ),
        (
            "MinCount=1&MaxCount=1&TagSpecification.x.ResourceType=instance",
            "UnknownParameter",
        ),
        (
            "MinCount=1&MaxCount=1&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=a%00b",
            "InvalidParameterValue",
        ),
        (
            "MinCount=1&MaxCount=1&SecurityGroupId.1=../../etc",
            "InvalidGroupId.Malformed",
        ),
        ("MinCount=1&MaxCount=1&KeyName=gone", "InvalidKeyPair.NotFound"),
        (
            "MinCount=1&MaxCount=1&InstanceMarketOptions.MarketType=stolen",
            "InvalidParameterValue",
        ),
    ] {
        assert_eq!(harness.run(form).await.unwrap_err().code, code, "{form}");
    }
    assert!(harness.service.ledger.instances().is_empty());
    assert_eq!(
        harness.refused("RunInstances", "MinCount=1&MaxCount=1").await,
        "MissingParameter"
    );
    assert_eq!(
        harness.refused("TerminateInstances", "").await,
        "MissingParameter"
    );
    assert_eq!(harness.refused("DescribeEverything", "").await, "InvalidAction");
    assert_eq!(
        harness.refused("DescribeInstances", "MaxResults=many").await,
        "InvalidParameterValue"
    );
    let long = format!("Filter.1.Name=image-id&Filter.1.Value.1={}", "*".repeat(1025));
    assert_eq!(
        harness.refused("DescribeInstances", &long).await,
        "InvalidParameterValue"
    );
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_a_stop_stops_none() {
    let harness = Harness::new(|_| ());
    harness.run("MinCount=1&MaxCount=1").await.unwrap();
    harness
        .run("MinCount=1&MaxCount=1&InstanceMarketOptions.MarketType=spot")
        .await
        .unwrap();
    harness.settled().await;
    let instances = harness.service.ledger.instances();
    let form: Vec<String> = instances
        .iter()
        .enumerate()
        .map(|(n, one)| format!("InstanceId.{}={}", n + 1, one.id))
        .collect();
    assert_eq!(
        harness.refused("StopInstances", &form.join("&")).await,
        "UnsupportedOperation"
    );
    assert!(
        harness
            .service
            .ledger
            .instances()
            .iter()
            .all(|one| one.state == InstanceState::Running)
    );
}

#[tokio::test]
async fn a_planned_failure_has_the_status_that_ec2_gives_its_code_and_does_nothing() {
    let harness = Harness::new(|_| ());
    for (action, code, status) in [
        ("RunInstances", "InsufficientInstanceCapacity", 500),
        ("RunInstances", "InternalError", 500),
        ("RunInstances", "RequestLimitExceeded", 503),
        ("RunInstances", "VcpuLimitExceeded", 400),
        ("DescribeInstances", "RequestLimitExceeded", 503),
        ("DescribeRegions", "Blocked", 400),
    ] {
        let plan = serde_json::json!({"rules": [{"action": action, "effect": {"fail": {"code": code}}}]});
        harness.service.faults.set(serde_json::from_value(plan).unwrap());
        let form = format!("ImageId={}&MinCount=1&MaxCount=1", Profile::AWS.image_id("fake"));
        let form = if action == "RunInstances" {
            form.as_str()
        } else {
            ""
        };
        let error = harness.call(action, form).await.unwrap_err();
        assert_eq!(
            (error.code.as_ref(), error.status.as_u16()),
            (code, status),
            "{action}"
        );
        assert!(harness.service.ledger.instances().is_empty());
    }
    harness.run("MinCount=1&MaxCount=1").await.unwrap();
}

#[tokio::test]
async fn a_planned_pause_comes_before_the_answer() {
    let harness = Harness::new(|_| ());
    let plan = serde_json::json!({"rules": [
        {"action": "DescribeRegions", "effect": {"pause": {"milliseconds": 300}}},
    ]});
    harness.service.faults.set(serde_json::from_value(plan).unwrap());
    let began = std::time::Instant::now();
    harness.call("DescribeRegions", "").await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(
        harness.service.faults.before("DescribeRegions"),
        Struck::default()
    );
}
