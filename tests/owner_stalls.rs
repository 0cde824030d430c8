//! The watch for owners that stay in one job, and the names of owners' threads, on real threads.
#![cfg(not(loom))]

mod common;

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use common::{Busy, busy, within_a_minute};
use impasse::{Handle, Owner, Stall, WaitOnOwner, sync::Mutex};

const THRESHOLD: Duration = Duration::from_millis(5);
/// Long enough for a second report, if there were one.
const MANY: Duration = Duration::from_millis(100);

fn watched(name: &str) -> (Owner<()>, mpsc::Receiver<Stall>) {
    let (tell, stalls) = mpsc::channel();
    let builder = Owner::builder(name).wait_on_owner(WaitOnOwner::Detect);
    let owner = builder.stall_watch(THRESHOLD, move |stall| tell.send(stall.clone()).unwrap()).spawn(|| ());
    (owner.unwrap(), stalls)
}

/// Keeps the owner busy while these are queued.
fn busy_with(vm: &Handle<()>, queue: &[&'static str]) -> Busy {
    let held = busy(vm);
    queue.iter().for_each(|label| vm.post(*label, |()| ()).unwrap());
    held
}

fn labels(stall: &Stall) -> Vec<&'static str> {
    stall.queue.iter().map(|op| op.label).collect()
}

#[test]
fn a_stall_is_reported_once_and_the_next_one_again() {
    within_a_minute(|| {
        let (owner, stalls) = watched("slow");
        let vm = owner.handle();
        for _ in 0..2 {
            let held = busy_with(&vm, &["first", "second"]);
            let stall = stalls.recv().unwrap();
            assert_eq!((&*stall.owner, stall.op.label, stall.queued), ("slow", "busy", 2));
            assert_eq!(labels(&stall), ["first", "second"]);
            assert!(stall.since >= THRESHOLD, "{stall}");
            assert_eq!(stall.waits, None, "a channel of the standard library is not seen");
            let says = stall.to_string();
            assert!(says.starts_with("owner `slow` has been in `busy` ("), "{says}");
            assert!(says.contains("2 queued: `first` (") && says.contains("`second` ("), "{says}");
            thread::sleep(MANY);
            assert!(stalls.try_recv().is_err(), "the same stall was reported twice");
            drop(held);
            vm.wait_idle().unwrap();
        }
    });
}

#[test]
fn a_long_job_is_no_stall_while_nothing_is_queued() {
    within_a_minute(|| {
        let (owner, stalls) = watched("alone");
        let held = busy(&owner.handle());
        thread::sleep(MANY);
        assert!(stalls.try_recv().is_err());
        owner.handle().post("comes", |()| ()).unwrap();
        assert_eq!(labels(&stalls.recv().unwrap()), ["comes"]);
        drop(held);
    });
}

#[test]
fn many_short_jobs_are_no_stall() {
    within_a_minute(|| {
        let (tell, stalls) = mpsc::channel();
        let tell = move |stall: &Stall| tell.send(stall.clone()).unwrap();
        let owner =
            Owner::builder("quick").stall_watch(Duration::from_secs(3600), tell).spawn(|| ()).unwrap();
        let held = busy(&owner.handle());
        for _ in 0..1000 {
            owner.handle().post("quick", |()| ()).unwrap();
        }
        thread::sleep(MANY);
        drop(held);
        owner.handle().wait_idle().unwrap();
        drop(owner);
        assert!(stalls.try_recv().is_err());
    });
}

#[test]
fn a_stall_names_what_the_owner_waits_for() {
    within_a_minute(|| {
        let (owner, stalls) = watched("locked out");
        let vm = owner.handle();
        let lock = Arc::new(Mutex::named("table", ()));
        let held = lock.lock();
        let wanted = lock.clone();
        vm.post("wants the lock", move |()| drop(wanted.lock())).unwrap();
        vm.post("behind", |()| ()).unwrap();
        let stall = stalls.recv().unwrap();
        let waits = stall.waits.clone().expect("it waits by a lock of this crate");
        assert_eq!((stall.op.label, &*waits.waits_for), ("wants the lock", "lock `table`"));
        assert_eq!(waits.op.label, "lock");
        assert!(stall.to_string().contains("it waits for lock `table` ("), "{stall}");
        drop(held);
    });
}

#[test]
fn a_stall_names_the_first_sixteen_of_a_long_queue() {
    within_a_minute(|| {
        let (tell, stalls) = mpsc::channel();
        let tell = move |stall: &Stall| _ = tell.send(stall.clone());
        let owner =
            Owner::builder("long").stall_watch(Duration::from_millis(300), tell).spawn(|| ()).unwrap();
        let held = busy_with(&owner.handle(), &["queued"; 20]);
        let stall = stalls.recv().unwrap();
        assert_eq!((stall.queued, stall.queue.len()), (20, 16));
        assert!(stall.to_string().ends_with(" ..."), "{stall}");
        drop(held);
    });
}

/// What the hook does to the owner is not lost on it, and an owner that ends meanwhile is let go.
#[test]
fn the_hook_may_use_the_owner() {
    within_a_minute(|| {
        let (tell, lengths) = mpsc::channel();
        let (give, owners) = mpsc::channel::<Handle<()>>();
        let owners = std::sync::Mutex::new(owners);
        let hook = move |_: &Stall| {
            let vm = owners.lock().unwrap().recv().unwrap();
            vm.post("by the hook", |()| ()).unwrap();
            tell.send(vm.len()).unwrap();
        };
        let owner = Owner::builder("used").stall_watch(THRESHOLD, hook).spawn(|| ()).unwrap();
        give.send(owner.handle()).unwrap();
        let held = busy_with(&owner.handle(), &["first"]);
        assert_eq!(lengths.recv().unwrap(), 2);
        drop(held);
        owner.handle().wait_idle().unwrap();
    });
}

#[test]
fn the_thread_of_an_owner_is_called_after_it() {
    within_a_minute(|| {
        let owner = Owner::builder("vm").spawn(|| ()).unwrap();
        let name = owner.handle().call("look", |()| thread::current().name().map(str::to_owned));
        assert_eq!(name.unwrap().as_deref(), Some("owner vm"));
        let (tell, named) = mpsc::channel();
        let spawned = impasse::thread::spawn_named("helper", move || {
            tell.send(thread::current().name().map(str::to_owned)).unwrap();
        });
        spawned.unwrap().join().unwrap();
        assert_eq!(named.recv().unwrap().as_deref(), Some("helper"));
    });
}
