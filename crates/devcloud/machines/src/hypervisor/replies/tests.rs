use std::time::Duration;

use tokio::{sync::oneshot, time::timeout};

use super::{
    super::{Failure, protocol::Answer},
    *,
};
use crate::machine::MachineState;

/// The reading side, and the socket to write to.
struct Scene {
    theirs: OwnedFd,
    waiting: Arc<Mutex<Waiting>>,
    events: broadcast::Receiver<MachineEvent>,
    closed: watch::Receiver<bool>,
}

impl Scene {
    fn new() -> Self {
        let (ours, theirs) = protocol::pair().unwrap();
        let waiting = Arc::<Mutex<Waiting>>::default();
        let (events, received) = broadcast::channel(8);
        let (closing, closed) = watch::channel(false);
        let socket = Arc::new(protocol::watched(ours).unwrap());
        tokio::spawn(read_replies(socket, Arc::clone(&waiting), events, closing));
        Self {
            theirs,
            waiting,
            events: received,
            closed,
        }
    }

    fn call(&self, number: u64) -> oneshot::Receiver<Result<(Answer, Option<OwnedFd>), Failure>> {
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiting).insert(number, sender);
        receiver
    }

    fn answer(&self, number: u64, result: Result<Answer, Failure>) {
        protocol::send(&self.theirs, &Reply::Answer { number, result }, None).unwrap();
    }
}

/// What comes within a time that is long for a socket.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("it comes")
}

#[tokio::test]
async fn an_answer_goes_to_the_call_of_its_number_in_whatever_order_they_come() {
    let scene = Scene::new();
    let (first, second) = (scene.call(1), scene.call(2));
    scene.answer(7, Ok(Answer::Done));
    scene.answer(2, Ok(Answer::State(MachineState::Stopped)));
    let failure = Failure::NoSuchMachine { id: "i-1".to_owned() };
    scene.answer(1, Err(failure.clone()));
    let Ok((Answer::State(state), None)) = soon(second).await.unwrap() else {
        panic!("it is the state")
    };
    assert_eq!(state, MachineState::Stopped);
    assert_eq!(soon(first).await.unwrap().err(), Some(failure));
    assert!(lock(&scene.waiting).is_empty(), "who was answered waits no more");
}

#[tokio::test]
async fn an_answer_for_whom_nobody_waits_any_more_stops_nothing() {
    let scene = Scene::new();
    drop(scene.call(1));
    scene.answer(1, Ok(Answer::Done));
    let second = scene.call(2);
    scene.answer(2, Ok(Answer::Done));
    assert!(soon(second).await.unwrap().is_ok());
}

#[tokio::test]
async fn the_end_of_a_machine_is_told_to_who_listens() {
    let mut scene = Scene::new();
    for id in ["i-1", "i-2"] {
        let ended = Reply::Ended {
            id: id.to_owned(),
            state: MachineState::Stopped,
        };
        protocol::send(&scene.theirs, &ended, None).unwrap();
        let told = MachineEvent {
            instance_id: id.to_owned(),
            state: MachineState::Stopped,
        };
        assert_eq!(soon(scene.events.recv()).await.unwrap(), told);
    }
    assert!(!*scene.closed.borrow());
}

#[tokio::test]
async fn the_end_of_the_socket_wakes_everyone() {
    for garbage in [false, true] {
        let mut scene = Scene::new();
        let waiting = scene.call(1);
        if garbage {
            protocol::send(&scene.theirs, &"no reply", None).unwrap();
        } else {
            drop(std::mem::replace(&mut scene.theirs, protocol::pair().unwrap().0));
        }
        assert!(soon(waiting).await.is_err(), "its sender is gone");
        soon(scene.closed.wait_for(|closed| *closed)).await.unwrap();
    }
}
