//! DescribeInstanceAttribute and ModifyInstanceAttribute, for the attributes that mean something here.

use super::find_one;
use crate::{
    api::{Service, actions::refuse_dry_run, error::ApiError, parameters::Parameters, types, xml::Xml},
    ledger::{Instance, InstanceState, ShutdownBehavior},
};

/// What DescribeInstanceAttribute knows.
pub(in crate::api) const DESCRIBE: &[&str] = &["InstanceId", "Attribute"];

/// What ModifyInstanceAttribute knows.
pub(in crate::api) const MODIFY: &[&str] = &[
    "Attribute",
    "DisableApiTermination",
    "InstanceId",
    "InstanceInitiatedShutdownBehavior",
    "InstanceType",
    "Value",
];

const ATTRIBUTES: &[&str] = &[
    "disableApiTermination",
    "groupSet",
    "instanceInitiatedShutdownBehavior",
    "instanceType",
    "rootDeviceName",
    "userData",
];

pub(in crate::api) fn describe(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    let attribute = parameters
        .word("Attribute", ATTRIBUTES)?
        .ok_or_else(|| ApiError::missing("Attribute"))?;
    let state = service.ledger.snapshot();
    let instance = find_one(&state, parameters.required("InstanceId")?)?;
    let mut xml = Xml::default();
    xml.put("instanceId", &instance.id);
    let mut value = |name: &'static str, value: Option<&str>| {
        xml.element(name, |xml| xml.put_some("value", value));
    };
    match attribute {
        "disableApiTermination" => {
            let protected = if instance.termination_protected {
                "true"
            } else {
                "false"
            };
            value("disableApiTermination", Some(protected));
        }
        "instanceInitiatedShutdownBehavior" => {
            value(
                "instanceInitiatedShutdownBehavior",
                Some(instance.shutdown_behavior.name()),
            );
        }
        "instanceType" => value("instanceType", Some(&instance.instance_type)),
        "rootDeviceName" => value("rootDeviceName", Some("/dev/sda1")),
        "userData" => value("userData", instance.user_data.as_deref()),
        _ => xml.list("groupSet", &instance.group_ids, |xml, id| xml.put("groupId", id)),
    }
    Ok(xml)
}

pub(in crate::api) async fn modify(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    let id = parameters.required("InstanceId")?.to_owned();
    let change = Modification::parse(parameters)?;
    find_one(&service.ledger.snapshot(), &id)?;
    refuse_dry_run(parameters)?;
    service
        .ledger
        .commit(move |state| {
            find_one(state, &id)?;
            match state.instance_mut(&id) {
                Some(instance) => change.apply(instance),
                None => Ok(()),
            }
        })
        .await?;
    let mut xml = Xml::default();
    xml.put("return", true);
    Ok(xml)
}

enum Modification {
    Protection(bool),
    Shutdown(ShutdownBehavior),
    Type(String),
}

impl Modification {
    /// Reads `Name.Value=...`, or `Attribute=name&Value=...`.
    fn parse(parameters: &Parameters) -> Result<Self, ApiError> {
        const NAMES: [(&str, &str); 3] = [
            ("DisableApiTermination", "disableApiTermination"),
            (
                "InstanceInitiatedShutdownBehavior",
                "instanceInitiatedShutdownBehavior",
            ),
            ("InstanceType", "instanceType"),
        ];
        let mut asked = Vec::new();
        for (member, attribute) in NAMES {
            let below = parameters.structure(member);
            if !below.is_empty() {
                asked.push((attribute, below));
            } else if parameters.optional("Attribute") == Some(attribute) {
                asked.push((attribute, parameters.clone()));
            }
        }
        let [(attribute, values)] = asked.as_slice() else {
            let message = "Exactly one attribute that can be modified has to be named";
            return Err(ApiError::new("InvalidParameterCombination", message));
        };
        match *attribute {
            "disableApiTermination" => {
                let value = values
                    .boolean("Value")?
                    .ok_or_else(|| ApiError::missing(&values.name("Value")))?;
                Ok(Self::Protection(value))
            }
            "instanceInitiatedShutdownBehavior" => match values.word("Value", &["stop", "terminate"])? {
                Some("terminate") => Ok(Self::Shutdown(ShutdownBehavior::Terminate)),
                Some(_) => Ok(Self::Shutdown(ShutdownBehavior::Stop)),
                None => Err(ApiError::missing(&values.name("Value"))),
            },
            _ => {
                let name = values.required("Value")?;
                if types::find(name).is_none() {
                    let message = format!("Invalid value '{name}' for InstanceType.");
                    return Err(ApiError::new("InvalidParameterValue", message));
                }
                Ok(Self::Type(name.to_owned()))
            }
        }
    }

    fn apply(self, instance: &mut Instance) -> Result<(), ApiError> {
        match self {
            Self::Protection(protected) => instance.termination_protected = protected,
            Self::Shutdown(behavior) => instance.shutdown_behavior = behavior,
            Self::Type(name) if instance.state == InstanceState::Stopped => instance.instance_type = name,
            Self::Type(_) => {
                let message = format!("The instance '{}' is not in the 'stopped' state.", instance.id);
                return Err(ApiError::new("IncorrectInstanceState", message));
            }
        }
        Ok(())
    }
}
