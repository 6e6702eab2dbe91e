//! Machines that are hosts of their own, on this host: namespaces, an overlay over a shared image, an init, control groups.
//!
//! [`hypervisor`] is the handle that a cloud holds; [`guest`] is what runs inside the namespaces, the same program started
//! again; [`machine`] is what the two say to each other about one machine. Nothing here knows of EC2.

pub mod guest;
pub mod hypervisor;
pub mod machine;
