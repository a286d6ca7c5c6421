//! What puts into a queue of a parameter's type says what that type must be.
//~ trait bounds were not satisfied
//~ `T: Payload`
use fourfold::process::Queue;

#[cfg(feature = "sound")]
fn add<T: fourfold::task::Payload>(queue: &Queue<T>, job: T) {
    drop(queue.put(job));
}

#[cfg(not(feature = "sound"))]
fn add<T>(queue: &Queue<T>, job: T) {
    drop(queue.put(job));
}

fn main() {
    add(&Queue::bounded(1).unwrap(), 1);
}
