//! An argument that holds what serde knows nothing of.
//~ `Vec<Order>` cannot cross to another process
//~ derive `serde::Serialize` and `serde::Deserialize`

#[cfg_attr(feature = "sound", derive(serde::Serialize, serde::Deserialize))]
struct Order {
    count: u32,
}

fn main() {
    let orders = vec![Order { count: 1 }];
    drop(fourfold::process::spawn(|orders: Vec<Order>| orders[0].count, orders));
}
