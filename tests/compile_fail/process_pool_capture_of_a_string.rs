//! A closure that captures a text, as a task of a pool of processes.
//~ captures something, which cannot cross to another process
//~ pass what it needs as an argument
//~ at the thread scale a closure may capture

use fourfold::process::Executor;

fn main() {
    let pool = Executor::new().unwrap();
    let text = String::from("text");
    #[cfg(not(feature = "sound"))]
    drop(pool.submit(move || text.len(), ()));
    #[cfg(feature = "sound")]
    drop(pool.submit(|text: String| text.len(), text));
}
