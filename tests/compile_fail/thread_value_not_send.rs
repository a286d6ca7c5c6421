//! A value that must stay in its thread.
//~ `Rc<u32>` cannot be sent between threads safely

#[cfg(not(feature = "sound"))]
use std::rc::Rc as Shared;
#[cfg(feature = "sound")]
use std::sync::Arc as Shared;

fn main() {
    drop(fourfold::thread::spawn(|n: u32| -> Shared<u32> { Shared::new(n) }, 1));
}
