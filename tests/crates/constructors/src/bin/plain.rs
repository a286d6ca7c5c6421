//! Without a word about children: they begin before `main`.

fn main() {
    fourfold_constructors::check("plain");
}
