//! `verdigris fleet`: how the builders stand and why, what the controller would do next, under this fleet file or another,
//! and what an operator may tell it.

mod ask;
mod condition;
mod cost;
mod diff;
mod forsaken;
mod hooks;
mod images;
mod init;
mod key;
mod marks;
mod plan;
mod quotas;
mod resume;
mod status;
mod stray;
#[cfg(test)]
pub(crate) mod testing;
mod wanted;
mod watch;
mod why;

use anyhow::Context as _;
use model::{
    fleet::FleetSpec,
    plan::{Plan, Snapshot},
};
use runtime::Settings;
use shell::ClientKey;
use store::{FleetView, Store};

use crate::parts;

pub(crate) use ask::{AskCommand, BAD_CONFIG, ask, misread, see_through, write_down};
pub(crate) use cost::{CostArguments, cost};
pub(crate) use diff::diff;
pub(crate) use forsaken::refuse_forsaken_machines;
pub(crate) use init::{InitArguments, init};
pub(crate) use key::key;
pub(crate) use plan::plan;
pub(crate) use resume::resume;
pub(crate) use status::status;
pub(crate) use watch::{interval, watch};
pub(crate) use why::why;

/// What a controller would see and do under a fleet file. Neither clouds nor builders are asked: no secrets are needed.
pub(crate) fn planned(
    settings: &Settings,
    store: &Store,
    fleet: &FleetSpec,
    view: &FleetView,
) -> anyhow::Result<(Snapshot, Plan)> {
    let key = ClientKey::generate("plan")?;
    let context = parts::planner(settings, key, store, fleet.clone()).context("reading the fleet")?;
    let snapshot = controller::snapshot(&context, view);
    let plan = model::plan(&snapshot);
    Ok((snapshot, plan))
}
