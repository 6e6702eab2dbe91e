//! The whole farm: the real program with real machines, real rpmbuild, real dnf and the real copr-cli.

#![cfg(test)]

mod adopt;
mod bad_input;
mod broken_machines;
mod chart;
mod cloud_away;
mod clouds;
mod config_check;
mod config_whole;
mod consoles;
mod copr_client;
mod disks;
mod documentation;
mod every_fault;
mod farm;
mod faults;
mod fifty;
mod fleet_ask;
mod fleet_commands;
mod fleet_file;
mod fleet_reload;
mod full_disk;
mod hooks;
mod host_keys;
mod hosts;
mod images;
mod interruption;
mod killed;
mod leaders;
mod leases;
mod moto;
mod names;
mod odd_packages;
mod operator;
mod output;
mod packages;
mod processes;
mod profiles;
mod protected;
mod provision;
mod provision_by_ansible;
mod refused_task;
mod requirements;
mod restarts;
mod reuse;
mod selected_images;
#[path = "../../../provisioner/tests/it/throwaway.rs"]
#[expect(dead_code, reason = "the provisioner's own tests use the rest of it")]
mod throwaway;
