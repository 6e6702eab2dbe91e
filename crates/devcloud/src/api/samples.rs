//! Things for tests.

use time::OffsetDateTime;

use crate::ledger::{Instance, InstanceFaults, InstanceState, MetadataOptions, ShutdownBehavior};

/// A pending instance with usual values.
pub(crate) fn instance(id: &str) -> Instance {
    Instance {
        id: id.to_owned(),
        sequence: 1,
        reservation_id: "r-00000000000000001".to_owned(),
        launch_index: 0,
        image_id: "ami-00000000000000001".to_owned(),
        architecture: "x86_64".to_owned(),
        layers: Vec::new(),
        instance_type: "t3.micro".to_owned(),
        key_name: None,
        public_key: None,
        user_data: None,
        client_token: None,
        group_ids: Vec::new(),
        zone: "dev-1a".to_owned(),
        spot: false,
        metadata: MetadataOptions {
            tokens_required: false,
            hop_limit: 1,
            enabled: true,
        },
        shutdown_behavior: ShutdownBehavior::Stop,
        termination_protected: false,
        stop_protected: false,
        private_address: "10.88.1.1".parse().unwrap(),
        public_address: "127.88.1.1".parse().unwrap(),
        root_volume_id: "vol-00000000000000001".to_owned(),
        keeps_volume: false,
        launch_time: OffsetDateTime::UNIX_EPOCH,
        state: InstanceState::Pending,
        has_disk: false,
        reboot_requested: false,
        without_ssh: false,
        faults: InstanceFaults::default(),
        state_reason: None,
        terminated_at: None,
        history: Vec::new(),
    }
}
