//! Elements for which not every bit pattern is valid, in memory that processes share.
//~ `bool` cannot lie in memory that processes share
//~ bit patterns that are not valid

fn main() {
    #[cfg(not(feature = "sound"))]
    let value = true;
    #[cfg(feature = "sound")]
    let value = 1u8;
    drop(fourfold::process::Array::new(3, value));
}
