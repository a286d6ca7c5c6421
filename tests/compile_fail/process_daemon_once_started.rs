//! What a child is to the end of main is said before it is started.
//~ no method named `daemon` found

fn main() {
    #[cfg(not(feature = "sound"))]
    fourfold::process::spawn(|| (), ()).unwrap().daemon(true);
    #[cfg(feature = "sound")]
    drop(fourfold::process::Builder::new().daemon(true).spawn(|| (), ()));
}
