//! Random programs over owners, sessions, threads and atomics.
