//! What tasks ask of the execution that they are part of.

#![allow(unsafe_code)]

use std::time::Duration;

use super::Execution;
use super::fellow::{Pending, Rest};
use crate::explore::dependence::Touch;
use crate::explore::names;
use crate::wait::explored::{Goes, Scheduler, Step, Turn};
use crate::wait::{Access, Deadlock, Kind, Op, Resource, TaskId};

impl Scheduler for Execution {
    fn name(&self) -> u64 {
        let me = self.me();
        let nth = me.objects.get() + 1;
        me.objects.set(nth);
        let object =
            names::object(self.current.get().into(), nth).expect("a task makes fewer than 2^27 objects");
        // Whoever makes one object after the other may be going on for ever.
        let asks_always = self.ending.get() || self.goes_on_and_on();
        let marks =
            if asks_always { 0 } else { me.made.borrow().get(nth as usize).map_or(0, |seen| seen.marks) };
        marks | (u64::from(self.number.get()) << 32) | u64::from(object)
    }

    fn is_ending(&self) -> bool {
        let ending = self.ending.get();
        if ending {
            self.refuse();
        }
        ending
    }

    fn is_seen(&self, access: Access) -> bool {
        !self.is_quiet(self.current.get(), access) || self.ending.get() || self.goes_on_and_on()
    }

    fn step<'a>(&self, step: &Step<'a>) -> Turn<'a> {
        if self.ending.get() {
            return self.refuses();
        }
        let touch = match step.access {
            None => Touch::NOTHING,
            Some(access) => {
                let me = self.current.get();
                self.visible(me, access).unwrap_or_else(|| self.found_visible(me, access))
            }
        };
        let may_wait = step.towards.is_some()
            && !step.access.is_some_and(|access| matches!(access.kind, Kind::Lock | Kind::Read));
        if !touch.is_nothing() || may_wait {
            return self.come_to(step, touch);
        }
        if self.goes_on_and_on() {
            return self.come_after_all(step, touch);
        }
        Turn::now(Goes::On)
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

    fn park(&self) -> Turn<'static> {
        if self.ending.get() {
            return self.refuses();
        }
        if self.me().token.replace(false) {
            return Turn::now(Goes::On);
        }
        self.rests(Rest::Blocked)
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
        self.park().wait();
        // Whoever let the time come took the deadline away.
        self.me().deadline.take().is_none()
    }

    fn yield_now(&self) -> Turn<'static> {
        if self.ending.get() {
            return self.refuses();
        }
        self.rests_before(Pending { op: Op::unasked("yield"), touch: Touch::NOTHING, towards: None })
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
        self.clocks.borrow_mut().join(self.me().clock.get(), earlier)
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
    /// Everything is ending, and the task that runs asks to wait.
    #[cold]
    fn refuses<'a>(&self) -> Turn<'a> {
        self.refuse();
        Turn::now(Goes::ToItsEnd)
    }

    /// The task that runs comes to a step that is one because there was none for so long.
    #[cold]
    fn come_after_all<'a>(&self, step: &Step<'a>, touch: Touch) -> Turn<'a> {
        step.access.into_iter().for_each(|access| self.names.share(self.local(access.object)));
        self.come_to(step, touch)
    }

    /// The task that runs comes to a step.
    fn come_to<'a>(&self, step: &Step<'a>, touch: Touch) -> Turn<'a> {
        let towards = step.towards.map(|towards| {
            // SAFETY: only the lifetime changes; it is read while the task is suspended before the step, and by
            // what is returned here it stays until then.
            unsafe { std::mem::transmute::<&dyn Resource, *const (dyn Resource + 'static)>(towards) }
        });
        self.rests_before(Pending { op: step.op, touch, towards })
    }
}
