//! What tasks ask of the execution that they are part of.

#![allow(unsafe_code)]

use std::time::Duration;

use super::Execution;
use super::fellow::{Pending, Rest};
use crate::explore::clock::NOTHING;
use crate::explore::dependence::Touch;
use crate::explore::names;
use crate::wait::explored::{Scheduler, Step};
use crate::wait::{Access, Deadlock, Kind, Op, Resource, TaskId};

impl Scheduler for Execution {
    fn name(&self) -> u64 {
        let nth = self.me().objects.get() + 1;
        self.me().objects.set(nth);
        let object =
            names::object(self.current.get().into(), nth).expect("a task makes fewer than 2^27 objects");
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
        let touch = match step.access {
            None => Touch::NOTHING,
            Some(access) => match self.visible(self.current.get(), access) {
                Some(touch) => touch,
                None => return self.come_to_news(step, access),
            },
        };
        self.come_if_seen(step, touch);
    }

    fn observe(&self, object: u64, with: u64) {
        if self.ending.get() {
            return;
        }
        let object = self.local(object);
        let with = if with == 0 { 0 } else { self.local(with) };
        let known = self.look_up(object, self.current.get());
        if !known.observed {
            self.names.observe(object);
        }
        if with != 0 && with != object {
            self.names.join(object, with);
        }
    }

    fn is_ended_by(&self, cancel: u64, object: u64) -> bool {
        if self.ending.get() {
            return false;
        }
        let (cancel, object) = (self.local(cancel), self.local(object));
        let is_cancelled = self.look_up(cancel, self.current.get()).observed;
        if is_cancelled && cancel != object {
            if !self.look_up(object, self.current.get()).observed {
                self.names.observe(object);
            }
            self.names.join(object, cancel);
        }
        is_cancelled
    }

    fn now(&self) -> Duration {
        self.now.get()
    }

    fn park(&self) {
        if self.ending.get() || self.me().token.replace(false) {
            return;
        }
        self.suspend(Rest::Blocked);
    }

    fn is_unwinding(&self) -> bool {
        std::thread::panicking() && self.me().panicked.get()
    }

    fn timeouts_any_time(&self) -> bool {
        self.any_time
    }

    fn wakes_spuriously(&self) -> bool {
        self.spurious
    }

    fn park_timeout(&self, timeout: Duration) -> bool {
        let deadline = self.now.get().saturating_add(timeout);
        self.me().deadline.set(Some(deadline));
        self.park();
        // Whoever let the time come took the deadline away.
        self.me().deadline.take().is_none()
    }

    fn yield_now(&self) {
        if self.ending.get() {
            return self.refuse();
        }
        self.rest_before(Pending { op: Op::unasked("yield"), touch: Touch::NOTHING, towards: None });
    }

    fn number(&self, task: TaskId) -> Option<u32> {
        self.number_of(task).map(u32::from)
    }

    fn unpark(&self, task: TaskId) {
        let Some(number) = self.number_of(task) else { return };
        let fellow = self.fellow(number);
        if fellow.rest.get() != Rest::Blocked {
            fellow.token.set(true);
            return;
        }
        fellow.rest.set(Rest::Ready);
        if !self.ending.get() {
            self.may_run(number);
        }
    }

    fn spawn(&self, task: TaskId, body: Box<dyn FnOnce() + Send>) {
        let me = self.me();
        let nth = me.children.get() + 1;
        me.children.set(nth);
        let mut started = me.started.borrow_mut();
        if started.len() < nth as usize {
            started.push(self.names.task(self.current.get(), nth));
        }
        self.enlist(started[nth as usize - 1], task, me.clock.get(), body);
    }

    fn become_task(&self, task: TaskId) -> TaskId {
        let before = self.me().id.replace(task);
        if before != task {
            self.is_task(self.current.get(), task);
        }
        before
    }

    fn stamp(&self, earlier: u32) -> u32 {
        match earlier {
            NOTHING => self.me().clock.get(),
            _ => self.clocks.borrow_mut().join(self.me().clock.get(), earlier),
        }
    }

    fn witness(&self, stamp: u32) {
        self.learns(self.me(), stamp);
    }

    fn closes(&self, cycle: &mut dyn Iterator<Item = TaskId>) {
        self.be_patient();
        let mut closing = self.closing.borrow_mut();
        closing.extend(cycle.filter_map(|id| self.number_of(id)));
        // At once: what the victim gives back from now on has happened after those waits.
        closing.iter().for_each(|task| self.learns(self.me(), self.fellow(*task).clock.get()));
    }

    fn needs(&self, owner: TaskId) {
        let Some(owner) = self.number_of(owner) else { return };
        self.outcome.borrow_mut().needed = true;
        self.be_patient();
        let event = self.events.get() - 1;
        let fellow = self.fellow(owner);
        match fellow.rest.get() {
            // It was about to look in any case: who is first is a race.
            Rest::AtStep => {
                fellow.needed_at.borrow_mut().push(event);
                self.disturbed.set(self.disturbed.get() | 1 << owner);
            }
            _ => self.learns(fellow, self.me().clock.get()),
        }
    }

    fn is_unordered(&self) {
        self.outcome.borrow_mut().needed = true;
    }

    fn deadlock(&self, deadlock: &Deadlock, returned: bool) {
        if !self.ending.get() {
            self.be_patient();
            self.outcome.borrow_mut().deadlocks.push((deadlock.clone(), returned));
        }
    }
}

impl Execution {
    /// The task that runs comes to a step, if anybody can tell that it is one.
    #[inline]
    fn come_if_seen(&self, step: &Step<'_>, touch: Touch) {
        let may_wait = step.towards.is_some()
            && !step.access.is_some_and(|access| matches!(access.kind, Kind::Lock | Kind::Read));
        if !touch.is_nothing() || may_wait {
            return self.come_to(step, touch);
        }
        if self.goes_on_and_on() {
            self.come_after_all(step, touch);
        }
    }

    /// The same of a step on an object of which something has to be found out.
    #[cold]
    fn come_to_news(&self, step: &Step<'_>, access: Access) {
        self.come_if_seen(step, self.found_visible(self.current.get(), access));
    }

    /// The same of a step that is one because there was none for so long.
    #[cold]
    fn come_after_all(&self, step: &Step<'_>, touch: Touch) {
        step.access.into_iter().for_each(|access| self.names.share(self.local(access.object)));
        self.come_to(step, touch);
    }

    /// The task that runs comes to a step; returns when it is its turn. Apart from what is asked most often.
    #[inline(never)]
    fn come_to(&self, step: &Step<'_>, touch: Touch) {
        let towards = step.towards.map(|towards| {
            // SAFETY: only the lifetime changes; it is read while the task is suspended here, inside `step`.
            unsafe { std::mem::transmute::<&dyn Resource, *const (dyn Resource + 'static)>(towards) }
        });
        self.rest_before(Pending { op: step.op, touch, towards });
    }
}
