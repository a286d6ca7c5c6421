//! Calls that block, on threads that are there for it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use fourfold::{ErrorKind, green};

use crate::support::{in_time, on_a_hub};

#[test]
fn calls_block_their_own_threads_and_no_coroutine() {
    on_a_hub(|| {
        // None of them gets through before all have begun, and this thread still runs.
        let barrier = Arc::new(Barrier::new(20));
        let block = |barrier: Arc<Barrier>| {
            let home = thread::current().id();
            green::offload(
                move || {
                    barrier.wait();
                    thread::current().id() != home
                },
                (),
            )
        };
        let children: Vec<_> =
            (0..20).map(|_| green::spawn(block, barrier.clone()).unwrap()).collect();
        assert!(children.into_iter().all(|child| child.join().unwrap().unwrap()));
    });
}

#[test]
fn in_a_thread_it_is_a_call() {
    in_time(|| {
        let home = thread::current().id();
        assert!(green::offload(move || thread::current().id() == home, ()).unwrap());
        let error = green::offload(|| panic!("oh no"), ()).unwrap_err();
        assert_eq!(error.panic().unwrap().message(), "oh no");
    });
}

#[test]
fn panics_are_errors() {
    on_a_hub(|| {
        let error = green::offload(|n: u32| assert_eq!(n, 1, "not one"), 2).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panicked);
        assert!(error.panic().unwrap().message().contains("not one"));
        assert_eq!(green::offload(|a: u32, b: u32| a + b, (1, 2)).unwrap(), 3);
    });
}

#[test]
fn who_is_cancelled_waits_no_longer_and_the_value_is_dropped() {
    struct Noted(mpsc::Sender<()>);
    impl Drop for Noted {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    in_time(|| {
        let dropped = green::run(|| {
            let (release, held) = mpsc::channel::<()>();
            let (note, dropped) = mpsc::channel();
            let began = Arc::new(AtomicU32::new(0));
            let call = {
                let began = began.clone();
                move || {
                    green::offload(
                        move || {
                            began.store(1, Ordering::Release);
                            held.recv().unwrap();
                            Noted(note)
                        },
                        (),
                    )
                    .map(drop)
                }
            };
            let child = green::spawn(call, ()).unwrap();
            while began.load(Ordering::Acquire) == 0 {
                green::yield_now();
            }
            child.cancel();
            assert!(child.join().unwrap_err().is_cancelled());
            assert!(dropped.try_recv().is_err());
            release.send(()).unwrap();
            dropped
        })
        .unwrap();
        dropped.recv_timeout(crate::support::PATIENCE).unwrap();
    });
}

#[test]
fn a_thousand_calls_are_all_made() {
    on_a_hub(|| {
        let children: Vec<_> = (0..1_000u64)
            .map(|n| green::spawn(|n: u64| green::offload(|n: u64| n * 2, n).unwrap(), n).unwrap())
            .collect();
        let sum: u64 = children.into_iter().map(|child| child.join().unwrap()).sum();
        assert_eq!(sum, 999_000);
    });
}
