//! A buffer is one process's at a time.
//~ no method named `clone` found for struct `Buffer`

fn main() {
    let buffer = fourfold::process::Buffer::new(8).unwrap();
    #[cfg(feature = "sound")]
    let buffer = buffer.share();
    drop(buffer.clone());
}
