//! A cloud whose endpoint is not what the fleet file says gets no launches; what it has, and other clouds, go on.

use cloud::Dialect;
use model::fleet::CloudProfile;

use super::*;

fn eucalyptus() -> Option<Dialect> {
    Dialect::shown_by(Some(CloudProfile::Eucalyptus), Some(CloudProfile::Eucalyptus))
}

#[tokio::test]
async fn a_cloud_that_contradicts_its_profile_is_refused_until_the_file_says_what_it_is() {
    let mut farm = Farm::start(&pool("x86", "max: 2, idle: 1", "a")).await;
    farm.cloud.show_dialect(eucalyptus());
    farm.pass(60).await;
    assert_eq!(farm.launches, []);
    let told = farm.troubles().await;
    assert!(
        told.len() == 1
            && told[0].starts_with("cloud fake gives no machines since ")
            && told[0].contains(
                ": clouds.fake.profile: it is `aws`, but the endpoint speaks the dialect of `eucalyptus`"
            )
            && told[0].contains("Write `profile: eucalyptus`"),
        "{told:?}"
    );
    // The file says so now: it is asked anew.
    let mut context = Context::clone(&farm.controller.context);
    let mut fleet = FleetSpec::clone(&context.fleet);
    fleet.clouds.get_mut("fake").unwrap().profile = CloudProfile::Eucalyptus;
    context.fleet = Arc::new(fleet);
    farm.controller = Controller::new(context);
    farm.until_ready(1).await;
    assert_eq!(farm.troubles().await, [""; 0]);
}

#[tokio::test]
async fn machines_that_are_there_are_looked_after_and_ended_also_where_nothing_is_launched_any_more() {
    let mut farm = Farm::start(&pool("x86", "max: 2, idle: 2", "a")).await;
    farm.until_ready(2).await;
    farm.cloud.show_dialect(eucalyptus());
    // A controller that starts asks anew; and the pool is to have fewer.
    let mut context = Context::clone(&farm.controller.context);
    let mut fleet = FleetSpec::clone(&context.fleet);
    let size = &mut fleet.pools.get_mut(&"x86".parse().unwrap()).unwrap().size;
    (size.max, size.idle) = (0, model::quantity::Share::Count(0));
    context.fleet = Arc::new(fleet);
    farm.controller = Controller::new(context);
    // They are not needed for long enough.
    farm.pass(590).await;
    farm.until("both are gone", |states, cloud| {
        states.is_empty() && cloud.terminated().len() >= 2
    })
    .await;
    assert_eq!(farm.troubles().await.len(), 1);
}

#[tokio::test]
async fn who_does_not_say_whose_dialect_he_speaks_is_believed_and_asked_again() {
    let mut farm = Farm::start(&pool("x86", "max: 2, idle: 1", "a")).await;
    farm.cloud.refuse_to_show_dialect(Some(unclear()));
    farm.until_ready(1).await;
    farm.cloud.show_dialect(eucalyptus());
    farm.cloud.refuse_to_show_dialect(None);
    farm.pass(90).await;
    assert_eq!(farm.states().await, [BuilderState::Ready], "what is there stays");
    let told = farm.troubles().await;
    assert!(
        told.len() == 1 && told[0].contains("clouds.fake.profile: "),
        "{told:?}"
    );
    // The endpoint is another one now.
    farm.cloud.show_dialect(None);
    farm.pass(60).await;
    assert_eq!(farm.troubles().await, [""; 0]);
}
