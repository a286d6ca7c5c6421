//! A value that has nothing to run.
//~ no function or associated item named `run` found

#[derive(serde::Serialize, serde::Deserialize)]
struct Order {
    count: u32,
}

#[cfg(feature = "sound")]
impl Order {
    fn run(self) -> u32 {
        self.count
    }
}

fn main() {
    let order = Order { count: 1 };
    println!("{}", order.count);
    drop(fourfold::process::spawn(Order::run, order));
}
