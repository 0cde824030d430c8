//! Programs that must not compile: the state of an owner never leaves its thread.
#![cfg(not(loom))]

#[test]
fn what_would_leave_the_owner_thread_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
