//! Items of a queue between processes are written by serde.
//~ trait bounds were not satisfied
//~ doesn't satisfy `Item: Payload`

#[cfg_attr(feature = "sound", derive(serde::Serialize, serde::Deserialize))]
struct Item {
    _count: u32,
}

fn main() {
    drop(fourfold::process::Queue::<Item>::bounded(1));
}
