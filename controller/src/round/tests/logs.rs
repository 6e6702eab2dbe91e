//! What the log tells has happened.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use model::step::Move;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::{launches::with_instance, *};
use crate::step::advance;

/// The messages of a thread's log.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

struct Message<'a>(&'a mut Vec<String>);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0.push(format!("{value:?}"));
        }
    }
}

impl Subscriber for Told {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Message(&mut self.0.lock().unwrap()));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn a_move_is_told_in_the_log_once_it_is_on_record_and_never_where_another_was_quicker() {
    let farm = Farm::start(&pool("x86", "max: 2, idle: 0", "a")).await;
    let (context, lease) = (&farm.controller.context, &farm.lease);
    let builder = with_instance(&farm, "i-1").await;
    let told = Told::default();
    let _guard = tracing::subscriber::set_default(told.clone());
    for (to, why, is_done) in [
        (BuilderState::Booting, "its machine runs", true),
        (BuilderState::Terminating, "it is too late", false),
    ] {
        let moved = advance(context, lease, &builder, Move::new(to, why.to_owned())).await;
        assert_eq!(moved.is_ok(), is_done, "{why}");
    }
    let of_moves = told.0.lock().unwrap();
    let of_moves: Vec<&String> = of_moves.iter().filter(|it| it.contains("leaves")).collect();
    let expected = format!(
        "Builder {} leaves pending for booting: its machine runs.",
        builder.id
    );
    assert_eq!(of_moves, [&expected]);
}
