//! The end of a channel, which lives in the memory of one process.
//~ cannot cross to another process

use std::sync::mpsc::{Sender, channel};

#[cfg(not(feature = "sound"))]
use fourfold::process as scale;
#[cfg(feature = "sound")]
use fourfold::thread as scale;

fn main() {
    let (sender, _receiver) = channel();
    drop(scale::spawn(|sender: Sender<u32>| sender.send(1).unwrap(), sender));
}
