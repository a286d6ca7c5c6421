//! A child must not find a runtime in its way.
//~ takes a plain function; start an async runtime inside it

#[cfg(not(feature = "sound"))]
#[fourfold::main]
async fn main() {}

#[cfg(feature = "sound")]
#[fourfold::main]
fn main() {}
