//! What a child is to the end of main is said before it is started.
//~ no method named `daemon` found

fn main() {
    #[cfg(not(feature = "sound"))]
    fourfold::thread::spawn(|| (), ()).unwrap().daemon(true);
    #[cfg(feature = "sound")]
    drop(fourfold::thread::Builder::new().daemon(true).spawn(|| (), ()));
}
