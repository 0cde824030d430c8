//! Names of tasks and objects that do not depend on the schedule, and which objects need steps at all.
//!
//! A task is known by the task that started it and how many that one had started before; an object by the task
//! that made it, likewise. So the same thing has the same name in every execution, in whatever order things
//! happen.
//!
//! An object that one task alone touches needs no steps, and some steps can be told apart only by somebody who
//! looks. Neither is known beforehand. The search begins as if there were no such thing, and every execution
//! reports what it found: the first that finds something new makes the search start again. Nothing is missed.
//! Until somebody second touches the object, or somebody looks, the search is one of a program in which nobody
//! does; it is complete for that program, so it comes to the execution where somebody does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::clock::TASKS;

/// How many objects one task can make: they share 32 bits with the number of the task.
const OBJECTS: u32 = 1 << 27;

/// The name of the `nth` object, from 1, that `creator` makes; 0 is no object.
pub(super) fn object(creator: u32, nth: u32) -> Option<u32> {
    (creator < TASKS as u32 && nth < OBJECTS).then_some(creator * OBJECTS + nth)
}

/// Who made an object, and the how manieth it was.
pub(super) fn parts(object: u32) -> (u32, u32) {
    (object / OBJECTS, object % OBJECTS)
}

/// What is known of an object.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Known {
    /// Who touched it first, plus one.
    pub(super) first: u8,
    /// Somebody else did too.
    pub(super) shared: bool,
    /// Somebody looks.
    pub(super) observed: bool,
    /// The object that stands for this one and others: whoever looks at one of them looks at another too and does
    /// what comes first, or what happens to one ends a wait at the other. It may be this one. 0 if it is by itself.
    pub(super) with: u32,
}

impl Known {
    /// Whether several tasks touch it: two objects that are one have two who do.
    #[inline]
    pub(super) const fn is_shared(self) -> bool {
        self.shared || self.with != 0
    }
}

/// Everything that the workers of one exploration call by the same name.
#[derive(Debug, Default)]
pub(super) struct Names {
    tasks: Mutex<HashMap<(u8, u32), u8>>,
    objects: Mutex<HashMap<u32, Known>>,
    changed: AtomicBool,
}

impl Names {
    fn objects(&self) -> MutexGuard<'_, HashMap<u32, Known>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the `nth` task that `parent` starts; 0 is the first task of all.
    pub(super) fn task(&self, parent: u8, nth: u32) -> u8 {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let next = tasks.len() + 1;
        let number = *tasks.entry((parent, nth)).or_insert(next.min(TASKS) as u8);
        assert!(
            (number as usize) < TASKS,
            "an exploration can tell {TASKS} tasks apart, and this program starts more"
        );
        number
    }

    /// What is known of an object, now that `task` touches it.
    pub(super) fn touched(&self, object: u32, task: u8) -> Known {
        let mut objects = self.objects();
        let known = objects.entry(object).or_default();
        let seen = *known;
        match known.first {
            0 => known.first = task + 1,
            first if first != task + 1 && !known.shared => {
                known.shared = true;
                self.changed.store(true, Ordering::Relaxed);
            }
            _ => {}
        }
        Known { first: known.first, ..seen }
    }

    /// All objects that have steps they would not have by themselves.
    pub(super) fn known(&self) -> Vec<(u32, Known)> {
        let objects = self.objects();
        let is_known = |known: &Known| known.shared || known.observed || known.with != 0;
        let found = objects.iter().filter(|(_, known)| is_known(known));
        let mut found: Vec<_> = found.map(|(object, known)| (*object, *known)).collect();
        found.sort_unstable_by_key(|(object, _)| *object);
        found
    }

    /// As if all this had been found out before.
    pub(super) fn remember(&self, known: &[(u32, Known)]) {
        self.objects().extend(known.iter().copied());
    }

    /// Whether something was found out since [`begin_anew`](Self::begin_anew).
    pub(super) fn changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    /// What was found out is taken into account from now on.
    pub(super) fn begin_anew(&self) {
        self.changed.store(false, Ordering::Relaxed);
    }

    /// Whether somebody looks at anything.
    pub(super) fn is_observed(&self) -> bool {
        self.objects().values().any(|known| known.observed || known.with != 0)
    }

    /// Somebody looks at this one.
    pub(super) fn observe(&self, object: u32) {
        self.objects().entry(object).or_default().observed = true;
        self.changed.store(true, Ordering::Relaxed);
    }

    /// The two are one from now on, and so is whatever each of them was one with. The largest name stands for all,
    /// so that it does not matter which two were joined first.
    pub(super) fn join(&self, a: u32, b: u32) {
        let mut objects = self.objects();
        let stands_for = |objects: &HashMap<u32, Known>, object| match objects.get(&object) {
            Some(known) if known.with != 0 => known.with,
            _ => object,
        };
        let (a, b) = (stands_for(&objects, a), stands_for(&objects, b));
        if a == b {
            return;
        }
        let (part, whole) = (a.min(b), a.max(b));
        for known in objects.values_mut().filter(|known| known.with == part) {
            known.with = whole;
        }
        objects.entry(part).or_default().with = whole;
        let stands_for_both = objects.entry(whole).or_default();
        (stands_for_both.shared, stands_for_both.with) = (true, whole);
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Somebody second touches this one.
    pub(super) fn share(&self, object: u32) {
        self.objects().entry(object).or_default().shared = true;
        self.changed.store(true, Ordering::Relaxed);
    }
}
