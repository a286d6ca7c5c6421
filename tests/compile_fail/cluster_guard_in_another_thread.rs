//! The guard of a lock on a server, which the connection of its thread holds, dropped by another thread.
//~ cannot be sent between threads safely
//~ LockGuard

use fourfold::cluster::manager::Lock;

fn hold(lock: &Lock) {
    let guard = lock.lock().unwrap();
    std::thread::scope(|scope| {
        #[cfg(not(feature = "sound"))]
        scope.spawn(move || drop(guard));
        #[cfg(feature = "sound")]
        scope.spawn(move || drop(lock.lock().unwrap()));
    });
}

fn main() {
    let _ = hold;
}
