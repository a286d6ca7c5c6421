//! A function with a value where nobody would take it.
//~ expected `()`

fn main() {
    let builder = fourfold::process::Executor::builder();
    #[cfg(not(feature = "sound"))]
    let builder = builder.on_start(|| 1, ());
    #[cfg(feature = "sound")]
    let builder = builder.on_start(|| println!("1"), ());
    drop(builder);
}
