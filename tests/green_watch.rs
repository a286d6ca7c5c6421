//! A coroutine that hogs its thread is found: row G6.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use fourfold::green;

const LIMIT: Duration = Duration::from_secs(60);

#[inline(never)]
fn grind(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
}

#[test]
fn a_hog_is_told_of_once_with_its_name_and_place() {
    let (sender, hogs) = channel();
    // A watcher sees the hubs of all tests.
    let watch = green::watch_with(Duration::from_millis(50), move |hog| {
        if hog.name() == "busy" {
            sender.send(hog.clone()).unwrap();
        }
    });
    let watch = watch.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let seen = stop.clone();
    let hub = std::thread::spawn(move || {
        green::run(|| {
            green::sleep(Duration::from_millis(5));
            let busy = green::Builder::new().name("busy").spawn(move || grind(&seen), ()).unwrap();
            busy.join().unwrap();
        })
        .unwrap();
    });
    let hog = hogs.recv_timeout(LIMIT).unwrap();
    assert!(hog.held() >= Duration::from_millis(50), "{hog}");
    assert!(hog.calls().iter().any(|call| call.contains("grind")), "{hog}");
    assert!(!hog.to_string().contains("on_signal"), "{hog}");
    // It goes on for as long again, and is told of no more.
    assert!(hogs.recv_timeout(Duration::from_millis(200)).is_err());
    stop.store(true, Ordering::Relaxed);
    hub.join().unwrap();
    drop(watch);
    assert!(hogs.recv().is_err());
}

#[test]
fn it_is_found_also_if_it_blocks_in_the_system_which_it_does_not_notice() {
    let (sender, hogs) = channel();
    let watch = green::watch_with(Duration::from_millis(20), move |hog| {
        if hog.name() == "blocks" {
            let _ = sender.send(hog.calls().to_vec());
        }
    });
    let watch = watch.unwrap();
    let (release, held) = channel::<()>();
    let child = green::Builder::new().name("blocks").spawn(move || held.recv(), ()).unwrap();
    let calls = hogs.recv_timeout(LIMIT).unwrap();
    assert!(calls.iter().any(|call| call.contains("recv")), "{calls:?}");
    release.send(()).unwrap();
    child.join().unwrap().unwrap();
    drop(watch);
}

#[test]
fn no_time_at_all_is_refused() {
    let refused = green::watch(Duration::ZERO).unwrap_err();
    assert_eq!(refused.kind(), fourfold::ErrorKind::InvalidInput);
}
