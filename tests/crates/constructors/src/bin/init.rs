//! With `init()`, first thing in `main`, and again, and late.

fn main() {
    fourfold::init();
    fourfold::init();
    fourfold_constructors::check("init");
    fourfold::init();
}
