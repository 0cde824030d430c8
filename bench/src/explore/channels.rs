//! The protocol over the channels of a library that mirrors `std`.
//!
//! Channels, not a mutex and a condition variable: that is the coarsest grain at which such a library offers the
//! protocol's steps, so the fewest interleavings, and the fairest to it. At lock grain loom needs 156 executions
//! instead of 2 for one session with one call, and more than two million for two.

/// Defines `protocol` with the channels and threads of the given library.
macro_rules! protocol_over {
    ($library:ident) => {
        use ::$library::sync::mpsc::{self, Sender};
        use ::$library::thread;

        use crate::explore::cases::{Case, VICTIM};
        use crate::explore::search::Search;

        enum Job {
            Call { session: usize, reply: Sender<usize> },
            Settle,
            Close,
        }

        /// One execution; the calling thread is the owner.
        pub fn protocol(case: Case, search: &Search) {
            search.execution_begins();
            let (queue, jobs) = mpsc::channel();
            let mut tasks = Vec::new();
            for session in 0..case.sessions {
                let queue = queue.clone();
                tasks.push(thread::spawn(move || session_task(session, case.calls, &queue)));
            }
            if case.rare {
                tasks.push(thread::spawn(move || queue.send(Job::Close).unwrap()));
            }
            let mut calls = vec![0; case.sessions];
            for _ in 0..case.jobs() {
                match jobs.recv().unwrap() {
                    Job::Call { session, reply } => {
                        calls[session] += 1;
                        reply.send(calls[session]).unwrap();
                    }
                    Job::Close if case.is_the_bug(calls[VICTIM]) => search.found(),
                    Job::Close | Job::Settle => {}
                }
            }
            for task in tasks {
                task.join().unwrap();
            }
        }

        fn session_task(session: usize, calls: usize, queue: &Sender<Job>) {
            for nth in 1..=calls {
                let (reply, answer) = mpsc::channel();
                queue.send(Job::Call { session, reply }).unwrap();
                assert_eq!(answer.recv().unwrap(), nth);
            }
            queue.send(Job::Settle).unwrap();
        }
    };
}

pub(super) use protocol_over;

#[cfg(test)]
mod tests {
    mod native {
        crate::explore::channels::protocol_over!(std);
    }

    use crate::explore::cases::Case;
    use crate::explore::search::Search;

    #[test]
    fn the_protocol_ends_on_real_threads() {
        let search = Search::unwatched();
        native::protocol(Case::protocol(3, 4), &search);
        assert_eq!(search.executions(), 1);
    }
}
