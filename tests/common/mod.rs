//! What the tests on real threads share.

use std::sync::mpsc;
use std::time::Duration;

/// Runs `body` on a thread of its own and fails if it does not come back: a hang is a failure with a name.
pub fn within_a_minute<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, ended) = mpsc::channel();
    let thread = std::thread::spawn(move || done.send(body()));
    match ended.recv_timeout(Duration::from_secs(60)) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(_) => unreachable!("the thread sends before it ends"),
        },
        Err(mpsc::RecvTimeoutError::Timeout) => {
            let waiting = impasse::waiting_tasks();
            panic!("hangs; who waits for whom: {waiting:#?}")
        }
    }
}
