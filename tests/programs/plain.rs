//! A program without any preparation, which plays the role that its first argument names.

mod roles;

fn main() -> std::process::ExitCode {
    roles::play()
}
