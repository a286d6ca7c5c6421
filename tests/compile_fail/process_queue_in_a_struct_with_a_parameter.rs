//! A struct with a queue in it may have a parameter: what the compiler asks for is said where that is.
//~ may not live long enough
//~ consider adding an explicit lifetime bound
//~ struct Jobs<T: 'static> {
use fourfold::task::Payload;
use fourfold::process::{PutError, Queue};

#[cfg(feature = "sound")]
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Jobs<T: 'static> {
    queue: Queue<T>,
}

#[cfg(not(feature = "sound"))]
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Jobs<T> {
    queue: Queue<T>,
}

impl<T: Payload> Jobs<T> {
    fn add(&self, job: T) -> Result<(), PutError<T>> {
        self.queue.put(job)
    }
}

fn main() {
    let jobs = Jobs { queue: Queue::bounded(1).unwrap() };
    let add = |jobs: Jobs<u32>| jobs.add(1).unwrap();
    fourfold::process::spawn(add, jobs).unwrap().join().unwrap();
}
