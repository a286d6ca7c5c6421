//! A thread may outlive what its closure borrows.
//~ closure may outlive the current function
//~ requires argument type to outlive `'static`

fn main() {
    let limit = 3;
    #[cfg(not(feature = "sound"))]
    let child = fourfold::thread::spawn(|n: u32| n < limit, 2);
    #[cfg(feature = "sound")]
    let child = fourfold::thread::spawn(move |n: u32| n < limit, 2);
    drop(child);
}
