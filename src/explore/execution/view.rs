//! What guides ask of an execution.

#![allow(unsafe_code)]

use super::{Execution, NONE, Panicked};
use crate::explore::clock::{Clock, TASKS};
use crate::explore::dependence::Touch;
use crate::explore::names;
use crate::explore::panics::Panic;
use crate::wait::explored::{leads_through, name_of};
use crate::wait::{Op, TaskId};

impl Execution {
    /// How many steps have been taken.
    pub(in crate::explore) fn steps(&self) -> usize {
        self.events.get() as usize
    }

    /// The step that a task is about to take.
    pub(in crate::explore) fn pending(&self, task: u8) -> Touch {
        self.fellow(task).pending.get().touch
    }

    /// The words for that step.
    pub(in crate::explore) fn pending_op(&self, task: u8) -> Op {
        self.fellow(task).pending.get().op
    }

    /// When this task was started in this execution, counting from 0.
    pub(in crate::explore) fn ordinal(&self, task: u8) -> u8 {
        let numbers = self.numbers.borrow();
        numbers.iter().position(|number| *number == task).unwrap_or(TASKS) as u8
    }

    /// The task that was started as this one of the execution.
    pub(in crate::explore) fn by_ordinal(&self, ordinal: u8) -> Option<u8> {
        self.numbers.borrow().get(ordinal as usize).copied()
    }

    /// The tasks of this execution, in the order in which it started them.
    pub(in crate::explore) fn started(&self) -> Vec<u8> {
        self.numbers.borrow().clone()
    }

    /// The number of a task of this execution.
    pub(in crate::explore) fn id(&self, task: u8) -> TaskId {
        self.fellow(task).id.get()
    }

    /// What has happened for a task.
    pub(in crate::explore) fn clock(&self, task: u8) -> Clock {
        *self.clocks.borrow().at(self.fellow(task).clock.get())
    }

    /// Replaces what has happened for a task.
    pub(in crate::explore) fn set_clock(&self, task: u8, clock: Clock) {
        self.fellow(task).clock.set(self.clocks.borrow_mut().add(clock));
    }

    /// The event that touched an object last in this execution, which becomes `event`.
    pub(in crate::explore) fn previous(&self, object: u32, event: u32) -> u32 {
        if object == 0 {
            return NONE;
        }
        let (creator, nth) = names::parts(object);
        let seen = &mut self.fellow(creator as u8).made.borrow_mut()[nth as usize];
        let last = if seen.execution == self.number.get() { seen.last } else { NONE };
        (seen.execution, seen.last) = (self.number.get(), event);
        last
    }

    /// The last events of the tasks that the step just taken closed a cycle with, are added to these. Not the step
    /// itself, which may be one of those waits: whoever completes it then was woken by it and takes no step of its own.
    pub(in crate::explore) fn closed_with(&self, events: &mut Vec<u32>) {
        let (closing, taken) = (self.closing.borrow(), self.events.get() - 1);
        let last = closing.iter().map(|task| self.fellow(*task).last_event.get());
        events.extend(last.filter(|event| *event < taken));
    }

    /// The events that gave this task work while it was about to look for itself.
    pub(in crate::explore) fn needed_at(&self, task: u8) -> Vec<u32> {
        self.fellow(task).needed_at.take()
    }

    /// Tasks whose pending step the step just taken has changed, by a cycle and not by an object.
    pub(in crate::explore) fn disturbed(&self, taken: u8) -> u32 {
        let event = self.events.get() - 1;
        let is_new =
            |id: TaskId| self.number_of(id).is_some_and(|task| self.fellow(task).last_event.get() == event);
        self.disturbed.get() | self.leading(taken, is_new)
    }

    /// Tasks whose pending wait would close a cycle through `owner`.
    pub(in crate::explore) fn leading_through(&self, owner: u8) -> u32 {
        let owner_id = self.id(owner);
        self.leading(owner, |id| id == owner_id)
    }

    fn leading(&self, except: u8, wanted: impl Fn(TaskId) -> bool) -> u32 {
        let (mut rest, mut found) = (self.at_step.get() & !(1 << except), 0);
        while rest != 0 {
            let task = rest.trailing_zeros() as u8;
            rest &= rest - 1;
            let fellow = self.fellow(task);
            let towards = fellow.pending.get().towards;
            // SAFETY: the task is suspended in the step, and what it is about to wait for outlives that.
            if towards.is_some_and(|towards| leads_through(fellow.id.get(), unsafe { &*towards }, &wanted)) {
                found |= 1 << task;
            }
        }
        found
    }

    /// The lowest address of the stack that the thread runs on, and whose it is, while a task runs. (A signal handler asks:
    /// it reads a few cells and nothing else.)
    pub(in crate::explore) fn stack_in_use(&self) -> Option<(usize, u8)> {
        self.inside.get().then(|| (self.me().lowest.get(), self.current.get()))
    }

    /// A panic on this thread, as the hook sees it; `false` if it is the explorer's own.
    pub(in crate::explore) fn panicked(&self, describe: impl FnOnce() -> Panic) -> bool {
        if self.inside.get() {
            self.me().panicked.set(true);
        }
        if self.inside.get() && !self.ending.get() {
            let task = self.name_of(self.current.get());
            self.outcome.borrow_mut().panics.push(Panicked { panic: describe(), task, ended: false });
        }
        self.inside.get()
    }

    /// The task that runs ends by unwinding.
    pub(super) fn ended_by(&self, payload: &(dyn std::any::Any + Send)) {
        if self.ending.get() {
            return;
        }
        let task = self.name_of(self.current.get());
        let mut outcome = self.outcome.borrow_mut();
        match outcome.panics.last_mut() {
            Some(last) => last.ended = true,
            // Unwinding that no hook was told of.
            None => outcome.panics.push(Panicked { panic: Panic::silent(payload), task, ended: true }),
        }
    }

    /// What a task of this execution is called.
    pub(in crate::explore) fn name_of(&self, task: u8) -> String {
        name_of(self.id(task))
    }
}
