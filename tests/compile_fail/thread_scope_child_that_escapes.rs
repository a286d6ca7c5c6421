//! What a scope gives, a child with what it borrows, must not outlive it.
//~ borrowed data escapes outside of closure
//~ scope

fn main() {
    let limit = 3;
    let mut kept = None;
    fourfold::thread::scope(|scope| {
        let child = scope.spawn(|| limit, ()).unwrap();
        #[cfg(not(feature = "sound"))]
        kept.replace(child);
        #[cfg(feature = "sound")]
        kept.replace(child.join());
    })
    .unwrap();
}
