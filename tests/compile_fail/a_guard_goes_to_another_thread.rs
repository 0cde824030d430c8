//! The task that locked is the one that is known to hold the lock, so its guard stays.
fn main() {
    let lock = impasse::sync::Mutex::new(1);
    let held = lock.lock();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(held));
    });
}
