//! A named task is a free function.
//~ takes a free function

struct Order(u32);

#[cfg(not(feature = "sound"))]
impl Order {
    #[fourfold::task]
    fn count(self) -> u32 {
        self.0
    }
}

#[cfg(feature = "sound")]
#[fourfold::task]
fn count(order: u32) -> u32 {
    Order(order).0
}

fn main() {
    #[cfg(not(feature = "sound"))]
    println!("{}", Order(1).count());
    #[cfg(feature = "sound")]
    println!("{}", count(1));
}
