//! Tasks that go wrong in every way, on one pool: each is an error of its own, and the pool goes on. Where nothing but the memory
//! is shared a task can only panic.

use fourfold::green;
use fourfold::prelude::*;

fn allocate_for_ever() {
    let mut all = Vec::new();
    loop {
        all.push(vec![1u8; 8 << 20]);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A value that serde is told not to write.
#[derive(serde::Serialize, serde::Deserialize)]
enum Secret {
    #[serde(skip)]
    Kept,
}

/// A task that submits to its own pool, and waits.
fn factorial(n: u64) -> fourfold::Result<u64> {
    let pool = process::Executor::current().expect("a worker has a pool");
    match n {
        0 => Ok(1),
        n => Ok(n * pool.submit(factorial, n - 1).join()??),
    }
}

/// The same where tasks may capture: each has a clone of its pool.
macro_rules! in_memory {
    ($scale:ident) => {{
        fn factorial(pool: $scale::Executor, n: u64) -> fourfold::Result<u64> {
            match n {
                0 => Ok(1),
                n => Ok(n * pool.submit(factorial, (pool.clone(), n - 1)).join()??),
            }
        }

        println!("{}:", stringify!($scale));
        let pool = $scale::Executor::builder().workers(1).build()?;
        let kind = pool.submit(|| -> u32 { panic!("oh no") }, ()).join().unwrap_err().kind();
        println!("  panics: {kind:?}, and then: {:?}", pool.submit(|n: u32| n + 1, 1).join());
        let task = pool.submit(|| 1, ());
        task.on_done(|_| panic!("a callback that panics"));
        println!("  a callback panics: {:?}", task.join());
        let factorial = pool.submit(factorial, (pool.clone(), 5)).join()??;
        println!("  all workers wait for tasks of their own pool: {factorial}");
    }};
}

fn tell<T: Send + 'static>(what: &str, pool: &process::Executor, task: Handle<T>) {
    let kind = task.join().err().map(|error| error.kind());
    let next = pool.submit(|n: u32| n + 1, 1).join();
    println!("  {what:<22} {:<30} and then: {}", format!("{:?}", kind.unwrap()), next.unwrap());
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    in_memory!(green);
    in_memory!(thread);

    println!("process:");
    let pool = process::Executor::builder()
        .workers(1)
        .task_timeout(Duration::from_secs(2))
        .memory_limit(200 << 20)
        .build()?;
    tell("panics", &pool, pool.submit(|| -> u32 { panic!("oh no") }, ()));
    tell("exits", &pool, pool.submit(|| -> u32 { std::process::exit(3) }, ()));
    tell("aborts", &pool, pool.submit(|| -> u32 { std::process::abort() }, ()));
    tell("over its time", &pool, pool.submit(std::thread::sleep, Duration::from_secs(3600)));
    tell("over its memory", &pool, pool.submit(allocate_for_ever, ()));
    tell("not to be written", &pool, pool.submit(|| Secret::Kept, ()));

    let task = pool.submit(|| 1, ());
    task.on_done(|_| panic!("a callback that panics"));
    println!("  a callback panics: {:?}", task.join());
    // Each of them waits for the next, and there is one worker: others take its place meanwhile.
    println!(
        "  all workers wait for tasks of their own pool: {}",
        pool.submit(factorial, 5).join()??
    );
    Ok(())
}
