use fourfold::{ErrorKind, Handle, process};
use std::time::{Duration, Instant};
fn add(a: u32, b: u32) -> u32 {
    a + b
}
fn segv() {
    unsafe { *(1 as *mut u32) = 1 }
}
#[allow(unconditional_recursion)]
fn deep(n: u64) -> u64 {
    let a = [n; 1000];
    std::hint::black_box(&a);
    deep(n + 1) + a[3]
}
#[test]
fn spawn_all() {
    assert_eq!(process::spawn(add, (1, 2)).unwrap().join().unwrap(), 3);
    for (f, k) in [
        (1, "segv"),
        (2, "deep"),
        (3, "panic"),
        (4, "exit"),
        (5, "abort"),
        (6, "timeout"),
        (7, "kill"),
        (8, "mem"),
        (9, "unser"),
    ] {
        let e = match f {
            1 => process::spawn(segv, ()).unwrap().join().unwrap_err(),
            2 => process::spawn(deep, 1).unwrap().join().unwrap_err(),
            3 => process::spawn(|| -> u32 { panic!("boo {}", 1) }, ()).unwrap().join().unwrap_err(),
            4 => process::spawn(|| std::process::exit(3), ())
                .unwrap()
                .join()
                .map(|_: ()| ())
                .unwrap_err(),
            5 => process::spawn(|| std::process::abort(), ())
                .unwrap()
                .join()
                .map(|_: ()| ())
                .unwrap_err(),
            6 => process::Builder::new()
                .timeout(Duration::from_millis(50))
                .spawn(std::thread::sleep, Duration::from_secs(100))
                .unwrap()
                .join()
                .unwrap_err(),
            7 => {
                let c = process::spawn(std::thread::sleep, Duration::from_secs(100)).unwrap();
                c.kill();
                c.join().unwrap_err()
            }
            8 => process::Builder::new()
                .memory_limit(100 << 20)
                .spawn(
                    || {
                        let mut v: Vec<Vec<u8>> = vec![];
                        loop {
                            v.push(vec![1; 1 << 20]);
                            std::thread::sleep(Duration::from_millis(1));
                        }
                    },
                    (),
                )
                .unwrap()
                .join()
                .map(|_: ()| ())
                .unwrap_err(),
            _ => process::spawn(|| f64::NAN as u32 as u8, ())
                .unwrap()
                .join()
                .map(|_| fourfold::process::spawn(|| 1, ()).unwrap().join().unwrap_err())
                .unwrap_or_else(|e| e),
        };
        eprintln!("{k}: {e} kind {:?}", e.kind());
        if f == 8 {
            break;
        }
    }
}
#[test]
fn pool() {
    let pool = process::Executor::builder().workers(2).build().unwrap();
    assert_eq!(pool.submit(add, (1, 2)).join().unwrap(), 3);
    let hs: Vec<Handle<u32>> = (0..100).map(|i| pool.submit(add, (i, i))).collect();
    for (i, h) in hs.into_iter().enumerate() {
        assert_eq!(h.join().unwrap(), 2 * i as u32)
    }
    let t = Instant::now();
    let n: u64 = pool.map(|x: u64| x, 0..100_000).map(|x| x.unwrap()).sum();
    eprintln!("map 100k {:?} {n}", t.elapsed());
    let t = Instant::now();
    for i in 0..10000 {
        assert_eq!(pool.submit(|x: u32| x + 1, i).join().unwrap(), i + 1);
    }
    eprintln!("submit+join {:?}", t.elapsed() / 10000);
    let bad = pool.submit(segv, ());
    let good = pool.submit(add, (5, 6));
    assert_eq!(bad.join().unwrap_err().kind(), ErrorKind::Signaled(11));
    assert_eq!(good.join().unwrap(), 11);
    let slow = pool.submit(std::thread::sleep, Duration::from_secs(100));
    std::thread::sleep(Duration::from_millis(100));
    eprintln!("{slow:?}");
    assert!(slow.cancel());
    assert!(slow.join().unwrap_err().is_cancelled());
    let t = Instant::now();
    drop(pool);
    eprintln!("drop {:?}", t.elapsed());
}
