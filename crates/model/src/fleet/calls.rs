//! How many calls a cloud's API may be asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CloudProfile, CloudSpec, CredentialsSource, schema};
use crate::{
    calls::{Bucket, Buckets, CallClass},
    quantity::Decimal,
};

/// Which part of the documented calls a fleet makes where its file does not say it.
const USUAL_SHARE: Decimal = Decimal::from_millionths(700_000);
/// Below what Amazon's endpoints are.
const AMAZONS: [&str; 2] = [".amazonaws.com", ".amazonaws.com.cn"];

/// How many calls a cloud is asked in a second; in a burst five times as many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CallsSpec {
    /// How many launches, from 0.01 to 1000; as `api_share` says when left out.
    #[schemars(schema_with = "schema::rate")]
    pub launch: Option<Decimal>,
    /// How many ends of machines, tags, and changes of images, of each, from 0.01 to 1000; as `api_share` says when left out.
    #[schemars(schema_with = "schema::rate")]
    pub change: Option<Decimal>,
    /// How many lists and descriptions, from 0.01 to 1000; as `api_share` says when left out.
    #[schemars(schema_with = "schema::rate")]
    pub read: Option<Decimal>,
}

impl CallsSpec {
    fn of(&self, class: CallClass) -> Option<Decimal> {
        match class {
            CallClass::Launch => self.launch,
            CallClass::Terminate | CallClass::Tag | CallClass::Change => self.change,
            CallClass::Read => self.read,
        }
    }
}

impl CloudSpec {
    /// The buckets of the calls that the fleet may make: those that the file gives, and else a share of those that Amazon
    /// documents, where the endpoint is Amazon's or the file asks for a share.
    #[must_use]
    pub fn buckets(&self) -> Buckets {
        let is_embedded = self.credentials.source == CredentialsSource::Embedded;
        let is_amazons = self.endpoint.as_deref().map_or(!is_embedded, is_amazons);
        let usual = (is_amazons && self.profile == CloudProfile::Aws).then_some(USUAL_SHARE);
        let share = self.api_share.or(usual);
        let bucket = |class: CallClass| {
            let own = self.limits.calls.of(class).map(Bucket::of_rate);
            own.or_else(|| share.map(|share| class.documented().share(share)))
        };
        let all = CallClass::ALL.into_iter();
        all.filter_map(|class| {
            let bucket = bucket(class)?;
            let bucket = if class == CallClass::Read {
                bucket.for_keepers()
            } else {
                bucket
            };
            Some((class, bucket))
        })
        .collect()
    }
}

/// Whether an address is one of Amazon's.
fn is_amazons(endpoint: &str) -> bool {
    let (_, rest) = endpoint.split_once("://").unwrap_or(("", endpoint));
    let host = rest.split(['/', ':', '?']).next().unwrap_or_default();
    AMAZONS.iter().any(|domain| host.ends_with(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(keys: serde_json::Value) -> CloudSpec {
        let mut all =
            serde_json::json!({"kind": "ec2", "region": "r", "credentials": {"source": "environment"}});
        let keys = keys.as_object().unwrap().clone();
        all.as_object_mut().unwrap().extend(keys);
        serde_json::from_value(all).unwrap()
    }

    fn number(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn amazons_documented_calls_are_shared_and_other_endpoints_have_the_limits_that_are_written() {
        let documented = |share: &str| -> Buckets {
            let bucket = |class: CallClass| class.documented().share(number(share));
            let mut all: Buckets = CallClass::ALL.map(|class| (class, bucket(class))).into();
            all.insert(CallClass::Read, bucket(CallClass::Read).for_keepers());
            all
        };
        let launch_only = Buckets::from([(CallClass::Launch, Bucket::of_rate(number("0.5")))]);
        let embedded = serde_json::json!({"credentials": {"source": "embedded"}});
        for (keys, expected) in [
            (serde_json::json!({}), documented("0.7")),
            (serde_json::json!({"api_share": 0.25}), documented("0.25")),
            (
                serde_json::json!({"endpoint": "https://ec2.eu-central-1.amazonaws.com/"}),
                documented("0.7"),
            ),
            (
                serde_json::json!({"endpoint": "https://ec2.cn-north-1.amazonaws.com.cn:443"}),
                documented("0.7"),
            ),
            // Who calls himself so is not Amazon.
            (
                serde_json::json!({"endpoint": "http://amazonaws.com.example.org/"}),
                Buckets::new(),
            ),
            (
                serde_json::json!({"endpoint": "http://127.0.0.1:9/x.amazonaws.com"}),
                Buckets::new(),
            ),
            (
                serde_json::json!({"endpoint": "http://127.0.0.1:9/", "api_share": 1}),
                documented("1"),
            ),
            (embedded, Buckets::new()),
            (
                serde_json::json!({"endpoint": "http://e/", "profile": "eucalyptus"}),
                Buckets::new(),
            ),
            (serde_json::json!({"profile": "eucalyptus"}), Buckets::new()),
            (
                serde_json::json!({"endpoint": "http://e/", "profile": "eucalyptus", "limits": {"calls": {"launch": 0.5}}}),
                launch_only,
            ),
        ] {
            assert_eq!(cloud(keys.clone()).buckets(), expected, "{keys}");
        }
        let keys = serde_json::json!({"limits": {"calls": {"change": 3}}});
        let mut expected = documented("0.7");
        for class in [CallClass::Terminate, CallClass::Tag, CallClass::Change] {
            expected.insert(class, Bucket::of_rate(number("3")));
        }
        assert_eq!(
            cloud(keys).buckets(),
            expected,
            "what is written stands before the documented ones, and is not shared"
        );
    }
}
