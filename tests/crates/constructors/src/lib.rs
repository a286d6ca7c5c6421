//! Constructors beside the library's own, and what must be so in a process that has them, parent or child.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use fourfold::process::{Builder, Executor, StartMethod};

static NUMBERED: AtomicU32 = AtomicU32::new(0);
static BEFORE_OURS: AtomicU32 = AtomicU32::new(0);

extern "C" fn count_numbered() {
    NUMBERED.fetch_add(1, Relaxed);
}

extern "C" fn count_before_ours() {
    BEFORE_OURS.fetch_add(1, Relaxed);
}

// SAFETY: the loader calls an entry of `.init_array` once, and this one needs nothing that comes later.
#[used]
#[unsafe(link_section = ".init_array.00101")]
static COUNT_NUMBERED: extern "C" fn() = count_numbered;

// SAFETY: as above. Without link-time optimisation this crate is linked before the library, which it depends on.
#[used]
#[unsafe(link_section = ".init_array")]
static COUNT_BEFORE_OURS: extern "C" fn() = count_before_ours;

#[cfg(feature = "c")]
unsafe extern "C" {
    safe fn c_early() -> i32;
    safe fn c_late() -> i32;
    safe fn c_arguments() -> i32;
}

/// How often each constructor of this process has been called.
fn counts() -> Vec<u32> {
    let mut counts = vec![NUMBERED.load(Relaxed), BEFORE_OURS.load(Relaxed)];
    #[cfg(feature = "c")]
    counts.extend([c_early(), c_late(), c_arguments()].map(i32::cast_unsigned));
    counts.push(fourfold::process::current().depth());
    counts
}

/// As `counts`, of this process and of a child of it.
fn counts_of_two() -> [Vec<u32>; 2] {
    let child = Builder::new().spawn(counts, ()).and_then(|child| child.join());
    [counts(), child.unwrap()]
}

fn expected(depth: u32) -> Vec<u32> {
    let mut expected = vec![1; if cfg!(feature = "c") { 5 } else { 2 }];
    expected.push(depth);
    expected
}

/// Checks that each constructor ran once, here and in children of every kind, and says so once.
///
/// # Panics
///
/// If it is not so.
pub fn check(program: &str) {
    assert_eq!(counts(), expected(0), "{program}: here");
    for method in [StartMethod::Spawn, StartMethod::Forkserver] {
        let child = Builder::new().start_method(method).spawn(counts_of_two, ());
        let [child, grandchild] = child.unwrap().join().unwrap();
        assert_eq!(child, expected(1), "{program}: in a child, by {method:?}");
        assert_eq!(grandchild, expected(2), "{program}: in a child of a child, by {method:?}");
        let pool = Executor::builder().workers(2).start_method(method).build().unwrap();
        for outcome in pool.map(|_: u32| counts(), 0..8) {
            assert_eq!(outcome.unwrap(), expected(1), "{program}: in a worker, by {method:?}");
        }
    }
    // A child that came here by mistake would say it too.
    println!("{program}: {} constructors, once in each process", expected(0).len() - 1);
}
