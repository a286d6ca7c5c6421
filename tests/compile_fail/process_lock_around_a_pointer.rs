//! A value with a pointer in it, in memory that processes share.
//~ `String` cannot lie in memory that processes share
//~ may have a pointer in it
//~ numbers, arrays of them and `()` can
//~ any serde type can go through a `process::Queue`

fn main() {
    #[cfg(not(feature = "sound"))]
    let value = String::from("elsewhere");
    #[cfg(feature = "sound")]
    let value = [7u8; 16];
    drop(fourfold::process::Lock::new(value));
}
