//! Calls to clouds, as those who make them see them.

use std::time::Duration;

use model::{
    FleetId,
    calls::{Bucket, CallClass},
};

/// Calls of one class to one cloud, which all processes of the farm take from one budget.
#[derive(Clone, Copy, Debug)]
pub struct CallBudget<'a> {
    pub fleet: FleetId,
    /// The cloud, by its name in the fleet file.
    pub cloud: &'a str,
    pub class: CallClass,
    /// How many there are.
    pub bucket: Bucket,
}

/// What happened to calls since that was told last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallNews {
    /// How often there was none.
    pub waited: u32,
    /// How often the cloud asked for fewer.
    pub throttled: u32,
}

/// What comes of asking for calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenCalls {
    /// So many may be made.
    Granted(u32),
    /// None: there are as many as were asked for after so long at the latest, if nobody else takes them.
    Wait(Duration),
}
