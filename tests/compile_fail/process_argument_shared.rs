//! An argument that lives in the memory of one process.
//~ cannot cross to another process
//~ at the thread scale any `Send` type goes

use std::sync::{Arc, Mutex};

#[cfg(not(feature = "sound"))]
use fourfold::process as scale;
#[cfg(feature = "sound")]
use fourfold::thread as scale;

fn main() {
    let count = Arc::new(Mutex::new(0));
    drop(scale::spawn(|count: Arc<Mutex<u32>>| *count.lock().unwrap() += 1, count));
}
