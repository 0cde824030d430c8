//! Bugs that can be switched on, to show that the models have teeth.
//!
//! A proof that nothing can fail is worth nothing. Each property in `loom_tests/` has a twin: the same model,
//! run in a child process with one of these bugs seeded into the production code, which must fail. Natively
//! [`seeded`](super::seeded) is the constant `false` and the branch is compiled out.

/// One way to break the crate on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The door does not fence between publishing its edge and looking at the others'.
    NoFence,
    /// The door publishes its edge with a relaxed store.
    RelaxedPublish,
    /// A look reads by a relaxed load which wait a task is in.
    RelaxedLook,
    /// A cycle is believed as it was read, forwards, without the second look backwards.
    ForwardOnly,
    /// Nobody looks when somebody in particular has become the one who can end a wait.
    NarrowTellsNobody,
    /// The edge of a victim is still there when the next one looks.
    NoTieBreak,
    /// The chase goes round in a cycle that the asker is no part of.
    NoHopBound,
    /// The chase takes a job in the queue of a serving owner for one that nobody will run.
    IgnoreServing,
    /// A serving owner takes a job while its wait is still published.
    ServeBehindEdge,
    /// A wait is taken back without the verdict lock.
    WithdrawUnlocked,
    /// A waiter leaves without waiting for the chaser that looks at it.
    LeaveDuringLook,
    /// A slot wakes its waiter before the value is there.
    WakeBeforePublish,
    /// Whoever has settled a slot is still thought to be waited for.
    SettledProvides,
    /// Whoever is about to do what the others wait for is thought to wait for them, until it has.
    ComingWaits,
    /// Whoever has been given what it waited for, or has taken it, is thought to wait until its edge is gone.
    GrantedWaits,
    /// Who may upgrade a lock is forgotten after the lock has been given back.
    ForgetAfterUnlock,
    /// The setter of a slot settles it once more when it is dropped.
    SettleTwice,
    /// A shutdown does not wait for the settlements that started runs still owe.
    ForgetReservation,
    /// A post does not look whether the mailbox was closed.
    AcceptAfterClose,
    /// A post waits until its job has run.
    PostWaits,
    /// Whoever waits on behalf of a run is not woken when the run is cancelled.
    CancelWakesNobody,
    /// A verdict rests on a wait of a run that has been cancelled.
    CancelledCounts,
    /// A run that was cancelled settles with its answer all the same.
    AnswerAfterCancel,
    /// An owner that parks does not mind that a job is on its way through the hatch.
    NeverRevoke,
    /// A job is said to be in the hatch by a relaxed store.
    RelaxedHandOver,
    /// An owner that looks is not told of what is queued.
    TellNobody,
    /// The hatch stays open when the mailbox is closed.
    CloseAjar,
    /// The owner is not woken by what comes while it parks.
    ForgetParked,
    /// A token is taken by a relaxed read.
    RelaxedToken,
    /// Whoever leaves a token looks first whether the task sleeps.
    WakeByLook,
    /// Whoever leaves a call takes its job back although the owner has begun it.
    LeaveWithJob,
    /// A job that comes does not end the owner's idleness.
    StaysIdle,
    /// Nobody who waits for room is told of it.
    RoomForNobody,
    /// A cancelled waiter stays in the line of its lock.
    StaysInLine,
    /// Only one of those who wait for the end of an owner is told.
    EndToldOnce,
    /// A wait that is to be refused on the owner is not.
    RejectNothing,
    /// No wait is ever found to close a cycle.
    DetectorOff,
}

impl Bug {
    /// What the twin's environment calls it.
    #[allow(dead_code, reason = "read under loom only")]
    pub(crate) const ALL: [(&'static str, Bug); 37] = [
        ("no-fence", Bug::NoFence),
        ("relaxed-publish", Bug::RelaxedPublish),
        ("relaxed-look", Bug::RelaxedLook),
        ("forward-only", Bug::ForwardOnly),
        ("narrow-tells-nobody", Bug::NarrowTellsNobody),
        ("no-tie-break", Bug::NoTieBreak),
        ("no-hop-bound", Bug::NoHopBound),
        ("ignore-serving", Bug::IgnoreServing),
        ("serve-behind-edge", Bug::ServeBehindEdge),
        ("withdraw-unlocked", Bug::WithdrawUnlocked),
        ("leave-during-look", Bug::LeaveDuringLook),
        ("wake-before-publish", Bug::WakeBeforePublish),
        ("settled-provides", Bug::SettledProvides),
        ("coming-waits", Bug::ComingWaits),
        ("granted-waits", Bug::GrantedWaits),
        ("forget-after-unlock", Bug::ForgetAfterUnlock),
        ("settle-twice", Bug::SettleTwice),
        ("forget-reservation", Bug::ForgetReservation),
        ("accept-after-close", Bug::AcceptAfterClose),
        ("post-waits", Bug::PostWaits),
        ("cancel-wakes-nobody", Bug::CancelWakesNobody),
        ("cancelled-counts", Bug::CancelledCounts),
        ("answer-after-cancel", Bug::AnswerAfterCancel),
        ("never-revoke", Bug::NeverRevoke),
        ("relaxed-hand-over", Bug::RelaxedHandOver),
        ("tell-nobody", Bug::TellNobody),
        ("close-ajar", Bug::CloseAjar),
        ("forget-parked", Bug::ForgetParked),
        ("relaxed-token", Bug::RelaxedToken),
        ("wake-by-look", Bug::WakeByLook),
        ("leave-with-job", Bug::LeaveWithJob),
        ("stays-idle", Bug::StaysIdle),
        ("room-for-nobody", Bug::RoomForNobody),
        ("stays-in-line", Bug::StaysInLine),
        ("end-told-once", Bug::EndToldOnce),
        ("reject-nothing", Bug::RejectNothing),
        ("detector-off", Bug::DetectorOff),
    ];
}
