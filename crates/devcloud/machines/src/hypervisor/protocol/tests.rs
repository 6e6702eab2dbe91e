//! The control socket carries messages whole, descriptors with them, and tells the end.

use std::{
    fs::File,
    io::{Read, Seek, Write},
    os::fd::OwnedFd,
};

use super::*;

#[test]
fn a_message_and_its_descriptor_arrive_together() {
    let (ours, theirs) = pair().unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"inside").unwrap();
    let descriptor: OwnedFd = file.into();
    send(
        &ours,
        &Call {
            number: 7,
            request: Request::List,
        },
        Some(&descriptor),
    )
    .unwrap();
    send(
        &ours,
        &Call {
            number: 8,
            request: Request::Shutdown,
        },
        None,
    )
    .unwrap();

    let (call, descriptor): (Call, _) = receive(&theirs).unwrap().unwrap();
    assert_eq!(call.number, 7);
    let mut file = File::from(descriptor.expect("the descriptor came along"));
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "inside");

    let (call, descriptor): (Call, _) = receive(&theirs).unwrap().unwrap();
    assert_eq!((call.number, descriptor.is_none()), (8, true));
    drop(ours);
    assert!(receive::<Call>(&theirs).unwrap().is_none());
}

#[test]
fn garbage_and_oversize_are_errors() {
    let (ours, theirs) = pair().unwrap();
    rustix::net::send(&ours, b"{\"number\":", SendFlags::empty()).unwrap();
    assert!(receive::<Call>(&theirs).is_err());
    let huge = "x".repeat(PACKET_MAX + 1);
    assert_eq!(
        send(&ours, &huge, None).unwrap_err().kind(),
        io::ErrorKind::InvalidInput
    );
    drop(theirs);
    assert!(send(&ours, &"nobody is there", None).is_err());
}

#[test]
fn a_message_that_is_not_known_in_full_is_refused() {
    for (text, good) in [
        (r#"{"number":1,"request":"list"}"#, true),
        (
            r#"{"number":1,"request":{"stop":{"id":"i-1","politely":true}}}"#,
            true,
        ),
        (
            r#"{"number":1,"request":{"connect":{"address":"10.88.0.2:22","timeout_milliseconds":5}}}"#,
            true,
        ),
        (r#"{"number":1,"request":"list","more":1}"#, false),
        (r#"{"number":-1,"request":"list"}"#, false),
        (r#"{"request":"list"}"#, false),
        (r#"{"number":1,"request":"burn"}"#, false),
        (r#"{"number":1,"request":{"stop":{"id":"i-1"}}}"#, false),
        (
            r#"{"number":1,"request":{"connect":{"address":"10.88.0.2","timeout_milliseconds":5}}}"#,
            false,
        ),
        ("", false),
    ] {
        assert_eq!(serde_json::from_str::<Call>(text).is_ok(), good, "{text}");
    }
}

#[test]
fn a_thousand_machines_fit_into_one_packet() {
    let machines = (0..1000)
        .map(|number| (format!("i-{number:017x}"), MachineState::Running))
        .collect();
    let reply = Reply::Answer {
        number: u64::MAX,
        result: Ok(Answer::Machines(machines)),
    };
    let (ours, theirs) = pair().unwrap();
    send(&ours, &reply, None).unwrap();
    let (received, _): (Reply, _) = receive(&theirs).unwrap().unwrap();
    let Reply::Answer {
        result: Ok(Answer::Machines(listed)),
        ..
    } = received
    else {
        panic!("{received:?}")
    };
    assert_eq!(listed.len(), 1000);
}
