//! The limit of a cloud, which the machines of others in the account use up as well.

use std::collections::BTreeMap;

use model::fleet::CloudProfile;

use super::*;

impl Farm {
    /// Lets the cloud have so many machines.
    pub(super) fn limit(&mut self, instances: u32, profile: CloudProfile) {
        let context = Arc::make_mut(&mut self.controller.context);
        let cloud = Arc::make_mut(&mut context.fleet).clouds.get_mut("fake").unwrap();
        (cloud.limits.instances, cloud.profile) = (Some(instances), profile);
    }

    /// Adds a machine that others have in the account.
    pub(super) fn add_stranger(&self, id: &str, state: InstanceState, fleet: Option<&str>) {
        let tags = fleet.map(|fleet| (FLEET_TAG.to_owned(), fleet.to_owned()));
        self.cloud.add(Instance {
            id: id.to_owned(),
            state,
            address: Some("127.0.0.1".to_owned()),
            state_reason: None,
            offering: None,
            tags: tags.into_iter().collect::<BTreeMap<_, _>>(),
        });
    }

    /// The pool's note in the plan of this moment.
    async fn note(&mut self) -> String {
        let view = self.controller.view().await.unwrap();
        let health = self.controller.clouds.health();
        let plan = plan::plan(&snapshot_with(&self.controller.context, &view, &health));
        plan.pools[0].note.clone()
    }
}

const THEIRS: &str = "flt_00000000000000000000000000000004";

#[tokio::test]
async fn machines_of_others_leave_less_room_as_the_cloud_counts_them_and_give_it_back_when_they_go() {
    for (profile, launched) in [(CloudProfile::Aws, 2), (CloudProfile::Eucalyptus, 1)] {
        let mut farm = Farm::start(&pool("x86", "max: 9, idle: 9", "a")).await;
        farm.limit(5, profile);
        farm.add_stranger("i-running", InstanceState::Running, None);
        farm.add_stranger("i-theirs", InstanceState::Pending, Some(THEIRS));
        farm.add_stranger("i-tagged", InstanceState::ShuttingDown, Some("flt_x"));
        farm.add_stranger("i-stopped", InstanceState::Stopped, None);
        farm.add_stranger("i-gone", InstanceState::Terminated, None);
        farm.until_ready(launched).await;
        let others = 5 - launched;
        let words = format!(
            "cloud fake has as many machines as it may: 5, with {launched} of its pools and {others} of others"
        );
        assert_eq!(farm.note().await, words);
        assert_eq!(farm.cloud.counts(), 1, "a list of all is made once in a while");
        for id in ["i-running", "i-theirs", "i-tagged", "i-stopped"] {
            farm.cloud.set_state(id, InstanceState::Terminated);
        }
        farm.clock.advance(Duration::from_secs(250));
        farm.settle().await;
        assert_eq!(farm.states().await.len(), launched, "nobody has counted yet");
        farm.clock.advance(Duration::from_secs(60));
        farm.until_ready(5).await;
        assert_eq!(farm.cloud.counts(), 2);
        assert_eq!(
            farm.cloud.terminated(),
            [""; 0],
            "what is others' is never touched"
        );
    }
}

#[tokio::test]
async fn without_a_count_nothing_is_launched_and_an_old_one_lasts_for_a_while() {
    let mut farm = Farm::start(&pool("x86", "max: 3, idle: 3", "a")).await;
    farm.limit(2, CloudProfile::Aws);
    farm.cloud.refuse_to_count(Some(refused("UnauthorizedOperation")));
    farm.pass(40).await;
    assert_eq!(farm.launches, []);
    let uncounted = "the machines of cloud fake that are none of the fleet's are being counted";
    assert_eq!(farm.note().await, uncounted);
    assert_eq!(farm.troubles().await, [""; 0], "the cloud itself answers");
    assert_eq!(farm.cloud.counts(), 2, "it is tried again now and then");
    farm.cloud.refuse_to_count(None);
    farm.pass(30).await;
    farm.until_ready(2).await;

    // A count that fails later leaves the last one in force for a quarter of an hour.
    farm.cloud.refuse_to_count(Some(refused("UnauthorizedOperation")));
    let id = farm.cloud.instances()[0].id.clone();
    farm.clock.advance(Duration::from_secs(600));
    farm.settle().await;
    farm.cloud.set_state(&id, InstanceState::Terminated);
    farm.pass(31).await;
    farm.until_ready(2).await;
    assert_eq!(farm.launches.len(), 3, "one took the place of the one that went");
    farm.clock.advance(Duration::from_secs(600));
    farm.settle().await;
    assert_eq!(farm.note().await, uncounted);
}

#[tokio::test]
async fn without_a_limit_nobody_asks_for_all_machines_of_an_account() {
    let mut farm = Farm::start(&pool("x86", "max: 2, idle: 2", "a")).await;
    farm.add_stranger("i-running", InstanceState::Running, None);
    farm.until_ready(2).await;
    assert_eq!(farm.cloud.counts(), 0);
}

#[tokio::test]
async fn a_stray_takes_up_the_limit_until_it_is_ended() {
    let mut farm = Farm::start(&pool("x86", "max: 9, idle: 9", "a")).await;
    farm.limit(2, CloudProfile::Aws);
    let ours = farm.controller.context.fleet.fleet.to_string();
    farm.add_stranger("i-stray", InstanceState::Running, Some(&ours));
    farm.until_ready(1).await;
    assert_eq!(
        farm.note().await,
        "cloud fake has as many machines as it may: 2, with 1 of its pools and 1 of others"
    );
    farm.pass(160).await;
    farm.until_ready(2).await;
    assert_eq!(farm.cloud.terminated(), ["i-stray"]);
}
