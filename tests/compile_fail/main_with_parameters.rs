//! A main function has no parameters.
//~ main takes no parameters

#[cfg(not(feature = "sound"))]
#[fourfold::main]
fn main(count: usize) {
    println!("{count}");
}

#[cfg(feature = "sound")]
#[fourfold::main]
fn main() {
    println!("{}", std::env::args().count());
}
