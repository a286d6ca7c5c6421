//! A function pointer, which is a value that another process has no use for.
//~ a function pointer captures too: name the function itself

fn double(n: u32) -> u32 {
    n * 2
}

fn main() {
    #[cfg(not(feature = "sound"))]
    let function = double as fn(u32) -> u32;
    #[cfg(feature = "sound")]
    let function = double;
    drop(fourfold::process::spawn(function, 2));
}
