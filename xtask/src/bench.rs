//! Benchmarks: what the farm adds to the bare work, as a ratio to that work in the same run. They print figures and never fail on one.

mod api;
mod bare;
mod checkout;
mod fleet;
mod phases;
mod pipeline;
mod plan;
mod provision;
mod table;

use anyhow::Result;
use clap::Subcommand;

use crate::cache::Cache;

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// From the submission of a package to its being installable, beside a bare rpmbuild of it in the same chroot.
    Pipeline(pipeline::Pipeline),
    /// Requests to the API over a kept connection: CPU time beside an older commit, and requests per second beside the same list
    /// served by Flask, SQLAlchemy and gunicorn from the same data.
    Api(api::Wanted),
    /// Rounds of the planner and the deletion of a large project in databases with a long history, beside an older commit.
    Plan(plan::Plan),
    /// Decisions over a very large fleet and queue, attempts handed out and a restart, on both databases, beside resalloc where a
    /// checkout of it is given.
    Fleet(fleet::Fleet),
    /// A machine made a builder by the farm's own runner of playbooks, beside the real ansible-playbook with the same playbook.
    /// Needs root.
    Provision(provision::Provision),
}

/// Runs one benchmark.
pub(crate) fn run(cache: &Cache, bench: &Bench) -> Result<()> {
    match bench {
        Bench::Api(wanted) => api::run(cache, wanted),
        Bench::Pipeline(wanted) => pipeline::run(cache, wanted),
        Bench::Fleet(wanted) => fleet::run(cache, wanted),
        Bench::Plan(plan) => plan::run(cache, plan),
        Bench::Provision(wanted) => provision::run(cache, wanted),
    }
}
