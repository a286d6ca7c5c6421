//! Measures fourfold beside its peers.
fn main() {}
