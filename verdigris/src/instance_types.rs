//! The instance types that a fleet file asks a cloud for, and what was meant by those that it does not have.

use std::collections::BTreeMap;

use cloud::UnknownTypes;
use model::{
    fleet::{Contradiction, FleetSpec, PoolSpec},
    nearest::all_near,
};

/// How many types are named instead of one that a cloud does not have.
const MOST_NAMED: usize = 3;

/// Whether a pool's machines are of that cloud.
pub(crate) fn is_in(fleet: &FleetSpec, pool: &PoolSpec, cloud: &str) -> bool {
    fleet.cloud_of(pool) == Some(cloud)
}

/// The instance types that a cloud is asked for, and where in the fleet file.
pub(crate) fn types_of<'a>(fleet: &'a FleetSpec, cloud: &str) -> BTreeMap<&'a str, Vec<Vec<String>>> {
    let mut uses: BTreeMap<&str, Vec<Vec<String>>> = BTreeMap::new();
    for (pool, spec) in fleet.pools.iter().filter(|(_, pool)| is_in(fleet, pool, cloud)) {
        for (offering, spec) in spec.offerings.iter().enumerate() {
            for (number, name) in spec.types.iter().enumerate() {
                let (offering, number) = (offering.to_string(), number.to_string());
                let path = ["pools", pool.as_str(), "offerings", &offering, "types", &number];
                uses.entry(name)
                    .or_default()
                    .push(path.map(str::to_owned).to_vec());
            }
        }
    }
    uses
}

/// Where types are asked for that a cloud does not have, and which were probably meant.
pub(crate) fn unknown_types(
    uses: &BTreeMap<&str, Vec<Vec<String>>>,
    found: &UnknownTypes,
    cloud: &str,
) -> Vec<Contradiction> {
    let of_type = |name: &String| {
        let near: Vec<String> = all_near(name, &found.offered)
            .into_iter()
            .take(MOST_NAMED)
            .map(|near| format!("`{near}`"))
            .collect();
        let hint = match near.as_slice() {
            [] => String::new(),
            near => format!(", did you mean {}?", near.join(" or ")),
        };
        let words = format!("the cloud {cloud} has no instance type `{name}`{hint}");
        let places = uses.get(name.as_str()).into_iter().flatten();
        let at = |path: &Vec<String>| Contradiction {
            path: path.clone(),
            ..Contradiction::new(&[], words.as_str())
        };
        places.map(at).collect::<Vec<_>>()
    };
    found.unknown.iter().flat_map(of_type).collect()
}
