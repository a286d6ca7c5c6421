//! An argument that serde knows nothing of.
//~ `Order` cannot cross to another process
//~ not a serde type that owns its data
//~ derive `serde::Serialize` and `serde::Deserialize`

#[cfg_attr(feature = "sound", derive(serde::Serialize, serde::Deserialize))]
struct Order {
    count: u32,
}

fn main() {
    drop(fourfold::process::spawn(|order: Order| order.count, Order { count: 1 }));
}
