//! Watches for an owner that stays in one job while others are queued.
//!
//! What the graph cannot see (I/O, a foreign lock, an endless loop) shows as this. One thread watches all owners
//! that asked for it; there is none before the first did, and none after the last of them is gone.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::shared::Shared;
use super::trace;
use crate::wait::{Op, Waiting, waiting_of};

/// How many of the queued jobs a report names.
const NAMED: usize = 16;

/// An owner has been in one job for longer than the threshold, while others are queued.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stall {
    /// The owner's name.
    pub owner: Arc<str>,
    /// The job that it is in.
    pub op: Op,
    /// For how long.
    pub since: Duration,
    /// What the owner waits for, if it waits by a wait of this crate.
    pub waits: Option<Waiting>,
    /// How many jobs are queued.
    pub queued: usize,
    /// The first of them, 16 at most.
    pub queue: Vec<Op>,
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { owner, op, since, waits, queued, queue } = self;
        write!(f, "owner `{owner}` has been in `{}` ({}) for {since:.1?}", op.label, op.site())?;
        if let Some(waits) = waits {
            write!(f, "\n  it waits for {} ({})", waits.waits_for, waits.op.site())?;
        }
        write!(f, "\n  {queued} queued:")?;
        queue.iter().try_for_each(|op| write!(f, " `{}` ({})", op.label, op.site()))?;
        if *queued > queue.len() { f.write_str(" ...") } else { Ok(()) }
    }
}

/// After how long an owner is reported, and to whom.
#[derive(Clone)]
pub(super) struct WatchFor {
    pub(super) threshold: Duration,
    pub(super) hook: Arc<dyn Fn(&Stall) + Send + Sync>,
}

impl fmt::Debug for WatchFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchFor").field("threshold", &self.threshold).finish_non_exhaustive()
    }
}

/// What is watched of an owner.
pub(super) struct Watch {
    watch_for: WatchFor,
    /// The job that it is in, and since when.
    current: Mutex<Option<(Op, Instant)>>,
    /// How many jobs it has begun, and which of them was reported.
    begun: AtomicU64,
    reported: AtomicU64,
}

/// A job goes on, until this is dropped.
pub(super) struct Begun<'a>(Option<&'a Watch>);

impl Watch {
    pub(super) fn new(watch_for: WatchFor) -> Self {
        Self { watch_for, current: Mutex::new(None), begun: AtomicU64::new(0), reported: AtomicU64::new(0) }
    }

    /// The owner begins a job. One inside of another is part of that.
    pub(super) fn begins(&self, op: Op) -> Begun<'_> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.is_some() {
            return Begun(None);
        }
        *current = Some((op, Instant::now()));
        self.begun.fetch_add(1, Ordering::Relaxed);
        Begun(Some(self))
    }

    /// The job that goes on for too long and has not been reported.
    fn too_long(&self) -> Option<(Op, Duration)> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let (op, began) = (*current)?;
        let (since, begun) = (began.elapsed(), self.begun.load(Ordering::Relaxed));
        let is_new = self.reported.load(Ordering::Relaxed) != begun;
        (since >= self.watch_for.threshold && is_new).then_some((op, since))
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if let Some(watch) = self.0 {
            *watch.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

/// An owner, as the watching thread sees it.
trait Watched: Send + Sync {
    /// Looks, and says how soon to look again.
    fn look(&self) -> Duration;
}

impl<T> Watched for Shared<T> {
    fn look(&self) -> Duration {
        let Some(watch) = &self.watch else { return Duration::MAX };
        if let Some((op, since)) = watch.too_long() {
            let (queue, queued) = self.mailbox.queued_ops(NAMED);
            if queued > 0 {
                watch.reported.store(watch.begun.load(Ordering::Relaxed), Ordering::Relaxed);
                trace::stalled(&self.name, op, since, queued);
                let waits = waiting_of(self.task);
                (watch.watch_for.hook)(&Stall { owner: self.name.clone(), op, since, waits, queued, queue });
            }
        }
        watch.watch_for.threshold / 4
    }
}

/// All owners that are watched; none while no thread watches.
static WATCHED: OnceLock<Mutex<Vec<Weak<dyn Watched>>>> = OnceLock::new();

/// Has an owner watched from now on.
pub(super) fn watch<T: 'static>(shared: &Arc<Shared<T>>) {
    if shared.watch.is_none() {
        return;
    }
    let as_weak: Weak<Shared<T>> = Arc::downgrade(shared);
    let mut watched = WATCHED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let is_first = watched.is_empty();
    watched.push(as_weak);
    drop(watched);
    if is_first {
        // Without a thread nobody watches: the owners are as they would be without having asked.
        let _ = std::thread::Builder::new().name("impasse stall watch".into()).spawn(watch_all);
    }
}

fn watch_all() {
    loop {
        let mut watched = WATCHED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|owner| owner.strong_count() > 0);
        if watched.is_empty() {
            return;
        }
        let owners: Vec<_> = watched.iter().filter_map(Weak::upgrade).collect();
        drop(watched);
        let soonest = owners.iter().map(|owner| owner.look()).min().unwrap_or(Duration::MAX);
        drop(owners);
        std::thread::sleep(soonest.clamp(Duration::from_millis(1), Duration::from_millis(250)));
    }
}
