//! A closure that borrows, in a process of its own.
//~ closure may outlive the current function
//~ requires argument type to outlive `'static`

use fourfold::process;

fn main() {
    let limit = 3;
    #[cfg(not(feature = "sound"))]
    drop(process::spawn(|n: u32| n < limit, 2));
    #[cfg(feature = "sound")]
    drop(process::spawn(|n: u32, limit: u32| n < limit, (2, limit)));
}
