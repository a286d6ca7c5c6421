//! A program with `#[fourfold::main]`, which plays the role that its first argument names.

mod roles;

#[fourfold::main]
fn main() -> std::process::ExitCode {
    roles::play()
}
