//! A named task is one function, so that one name is enough.
//~ takes a function without generic parameters

#[cfg(not(feature = "sound"))]
#[fourfold::task]
fn show<T: ToString>(value: T) -> String {
    value.to_string()
}

#[cfg(feature = "sound")]
#[fourfold::task]
fn show(value: u32) -> String {
    value.to_string()
}

fn main() {
    println!("{}", show(7));
}
