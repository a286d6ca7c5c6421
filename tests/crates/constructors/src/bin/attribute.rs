//! With `#[fourfold::main]`, and `init()` in it, twice.

#[fourfold::main]
fn main() {
    fourfold::init();
    fourfold::init();
    fourfold_constructors::check("attribute");
}
