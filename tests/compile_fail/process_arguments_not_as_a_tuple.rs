//! Two parameters, and one argument.
//~ cannot be called with
//~ does not take these arguments
//~ a function of several parameters takes them as one tuple

fn main() {
    let pool = fourfold::process::Executor::new().unwrap();
    #[cfg(not(feature = "sound"))]
    drop(pool.submit(|a: u32, b: u32| a + b, 1));
    #[cfg(feature = "sound")]
    drop(pool.submit(|a: u32, b: u32| a + b, (1, 2)));
}
