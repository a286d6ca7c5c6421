//! A closure that captures a text, in a process of its own.
//~ captures something, which cannot cross to another process
//~ pass what it needs as an argument
//~ at the thread scale a closure may capture

fn main() {
    let text = String::from("text");
    #[cfg(not(feature = "sound"))]
    drop(fourfold::process::spawn(move || text.len(), ()));
    #[cfg(feature = "sound")]
    drop(fourfold::process::spawn(|text: String| text.len(), text));
}
