//! The limit on resident memory: how far over it a job comes, whole trees, shared pages.

use super::support::{Build, plain, programs};

#[test]
fn memory_is_measured_and_limited() {
    programs(Build::Same);
    print!("{}", plain(&["measure"]).stdout);
}
