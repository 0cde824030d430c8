//! What tasks ask of the execution that they are part of.

#![allow(unsafe_code)]

use std::time::Duration;

use super::Execution;
use super::fellow::{Pending, Rest};
use crate::explore::clock::Clock;
use crate::explore::dependence::Touch;
use crate::explore::names;
use crate::wait::explored::{Scheduler, Step};
use crate::wait::{Deadlock, Kind, Op, Resource, TaskId};

impl Scheduler for Execution {
    fn name(&self) -> u64 {
        let me = self.current.get();
        let nth = self.with(me, |fellow| {
            fellow.objects += 1;
            fellow.objects
        });
        let object = names::object(me.into(), nth).expect("a task makes fewer than 2^27 objects");
        (u64::from(self.number.get()) << 32) | u64::from(object)
    }

    fn is_ending(&self) -> bool {
        let ending = self.ending.get();
        if ending {
            self.refuse();
        }
        ending
    }

    fn step(&self, step: &Step<'_>) {
        if self.ending.get() {
            return self.refuse();
        }
        let me = self.current.get();
        let touch = step.access.map_or(Touch::NOTHING, |access| self.visible(me, access));
        let waits = step.towards.is_some();
        let private_lock = step.access.is_some_and(|access| access.kind == Kind::Lock);
        if touch == Touch::NOTHING && (!waits || private_lock) && !self.goes_on_and_on(step.access) {
            return;
        }
        let towards = step.towards.map(|towards| {
            // SAFETY: only the lifetime changes; it is read while the task is suspended here, inside `step`.
            unsafe { std::mem::transmute::<&dyn Resource, *const (dyn Resource + 'static)>(towards) }
        });
        self.rest_before(Pending { op: step.op, touch, towards });
    }

    fn observe(&self, object: u64, with: u64) {
        if self.ending.get() {
            return;
        }
        let object = self.local(object);
        let with = if with == 0 { 0 } else { self.local(with) };
        let known = self.look_up(object, self.current.get()).known;
        if !known.observed || known.with < with {
            self.names.observe(object, with);
        }
    }

    fn park(&self) {
        let me = self.current.get();
        if self.ending.get() || self.with(me, |fellow| std::mem::replace(&mut fellow.token, false)) {
            return;
        }
        self.suspend(Rest::Blocked);
    }

    fn timeouts_any_time(&self) -> bool {
        self.any_time
    }

    fn wakes_spuriously(&self) -> bool {
        self.spurious
    }

    fn park_timeout(&self, timeout: Duration) -> bool {
        let deadline = self.now.get().saturating_add(timeout);
        self.with(self.current.get(), |fellow| fellow.deadline = Some(deadline));
        self.park();
        // Whoever let the time come took the deadline away.
        self.with(self.current.get(), |fellow| fellow.deadline.take()).is_none()
    }

    fn yield_now(&self) {
        if self.ending.get() {
            return self.refuse();
        }
        self.rest_before(Pending { op: Op::unasked("yield"), touch: Touch::NOTHING, towards: None });
    }

    fn unpark(&self, task: TaskId) {
        let Some(number) = self.number_of(task) else { return };
        let ready = self.with(number, |fellow| {
            let parked = fellow.rest == Rest::Blocked;
            match parked {
                true => fellow.rest = Rest::Ready,
                false => fellow.token = true,
            }
            parked
        });
        if ready && !self.ending.get() {
            self.ready.borrow_mut().push(number);
        }
    }

    fn spawn(&self, task: TaskId, body: Box<dyn FnOnce() + Send>) {
        let me = self.current.get();
        let (nth, clock) = self.with(me, |fellow| {
            fellow.children += 1;
            (fellow.children, fellow.clock)
        });
        let known = self.children.borrow().get(&(me, nth)).copied();
        let number = known.unwrap_or_else(|| {
            let number = self.names.task(me, nth);
            self.children.borrow_mut().insert((me, nth), number);
            number
        });
        self.enlist(number, task, clock, body);
    }

    fn become_task(&self, task: TaskId) -> TaskId {
        let me = self.current.get();
        self.is_task(me, task);
        self.with(me, |fellow| std::mem::replace(&mut fellow.id, task))
    }

    fn stamp(&self, earlier: u32) -> u32 {
        let me = self.current.get();
        let mut stamps = self.stamps.borrow_mut();
        self.with(me, |fellow| {
            if earlier == 0 && fellow.stamp != 0 {
                return fellow.stamp;
            }
            let mut clock = fellow.clock;
            if earlier != 0 {
                clock.join(&stamps[earlier as usize]);
            }
            stamps.push(clock);
            let stamp = (stamps.len() - 1) as u32;
            if earlier == 0 {
                fellow.stamp = stamp;
            }
            stamp
        })
    }

    fn witness(&self, stamp: u32) {
        if stamp != 0 {
            let stamps = self.stamps.borrow();
            self.with(self.current.get(), |fellow| {
                fellow.clock.join(&stamps[stamp as usize]);
                fellow.stamp = 0;
            });
        }
    }

    fn line_up(&self, object: u64, task: TaskId) {
        let mut lines = self.lines.borrow_mut();
        let line = lines.entry(object).or_default();
        if !line.contains(&task) {
            line.push_back(task);
        }
    }

    fn next_in_line(&self, object: u64) -> Option<TaskId> {
        if self.lines.borrow().is_empty() || self.ending.get() {
            return None;
        }
        self.lines.borrow_mut().get_mut(&object)?.pop_front()
    }

    fn closes(&self, cycle: &mut dyn Iterator<Item = TaskId>) {
        let mut closing = self.closing.borrow_mut();
        closing.extend(cycle.filter_map(|id| self.number_of(id)));
        // At once: what the victim gives back from now on has happened after those waits.
        let mut clock = Clock::ZERO;
        closing.iter().for_each(|task| clock.join(&self.with(*task, |fellow| fellow.clock)));
        self.with_clock(self.current.get(), |mine| mine.join(&clock));
    }

    fn needs(&self, owner: TaskId) {
        let Some(owner) = self.number_of(owner) else { return };
        self.outcome.borrow_mut().needed = true;
        let event = self.events.get() - 1;
        let clock = self.with(self.current.get(), |fellow| fellow.clock);
        self.with(owner, |fellow| match fellow.rest {
            // It was about to look in any case: who is first is a race.
            Rest::AtStep => {
                fellow.needed_at.push(event);
                self.disturbed.set(self.disturbed.get() | 1 << owner);
            }
            _ => {
                fellow.clock.join(&clock);
                fellow.stamp = 0;
            }
        });
    }

    fn deadlock(&self, deadlock: &Deadlock, returned: bool) {
        if !self.ending.get() {
            self.outcome.borrow_mut().deadlocks.push((deadlock.clone(), returned));
        }
    }
}
