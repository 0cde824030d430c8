//! What comes of a wait that may complete a deadlock: who is told, and who leaves.
//!
//! The victim is the wait that completes it. If that one cannot end without what it waits for (it is made by a
//! destructor while its task unwinds), another wait of the deadlock is ended in its place; if none can, the hook is
//! told and all go on waiting.

use std::sync::atomic::Ordering as Std;

use super::cancel::WaitError;
use super::deadlock::{self, Deadlock, Hop};
use super::door::Wait;
use super::graph::{self, Finding};
use super::registry::{self, Live, Look, Seen};
use super::scheduler::{self, Stamp};
use super::task::{self, Local, TaskId};
use crate::platform::{self, Bug, seeded};

type Step<'a> = graph::Step<TaskId, Seen<'a>>;

/// Judges the wait that the calling task has just published.
///
/// # Errors
///
/// The deadlock that it completes. The wait is not published any more.
pub(super) fn on_own_wait(me: &Local, wait: &Wait<'_>) -> Result<(), WaitError> {
    loop {
        let finding = registry::look(|look| match find(look, me.id, true) {
            Finding::Deadlock((deadlock, _)) if wait.fallible => {
                if !seeded(Bug::NoTieBreak) {
                    look.withdraw(&me.record);
                }
                Finding::Deadlock(deadlock)
            }
            Finding::Deadlock((deadlock, steps)) => {
                tell_one_of(&steps, deadlock, wait);
                Finding::Live
            }
            Finding::Live => Finding::Live,
            Finding::Elsewhere => Finding::Elsewhere,
        });
        match finding {
            Finding::Live => return Ok(()),
            Finding::Deadlock(deadlock) => {
                deadlock::announce(&deadlock);
                return Err(deadlock.into());
            }
            // Those who complete that one are about to look; what is left then may be this one's.
            Finding::Elsewhere => platform::yield_now(),
        }
    }
}

/// Somebody ceased to be one of several who could end a wait for this, or has made another task the one who can: who
/// waits for it may be in a deadlock now. Somebody in it is told.
pub(crate) fn providers_changed(what: usize) {
    if seeded(Bug::NarrowTellsNobody) {
        return;
    }
    registry::look(|look| {
        let waits_for_it = |wait: &Wait<'_>| wait.counts() && wait.resource.is_about(what);
        for (task, wait) in look.waiters().filter(|(_, wait)| waits_for_it(wait)) {
            if let Finding::Deadlock((deadlock, steps)) = find(look, task, true) {
                tell_one_of(&steps, deadlock, wait);
            }
        }
    });
}

/// Tells the explorer, and nobody else, of the deadlock that a wait completes on which no verdict rests.
pub(super) fn tell_explorer(me: &Local) {
    if scheduler::is_explored() {
        registry::look(|look| drop(find(look, me.id, false)));
    }
}

/// Ends one of these waits, the first that can be; or gives up on `completes`, the one that completed the deadlock.
fn tell_one_of(steps: &[Step<'_>], deadlock: Deadlock, completes: &Wait<'_>) {
    match steps.iter().find(|step| step.wait.0.fallible) {
        Some(victim) => {
            // It counts no more from here on, so nobody has told it before.
            *victim.wait.0.verdict.lock() = Some((deadlock, Stamp::here()));
            victim.task.unpark();
        }
        None => {
            completes.given_up.store(true, Std::Relaxed);
            deadlock::announce(&deadlock);
        }
    }
}

/// The deadlock that the wait of `me` completes, and that no serving owner can open; of judged waits, or of any.
fn find<'a>(look: &'a Look, me: TaskId, judged: bool) -> Finding<(Deadlock, Vec<Step<'a>>)> {
    let graph = Live { look, judged };
    let steps = match graph::judge(&graph, me) {
        Finding::Deadlock(steps) if seeded(Bug::ForwardOnly) || graph::confirm(&graph, &steps) => steps,
        Finding::Deadlock(_) | Finding::Live => return Finding::Live,
        // Inside an exploration a wait is published and judged by one step: nobody is about to look.
        Finding::Elsewhere if scheduler::is_explored() => return Finding::Live,
        Finding::Elsewhere => return Finding::Elsewhere,
    };
    if judged {
        let caller = task::current_id();
        scheduler::closes(steps.iter().map(|step| step.task).filter(|task| *task != caller));
        // That somebody let an end go is part of it too, or completes it, and is no arrival.
        let narrowed = steps.iter().filter(|step| step.wait.0.resource.has_narrowed()).count();
        if me != caller || narrowed > 0 {
            scheduler::is_unordered();
        }
    }
    if !seeded(Bug::IgnoreServing) && hand_over(&steps) {
        return Finding::Live;
    }
    let deadlock = report(look, &steps);
    scheduler::deadlock(&deadlock, judged);
    Finding::Deadlock((deadlock, steps))
}

/// A deadlock through the queue of an owner that serves is none but the news that a job there is needed. Tells that
/// owner; `false` if there is none.
fn hand_over(steps: &[Step<'_>]) -> bool {
    let serving = |step: &Step<'_>| {
        let [provider] = step.stuck[..] else { return None };
        steps.iter().find(|owner| owner.task == provider && owner.wait.0.serves)
    };
    let through_serving = steps.iter().filter_map(|step| Some((step, serving(step)?)));
    let told = through_serving.into_iter().find(|(step, _)| step.wait.0.resource.hand_over());
    told.inspect(|(_, owner)| scheduler::needs(owner.task)).is_some()
}

/// The story, which ends with the wait that completes it.
fn report(look: &Look, steps: &[Step<'_>]) -> Deadlock {
    let hops = steps[1..].iter().chain(&steps[..1]).map(|step| {
        let wait = step.wait.0;
        let provider = steps.iter().find(|other| step.stuck.contains(&other.task));
        let names: Vec<_> = step.stuck.iter().map(|task| look.name(*task)).collect();
        Hop {
            task: look.name(step.task),
            waits_for: wait.resource.name(),
            held_by: names.join(" or "),
            taken: wait.resource.taken(&step.stuck),
            op: wait.op,
            during: wait.during,
            on_behalf_of: wait.cancel.as_ref().map(|cancel| cancel.run()),
            remark: provider
                .and_then(|provider| provider.wait.0.during)
                .and_then(|during| wait.resource.remark(during)),
        }
    });
    Deadlock::new(hops.collect())
}
