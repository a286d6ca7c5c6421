//! A capture that must stay in its thread.
//~ `Rc<u32>` cannot be sent between threads safely

#[cfg(not(feature = "sound"))]
use std::rc::Rc as Shared;
#[cfg(feature = "sound")]
use std::sync::Arc as Shared;

fn main() {
    let pool = fourfold::thread::Executor::new().unwrap();
    let shared: Shared<u32> = Shared::new(1);
    drop(pool.submit(move || *shared, ()));
}
