//! What a hypervisor is told, and what it tells of machines that nobody asked to end.

use std::{ffi::OsString, path::PathBuf};

use crate::machine::MachineState;

/// What a hypervisor needs to be started.
#[derive(Clone, Debug)]
pub struct HypervisorConfig {
    /// Where disks and consoles are kept; absolute, on a file system that overlays can be on.
    pub state_dir: PathBuf,
    /// The program and leading arguments that lead to [`crate::guest::main`].
    pub helper: Vec<OsString>,
    /// Names the control groups; the same at each start over one state directory. 1 to 32 of `a-z`, `0-9`, `-`.
    pub cloud_id: String,
    /// Whether machines reach the network outside, by translation of addresses.
    pub outside: bool,
}

/// A machine that ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineEvent {
    pub instance_id: String,
    /// What it is now.
    pub state: MachineState,
}
