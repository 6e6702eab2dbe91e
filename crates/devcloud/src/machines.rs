//! The seam between the control side and the machines: a trait that the hypervisor and the tests' fake implement.

use std::{net::SocketAddrV4, path::PathBuf, time::Duration};

use futures_util::future::BoxFuture;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::broadcast,
};

pub use crate::hypervisor::{GATEWAY, METADATA};
use crate::machine::{MachineSpec, MachineState};

/// Any error of the hypervisor. The control side never looks inside: it retries or gives the instance up.
pub type MachineError = Box<dyn std::error::Error + Send + Sync>;

/// What an asynchronous call of the hypervisor returns.
pub type MachineFuture<'a, T> = BoxFuture<'a, Result<T, MachineError>>;

/// Machines with disks, in a network of their own.
pub trait Machines: Send + Sync + 'static {
    /// Makes a disk and starts a machine on it; returns when its first process runs.
    fn run<'a>(&'a self, spec: &'a MachineSpec) -> MachineFuture<'a, ()>;
    /// Starts a machine on its kept disk.
    fn start_again<'a>(&'a self, id: &'a str) -> MachineFuture<'a, ()>;
    /// Ends the machine politely and keeps its disk. Nothing happens when it does not run.
    fn stop<'a>(&'a self, id: &'a str) -> MachineFuture<'a, ()>;
    /// Ends the machine's processes and starts it again on its disk.
    fn reboot<'a>(&'a self, id: &'a str) -> MachineFuture<'a, ()>;
    /// Removes the machine and its disk. Nothing happens when it is not there.
    fn terminate<'a>(&'a self, id: &'a str) -> MachineFuture<'a, ()>;
    /// Removes what is kept of a terminated machine: its console.
    fn forget<'a>(&'a self, id: &'a str) -> MachineFuture<'a, ()>;
    /// Every machine that has a disk, and whether it runs.
    fn machines(&self) -> MachineFuture<'_, Vec<(String, MachineState)>>;
    /// Cuts (`false`) or mends the machine's network link; nothing is closed.
    fn set_link<'a>(&'a self, id: &'a str, up: bool) -> MachineFuture<'a, ()>;
    /// Freezes or thaws every process of the machine.
    fn set_frozen<'a>(&'a self, id: &'a str, frozen: bool) -> MachineFuture<'a, ()>;
    /// The tail of what the machine wrote to its console.
    fn console_output<'a>(&'a self, id: &'a str, max_bytes: usize) -> MachineFuture<'a, Vec<u8>>;
    /// Copies what the machine wrote over its image to a layer of another image, and says where it is. With `reboot` the
    /// machine stands still for that.
    fn capture<'a>(&'a self, id: &'a str, image: &'a str, reboot: bool) -> MachineFuture<'a, PathBuf>;
    /// Removes the layer of an image. Nothing happens when it is not there.
    fn discard_image<'a>(&'a self, image: &'a str) -> MachineFuture<'a, ()>;
    /// Opens a connection inside the cloud's network.
    fn connect(&self, address: SocketAddrV4, patience: Duration) -> MachineFuture<'_, TcpStream>;
    /// Listens inside the cloud's network.
    fn listen(&self, address: SocketAddrV4) -> MachineFuture<'_, TcpListener>;
    /// Ids of machines that ended by themselves, as a power-off from inside does.
    fn endings(&self) -> broadcast::Receiver<String>;
    /// Returns when the hypervisor has ended without being asked to, and every machine with it.
    fn closed(&self) -> BoxFuture<'_, ()>;
    /// Starts the hypervisor anew after that. Disks are kept; no machine runs, nothing is listened on.
    fn restart(&self) -> MachineFuture<'_, ()>;
    /// Ends every machine, keeps the disks, and takes the network down.
    fn shutdown(&self) -> MachineFuture<'_, ()>;
}
