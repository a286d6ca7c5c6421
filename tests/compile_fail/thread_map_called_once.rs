//! A closure that can be called once, for many arguments.
//~ the trait `Clone` is not implemented for `Once`

use fourfold::thread::Executor;

/// What can be had once.
#[cfg_attr(feature = "sound", derive(Clone))]
struct Once;

fn main() {
    let pool = Executor::new().unwrap();
    let once = Once;
    let take = move |n: u32| {
        let _once = &once;
        n
    };
    println!("{}", pool.map(take, 0..3).count());
}
