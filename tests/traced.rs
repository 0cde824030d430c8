//! What an owner tells `tracing`, as a subscriber sees it.
#![cfg(not(loom))]

mod common;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use common::{busy, until, within_a_minute};
use impasse::{Owner, Shutdown};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

type Fields = HashMap<&'static str, String>;

#[derive(Clone, Debug)]
enum Seen {
    Span { id: u64, name: &'static str, fields: Fields },
    Entered { id: u64, by: ThreadId },
    Exited { id: u64, by: ThreadId },
    Event { level: Level, fields: Fields },
}

static SEEN: Mutex<Vec<Seen>> = Mutex::new(Vec::new());

/// Keeps what it is told, of this crate.
struct Keeper(AtomicU64);

impl Keeper {
    fn note(seen: Seen) {
        SEEN.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    }
}

struct Into<'a>(&'a mut Fields);

impl Visit for Into<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl Subscriber for Keeper {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "impasse"
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let id = self.0.fetch_add(1, Ordering::Relaxed);
        let mut fields = Fields::new();
        attributes.record(&mut Into(&mut fields));
        Self::note(Seen::Span { id, name: attributes.metadata().name(), fields });
        Id::from_u64(id)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        let fields = seen.iter_mut().find_map(|seen| match seen {
            Seen::Span { id, fields, .. } if *id == span.into_u64() => Some(fields),
            _ => None,
        });
        values.record(&mut Into(fields.expect("the span is known")));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::new();
        event.record(&mut Into(&mut fields));
        Self::note(Seen::Event { level: *event.metadata().level(), fields });
    }

    fn enter(&self, span: &Id) {
        Self::note(Seen::Entered { id: span.into_u64(), by: thread::current().id() });
    }

    fn exit(&self, span: &Id) {
        Self::note(Seen::Exited { id: span.into_u64(), by: thread::current().id() });
    }
}

/// What was seen until now.
fn seen() -> Vec<Seen> {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn subscribe() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Keeper(AtomicU64::new(1))).unwrap());
}

/// The spans of this owner, in their order.
fn spans(owner: &str) -> Vec<(u64, Fields)> {
    let of_owner = |seen| match seen {
        Seen::Span { id, name: "job", fields } if fields["owner"] == owner => Some((id, fields)),
        _ => None,
    };
    seen().into_iter().filter_map(of_owner).collect()
}

/// The events of this owner.
fn events(owner: &str) -> Vec<(Level, Fields)> {
    let of_owner = |seen| match seen {
        Seen::Event { level, fields } if fields["owner"] == owner => Some((level, fields)),
        _ => None,
    };
    seen().into_iter().filter_map(of_owner).collect()
}

#[test]
fn each_job_is_a_span_with_its_operation_lineage_and_times() {
    subscribe();
    within_a_minute(|| {
        let owner = Owner::builder("traced").spawn(|| ()).unwrap();
        let vm = owner.handle();
        let held = busy(&vm);
        let line = line!() + 1;
        vm.post("post", |()| ()).unwrap();
        thread::sleep(Duration::from_millis(2));
        drop(held);
        let on = vm.call("call", |()| thread::sleep(Duration::from_millis(2)));
        on.unwrap();
        let on = vm.call("where", |()| thread::current().id()).unwrap();
        drop(owner);

        let spans = spans("traced");
        let ops: Vec<_> = spans.iter().map(|(_, fields)| &*fields["op"]).collect();
        assert_eq!(ops, ["busy", "post", "call", "where"]);
        let number = |at: usize, field: &str| spans[at].1[field].parse::<u64>().unwrap();
        assert!(number(1, "queued_us") >= 2000, "{:?}", spans[1]);
        assert!(number(0, "run_us") >= 2000 && number(2, "run_us") >= 2000, "{spans:?}");
        assert_eq!(spans[1].1["at"], format!("{}:{line}", file!()));
        assert_eq!(spans[1].1["lineage"], "[]", "a post on nobody's behalf");
        assert!(spans[2].1["lineage"].starts_with("[Activation("), "a call is one: {:?}", spans[2]);

        for (span, _) in spans {
            let steps: Vec<_> = seen()
                .into_iter()
                .filter_map(|seen| match seen {
                    Seen::Entered { id, by } if id == span => Some(("in", by)),
                    Seen::Exited { id, by } if id == span => Some(("out", by)),
                    _ => None,
                })
                .collect();
            assert_eq!(steps, [("in", on), ("out", on)], "it is entered once, on the owner's thread");
        }
    });
}

#[test]
fn a_stall_is_an_event() {
    subscribe();
    within_a_minute(|| {
        let builder = Owner::builder("stalls").stall_watch(Duration::from_millis(5), |_| ());
        let owner = builder.spawn(|| ()).unwrap();
        let held = busy(&owner.handle());
        owner.handle().post("behind", |()| ()).unwrap();
        until(|| !events("stalls").is_empty());
        drop(held);
        let [(level, fields)] = &events("stalls")[..] else { panic!("{:?}", events("stalls")) };
        assert_eq!((*level, &*fields["op"], &*fields["queued"]), (Level::WARN, "busy", "1"));
        assert!(fields["since_ms"].parse::<u64>().unwrap() >= 5);
        assert!(fields["message"].contains("in one job"), "{fields:?}");
    });
}

#[test]
fn a_post_that_does_not_run_is_an_event() {
    subscribe();
    within_a_minute(|| {
        let owner = Owner::builder("refuses").spawn(|| ()).unwrap();
        let vm = owner.handle();
        let held = busy(&vm);
        vm.post_within("expires", Duration::ZERO, |()| ()).unwrap();
        thread::sleep(Duration::from_millis(1));
        drop(held);
        vm.wait_idle().unwrap();
        let held = busy(&vm);
        vm.post("refused", |()| ()).unwrap();
        vm.close_now();
        drop(held);
        owner.shutdown(Shutdown::Now).unwrap();
        let events = events("refuses");
        let told: Vec<_> = events.iter().map(|(_, fields)| (&*fields["op"], &*fields["why"])).collect();
        assert_eq!(
            told,
            [
                ("expires", "its deadline passed in the queue"),
                ("refused", "the owner was closed before it ran")
            ]
        );
        assert!(events.iter().all(|(level, _)| *level == Level::WARN));
    });
}
