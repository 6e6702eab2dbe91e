//! DescribeInstanceAttribute and ModifyInstanceAttribute, for the attributes that mean something here.

use devcloud_dialect::{
    ApiError, Xml,
    request::{DescribeInstanceAttribute, ModifyInstanceAttribute},
};

use super::{find_one, required_id, view};
use crate::{
    api::{
        actions::{Call, Change, Question},
        security_groups,
        service::Service,
    },
    instance_types,
    ledger::{Instance, InstanceState, ShutdownBehavior, State},
};

const ATTRIBUTES: &[&str] = &[
    "blockDeviceMapping",
    "disableApiStop",
    "disableApiTermination",
    "ebsOptimized",
    "enclaveOptions",
    "groupSet",
    "instanceInitiatedShutdownBehavior",
    "instanceType",
    "kernel",
    "productCodes",
    "ramdisk",
    "rootDeviceName",
    "sourceDestCheck",
    "sriovNetSupport",
    "userData",
];

impl Question for DescribeInstanceAttribute {
    async fn answer(self, service: &Service) -> Result<Xml, ApiError> {
        let attribute = self.attribute.ok_or_else(|| ApiError::missing("Attribute"))?;
        let Some(name) = ATTRIBUTES.iter().find(|name| **name == attribute) else {
            let reason = format!("It must be one of: {}.", ATTRIBUTES.join(", "));
            return Err(ApiError::invalid("Attribute", &attribute, &reason));
        };
        let state = service.ledger.snapshot();
        let instance = find_one(&state, &required_id(self.instance_id)?)?;
        let mut xml = Xml::default();
        xml.put("instanceId", &instance.id);
        show(&mut xml, instance, name);
        Ok(xml)
    }
}

/// One attribute, by its name.
fn show(xml: &mut Xml, instance: &Instance, name: &'static str) {
    let value = match name {
        "blockDeviceMapping" => return view::block_devices(xml, instance, true),
        "groupSet" => {
            return xml.list(name, &instance.group_ids, |xml, id| xml.put("groupId", id));
        }
        "productCodes" => return xml.element(name, |_| {}),
        "enclaveOptions" => return xml.element(name, |xml| xml.put("enabled", false)),
        "disableApiStop" => Some(instance.stop_protected.to_string()),
        "disableApiTermination" => Some(instance.termination_protected.to_string()),
        "ebsOptimized" => Some(false.to_string()),
        "sourceDestCheck" => Some(true.to_string()),
        "instanceInitiatedShutdownBehavior" => Some(instance.shutdown_behavior.name().to_owned()),
        "instanceType" => Some(instance.instance_type.clone()),
        "rootDeviceName" => Some("/dev/sda1".to_owned()),
        "userData" => instance.user_data.clone(),
        // A kernel and a RAM disk of its own, and a way to share network cards: no instance has any.
        _ => None,
    };
    xml.element(name, |xml| xml.put_some("value", value));
}

impl Change for ModifyInstanceAttribute {
    async fn make(mut self, call: Call<'_>) -> Result<Xml, ApiError> {
        let id = required_id(self.instance_id.take())?;
        let change = Modification::of(self)?;
        let dry_run = call.dry_run;
        if matches!(change, Modification::Shutdown(_)) && !call.service.config.profile.keeps_shutdown_behavior
        {
            let state = call.service.ledger.snapshot();
            find_one(&state, &id)?;
            return Ok(returned());
        }
        call.service
            .ledger
            .commit(move |state| {
                find_one(state, &id)?;
                change.apply(state, &id)?;
                dry_run.end()
            })
            .await?;
        Ok(returned())
    }
}

fn returned() -> Xml {
    let mut xml = Xml::default();
    xml.put("return", true);
    xml
}

enum Modification {
    Protection(bool),
    StopProtection(bool),
    Shutdown(ShutdownBehavior),
    Type(String),
    Groups(Vec<String>),
}

impl Modification {
    /// What is to be changed: exactly one thing.
    fn of(request: ModifyInstanceAttribute) -> Result<Self, ApiError> {
        let mut asked = Vec::new();
        if let Some(value) = request.disable_api_termination.value {
            asked.push(Self::Protection(value));
        }
        if let Some(value) = request.disable_api_stop.value {
            asked.push(Self::StopProtection(value));
        }
        if let Some(text) = request.instance_initiated_shutdown_behavior.value {
            asked.push(Self::shutdown("InstanceInitiatedShutdownBehavior.Value", &text)?);
        }
        if let Some(name) = request.instance_type.value {
            asked.push(Self::instance_type(name)?);
        }
        if !request.group_id.is_empty() {
            asked.push(Self::Groups(request.group_id));
        }
        match (request.attribute, request.value) {
            (None, None) => {}
            (Some(attribute), Some(value)) => asked.push(Self::named(&attribute, value)?),
            (Some(_), None) => return Err(ApiError::missing("Value")),
            (None, Some(_)) => return Err(ApiError::missing("Attribute")),
        }
        let only = asked.pop();
        match only {
            Some(only) if asked.is_empty() => Ok(only),
            _ => {
                let message = "Exactly one attribute that can be modified has to be named";
                Err(ApiError::new("InvalidParameterCombination", message))
            }
        }
    }

    /// `Attribute=name&Value=...`.
    fn named(attribute: &str, value: String) -> Result<Self, ApiError> {
        let switch = || match value.as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(ApiError::invalid("Value", other, "It must be true or false.")),
        };
        match attribute {
            "disableApiTermination" => Ok(Self::Protection(switch()?)),
            "disableApiStop" => Ok(Self::StopProtection(switch()?)),
            "instanceInitiatedShutdownBehavior" => Self::shutdown("Value", &value),
            "instanceType" => Self::instance_type(value),
            other => {
                let reason = "It is not an attribute that can be modified here.";
                Err(ApiError::invalid("Attribute", other, reason))
            }
        }
    }

    fn shutdown(parameter: &str, text: &str) -> Result<Self, ApiError> {
        match text {
            "stop" => Ok(Self::Shutdown(ShutdownBehavior::Stop)),
            "terminate" => Ok(Self::Shutdown(ShutdownBehavior::Terminate)),
            other => {
                let reason = "It must be one of: stop, terminate.";
                Err(ApiError::invalid(parameter, other, reason))
            }
        }
    }

    fn instance_type(name: String) -> Result<Self, ApiError> {
        if instance_types::find(&name).is_none() {
            let message = format!("Invalid value '{name}' for InstanceType.");
            return Err(ApiError::new("InvalidParameterValue", message));
        }
        Ok(Self::Type(name))
    }

    fn apply(self, state: &mut State, id: &str) -> Result<(), ApiError> {
        let groups = match &self {
            Self::Groups(ids) => security_groups::resolve(state, ids, &[])?,
            _ => Vec::new(),
        };
        let Some(instance) = state.instance_mut(id) else {
            return Ok(());
        };
        match self {
            Self::Protection(protected) => instance.termination_protected = protected,
            Self::StopProtection(protected) => instance.stop_protected = protected,
            Self::Shutdown(behavior) => instance.shutdown_behavior = behavior,
            Self::Groups(_) => instance.group_ids = groups,
            Self::Type(name) if instance.state == InstanceState::Stopped => instance.instance_type = name,
            Self::Type(_) => {
                let message = format!("The instance '{}' is not in the 'stopped' state.", instance.id);
                return Err(ApiError::new("IncorrectInstanceState", message));
            }
        }
        Ok(())
    }
}
