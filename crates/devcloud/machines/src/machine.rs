//! What the EC2 side of the cloud asks of the hypervisor: the seam between `api` and `hypervisor`.

use std::{
    net::Ipv4Addr,
    path::{Component, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The largest length of a label of a host name (RFC 1035).
const LABEL_MAX: usize = 63;

/// Everything a machine needs to be started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineSpec {
    /// The instance id, `i-` and 17 hexadecimal digits.
    pub instance_id: String,
    /// The private address of `eth0`, inside the cloud's own network.
    pub private_address: Ipv4Addr,
    /// The root directories of the image's layers, topmost first; mounted read-only below the machine's disk.
    pub layers: Vec<PathBuf>,
    /// The host name the machine gives itself.
    pub host_name: String,
    /// Memory limit in bytes, where a cgroup controller is there to enforce it.
    pub memory_bytes: Option<u64>,
    /// A fault: it makes a host key of its own, whatever its user data brought.
    #[serde(default)]
    pub other_host_key: bool,
    /// A fault: it makes a new host key at each start but its first.
    #[serde(default)]
    pub host_key_changes: bool,
}

/// Whether a machine runs, as the hypervisor sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineState {
    /// Its first process is alive.
    Running,
    /// It has a disk but no process.
    Stopped,
    /// Nothing of it is left.
    Absent,
}

impl MachineSpec {
    /// Checks every field against what names of files, links and mount options can hold.
    ///
    /// # Errors
    ///
    /// The field's name, and what is wrong with it in a sentence without a full stop.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        if !is_instance_id(&self.instance_id) {
            return Err((
                "instance_id",
                format!(
                    "{:?} is not `i-` and 8 to 17 hexadecimal digits",
                    self.instance_id
                ),
            ));
        }
        let [a, b, c, d] = self.private_address.octets();
        // The first are the network's own: the gateway, the way to the outside, and who knows names there.
        let usable = (a, b) == (10, 88) && !matches!((c, d), (0, 0..=3) | (255, 255));
        if !usable {
            return Err((
                "private_address",
                format!("{} is not a host's address in 10.88.0.0/16", self.private_address),
            ));
        }
        if !is_host_name(&self.host_name) {
            return Err(("host_name", format!("{:?} is not a host name", self.host_name)));
        }
        if self.layers.is_empty() {
            return Err(("layers", "there is no layer".to_owned()));
        }
        for layer in &self.layers {
            let plain = layer
                .components()
                .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
            // These have a meaning in the options of an overlay mount.
            let quiet = layer
                .to_str()
                .is_some_and(|text| !text.contains([',', ':', '\\', '\0']));
            if !layer.is_absolute() || !plain || !quiet {
                return Err((
                    "layers",
                    format!(
                        "{} is not an absolute path free of `,`, `:`, `\\` and `..`",
                        layer.display()
                    ),
                ));
            }
        }
        if self.memory_bytes == Some(0) {
            return Err(("memory_bytes", "a machine cannot run in no memory".to_owned()));
        }
        Ok(())
    }
}

/// Whether a text is an instance id in EC2's grammar: `i-` and 8 (the old form) to 17 lower-case hexadecimal digits.
#[must_use]
pub fn is_instance_id(text: &str) -> bool {
    text.strip_prefix("i-").is_some_and(|digits| {
        (8..=17).contains(&digits.len())
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Whether a text is a host name: labels of letters, digits and inner hyphens (RFC 1123), 64 bytes at most
/// (Linux's limit).
fn is_host_name(text: &str) -> bool {
    text.len() <= 64
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= LABEL_MAX
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

#[cfg(test)]
mod tests;
