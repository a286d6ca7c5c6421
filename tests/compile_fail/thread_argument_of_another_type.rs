//! A text where a number is wanted.
//~ cannot be called with `String`
//~ does not take these arguments

fn main() {
    let argument = String::from("7");
    #[cfg(not(feature = "sound"))]
    drop(fourfold::thread::spawn(|n: u32| n + 1, argument));
    #[cfg(feature = "sound")]
    drop(fourfold::thread::spawn(|n: u32| n + 1, argument.parse().unwrap()));
}
