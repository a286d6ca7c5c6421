//! A value that serde knows nothing of.
//~ `Answer` cannot cross to another process
//~ derive `serde::Serialize` and `serde::Deserialize`

#[cfg_attr(feature = "sound", derive(serde::Serialize, serde::Deserialize))]
struct Answer {
    _count: u32,
}

fn main() {
    let pool = fourfold::process::Executor::new().unwrap();
    drop(pool.submit(|count: u32| Answer { _count: count }, 1));
}
