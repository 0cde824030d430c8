//! Where the threads of a model wait until each holds what it begins with. Getting there is not explored: the search
//! is over everything that can happen from that state on.

use loom::sync::mpsc;
use loom::thread;

/// The way of one thread through.
pub(crate) struct Gate {
    ready: mpsc::Sender<()>,
    open: mpsc::Receiver<()>,
}

impl Gate {
    pub(crate) fn pass(&self) {
        self.ready.send(()).unwrap();
        self.open.recv().unwrap();
    }
}

/// Those of several threads.
pub(crate) struct Gates {
    ready: (mpsc::Sender<()>, mpsc::Receiver<()>),
    doors: Vec<mpsc::Sender<()>>,
}

impl Gates {
    /// From now on nothing is explored.
    pub(crate) fn new() -> Self {
        loom::stop_exploring();
        Self { ready: mpsc::channel(), doors: Vec::new() }
    }

    /// One more.
    pub(crate) fn gate(&mut self) -> Gate {
        let (door, open) = mpsc::channel();
        self.doors.push(door);
        Gate { ready: self.ready.0.clone(), open }
    }

    /// Lets all through as soon as all are there, and explores from now on.
    pub(crate) fn open(self) {
        for _ in &self.doors {
            self.ready.1.recv().unwrap();
        }
        loom::explore();
        for door in &self.doors {
            door.send(()).unwrap();
        }
    }
}

/// Starts a thread that passes a gate.
pub(crate) fn behind<R: 'static>(
    gates: &mut Gates,
    body: impl FnOnce(&Gate) -> R + Send + 'static,
) -> thread::JoinHandle<R> {
    let gate = gates.gate();
    thread::spawn(move || body(&gate))
}
