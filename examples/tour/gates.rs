//! A semaphore, a condition and a barrier: who may go in, who goes on, and who leaves together. And one who is killed, cancelled,
//! or gives up.

use std::sync::Arc;

use fourfold::cluster::manager::{Address, Client, Key, Server};
use fourfold::green;
use fourfold::prelude::*;
use fourfold::thread::{Barrier, Condition, Lock, Semaphore};
use serde::{Deserialize, Serialize};

type Place = (Address, String);

/// In which one more would be heard of, if there were one.
const A_WHILE: Duration = Duration::from_millis(50);

/// Goes in when there is room, and out when three are in.
fn visit(address: Address, key: String) -> fourfold::Result<()> {
    let client = Client::connect(address, Key::new(key))?;
    let (room, doings) = (client.semaphore("room")?, client.list("doings")?);
    room.acquire()?;
    doings.push(&1)?;
    client.barrier("three")?.wait()?.expect("two more come in");
    doings.push(&-1)?;
    room.release()?;
    Ok(())
}

/// Waits until it is notified.
fn listen(address: Address, key: String) -> fourfold::Result<()> {
    let client = Client::connect(address, Key::new(key))?;
    let (news, listening) = (client.condition("news")?, client.semaphore("listening")?);
    let heard = client.semaphore("heard")?;
    let mut guard = news.lock()?;
    listening.release()?;
    guard.wait()?;
    drop(guard);
    heard.release()?;
    Ok(())
}

/// Comes to the barrier, and says in which place it came, if all came.
fn meet(address: Address, key: String) -> fourfold::Result<Option<usize>> {
    let client = Client::connect(address, Key::new(key))?;
    let (three, doings) = (client.barrier("three")?, client.list("doings")?);
    doings.push(&1)?;
    let place = three.wait()?;
    doings.push(&-1)?;
    Ok(place)
}

/// How many were there after each coming and going.
fn counts(doings: Vec<i32>) -> Vec<i32> {
    let mut now = 0;
    let count = |change| {
        now += change;
        now
    };
    doings.into_iter().map(count).collect()
}

fn semaphore(place: &Place) -> fourfold::Result<()> {
    let visitors = [(); 9].map(|()| process::spawn(visit, place.clone()));
    for visitor in visitors {
        visitor?.join()??;
    }
    let client = Client::connect(&place.0, Key::new(place.1.as_str()))?;
    let most = counts(client.list("doings")?.to_vec()?).into_iter().max().unwrap_or(0);
    println!("  a semaphore of 3: nine went in, {most} at a time");
    Ok(())
}

fn condition(place: &Place) -> fourfold::Result<()> {
    let client = Client::connect(&place.0, Key::new(place.1.as_str()))?;
    let (news, listening) = (client.condition("news")?, client.semaphore("listening")?);
    let heard = client.semaphore("heard")?;
    let listeners = [(); 3].map(|()| process::spawn(listen, place.clone()));
    for _ in &listeners {
        listening.acquire()?;
    }
    // Who said that it listens had the lock then: who has it now knows that the other has gone to wait.
    news.lock()?.notify_one()?;
    heard.acquire()?;
    println!("  one is notified, one goes on: more? {}", heard.acquire_timeout(A_WHILE)?);
    news.lock()?.notify_all()?;
    for listener in listeners {
        listener?.join()??;
    }
    println!("  all are notified, all go on");
    Ok(())
}

fn barrier(place: &Place) -> fourfold::Result<()> {
    let members = [(); 3].map(|()| process::spawn(meet, place.clone()));
    let mut places = Vec::new();
    for member in members {
        places.extend(member?.join()??);
    }
    places.sort_unstable();
    let client = Client::connect(&place.0, Key::new(place.1.as_str()))?;
    let counts = counts(client.list("doings")?.to_vec()?);
    println!("  a barrier of 3: there were {counts:?}, their places are {places:?}");
    Ok(())
}

fn broken_barrier(place: &Place) -> fourfold::Result<()> {
    let client = Client::connect(&place.0, Key::new(place.1.as_str()))?;
    let three = client.barrier("three")?;
    let survivor = process::spawn(meet, place.clone())?;
    let victim = process::spawn(meet, place.clone())?;
    while three.waiting()? < 2 {
        assert!(survivor.is_alive() && victim.is_alive(), "there are only two of three");
        std::thread::sleep(Duration::from_millis(1));
    }
    victim.kill();
    println!("  one of two who wait: {}", victim.join().unwrap_err().kind());
    println!("  the other: in which place? {:?}", survivor.join()??);
    println!("  is it broken? {}", three.is_broken()?);
    three.reset()?;
    println!("  reset: is it broken? {}", three.is_broken()?);
    Ok(())
}

/// What processes share: handles, which go wherever an argument goes.
#[derive(Clone, Serialize, Deserialize)]
struct Gates {
    room: process::Semaphore,
    listening: process::Semaphore,
    heard: process::Semaphore,
    news: process::Condition,
    three: process::Barrier,
    doings: process::List<i32>,
}

fn gates() -> fourfold::Result<Gates> {
    Ok(Gates {
        room: process::Semaphore::bounded(3)?,
        listening: process::Semaphore::new(0)?,
        heard: process::Semaphore::new(0)?,
        news: process::Condition::new(())?,
        three: process::Barrier::new(3)?,
        doings: process::List::new()?,
    })
}

fn visit_between(gates: Gates) -> fourfold::Result<()> {
    let _permit = gates.room.permit();
    gates.doings.push(&1)?;
    gates.three.wait()?.expect("two more come in");
    gates.doings.push(&-1)
}

fn listen_between(gates: Gates) -> fourfold::Result<()> {
    let mut guard = gates.news.lock()?;
    gates.listening.release()?;
    guard.wait()?;
    drop(guard);
    gates.heard.release()
}

fn meet_between(gates: Gates) -> fourfold::Result<Option<usize>> {
    gates.doings.push(&1)?;
    let place = gates.three.wait()?;
    gates.doings.push(&-1)?;
    Ok(place)
}

/// The same between processes.
fn gates_between() -> fourfold::Result<()> {
    let place = gates()?;
    let visitors = [(); 9].map(|()| process::spawn(visit_between, place.clone()));
    for visitor in visitors {
        visitor?.join()??;
    }
    let most = counts(place.doings.to_vec()?).into_iter().max().unwrap_or(0);
    println!("  a semaphore of 3: nine went in, {most} at a time");

    let place = gates()?;
    let listeners = [(); 3].map(|()| process::spawn(listen_between, place.clone()));
    for _ in &listeners {
        place.listening.acquire();
    }
    place.news.lock()?.notify_one()?;
    place.heard.acquire();
    println!("  one is notified, one goes on: more? {}", place.heard.acquire_timeout(A_WHILE));
    place.news.lock()?.notify_all()?;
    for listener in listeners {
        listener?.join()??;
    }
    println!("  all are notified, all go on");

    let place = gates()?;
    let members = [(); 3].map(|()| process::spawn(meet_between, place.clone()));
    let mut places = Vec::new();
    for member in members {
        places.extend(member?.join()??);
    }
    places.sort_unstable();
    let counts = counts(place.doings.to_vec()?);
    println!("  a barrier of 3: there were {counts:?}, their places are {places:?}");

    let place = gates()?;
    let survivor = process::spawn(meet_between, place.clone())?;
    let victim = process::spawn(meet_between, place.clone())?;
    while place.three.waiting()? < 2 {
        assert!(survivor.is_alive() && victim.is_alive(), "there are only two of three");
        std::thread::sleep(Duration::from_millis(1));
    }
    victim.kill();
    println!("  one of two who wait: {}", victim.join().unwrap_err().kind());
    println!("  the other: in which place? {:?}", survivor.join()??);
    println!("  is it broken? {}", place.three.is_broken()?);
    place.three.reset()?;
    println!("  reset: is it broken? {}", place.three.is_broken()?);
    Ok(())
}

/// What all of one process share.
struct Shared {
    room: Semaphore,
    listening: Semaphore,
    heard: Semaphore,
    news: Condition,
    three: Barrier,
    doings: Lock<Vec<i32>>,
}

fn shared() -> Arc<Shared> {
    Arc::new(Shared {
        room: Semaphore::bounded(3),
        listening: Semaphore::new(0),
        heard: Semaphore::new(0),
        news: Condition::new(()),
        three: Barrier::new(3),
        doings: Lock::default(),
    })
}

fn visit_here(shared: Arc<Shared>) {
    let _permit = shared.room.permit();
    shared.doings.lock().push(1);
    shared.three.wait().expect("two more come in");
    shared.doings.lock().push(-1);
}

fn listen_here(shared: Arc<Shared>) -> fourfold::Result<()> {
    let mut guard = shared.news.lock();
    shared.listening.release()?;
    guard.wait();
    drop(guard);
    shared.heard.release()
}

fn meet_here(shared: Arc<Shared>) -> Option<usize> {
    shared.doings.lock().push(1);
    let place = shared.three.wait();
    shared.doings.lock().push(-1);
    place
}

/// The same within this process, but for the end of a member, which `broken_barrier` is told of.
macro_rules! gates_here {
    ($scale:ident) => {{
        println!("{}:", stringify!($scale));
        let place = shared();
        let visitors = [(); 9].map(|()| $scale::spawn(visit_here, place.clone()));
        for visitor in visitors {
            visitor?.join()?;
        }
        let most = counts(place.doings.lock().clone()).into_iter().max().unwrap_or(0);
        println!("  a semaphore of 3: nine went in, {most} at a time");

        let place = shared();
        let listeners = [(); 3].map(|()| $scale::spawn(listen_here, place.clone()));
        for _ in &listeners {
            place.listening.acquire();
        }
        place.news.lock().notify_one();
        place.heard.acquire();
        println!("  one is notified, one goes on: more? {}", place.heard.acquire_timeout(A_WHILE));
        place.news.lock().notify_all();
        for listener in listeners {
            listener?.join()??;
        }
        println!("  all are notified, all go on");

        let place = shared();
        let members = [(); 3].map(|()| $scale::spawn(meet_here, place.clone()));
        let mut places = Vec::new();
        for member in members {
            places.extend(member?.join()?);
        }
        places.sort_unstable();
        let counts = counts(place.doings.lock().clone());
        println!("  a barrier of 3: there were {counts:?}, their places are {places:?}");
    }};
}

/// How a barrier is broken by who goes away, of two who wait.
macro_rules! broken_here {
    ($scale:ident, $victim:expr, $end:expr) => {{
        let place = shared();
        let survivor = $scale::spawn(meet_here, place.clone())?;
        let victim = $scale::spawn($victim, place.clone())?;
        while place.three.waiting() < 2 && !place.three.is_broken() {
            assert!(
                !survivor.is_finished() || place.three.is_broken(),
                "there are only two of three"
            );
            green::yield_now();
        }
        println!("  one of two who wait: {}", $end(victim));
        println!("  the other: in which place? {:?}", survivor.join()?);
        println!("  is it broken? {}", place.three.is_broken());
        place.three.reset();
        println!("  reset: is it broken? {}", place.three.is_broken());
    }};
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    gates_here!(green);
    broken_here!(green, meet_here, |victim: green::Child<_>| {
        victim.kill().unwrap_err().kind().to_string()
    });
    gates_here!(thread);
    // Nobody can end a thread from outside: it gives up, when its time is over.
    let gives_up = |place: Arc<Shared>| place.three.wait_timeout(Duration::from_millis(20));
    broken_here!(thread, gives_up, |victim: thread::Child<_>| match victim.join() {
        Ok(None) => "gives up",
        _ => "meets two others",
    });

    println!("process:");
    gates_between()?;

    println!("cluster:");
    let key = "the key to the gates";
    for program in [semaphore, condition, barrier, broken_barrier] {
        let server = Server::builder(Key::new(key))
            .semaphore("room", 3, true)
            .semaphore("listening", 0, false)
            .semaphore("heard", 0, false)
            .condition("news")
            .barrier("three", 3)
            .list("doings")
            .bind("127.0.0.1:0")?;
        program(&(server.address().clone(), key.to_owned()))?;
    }
    Ok(())
}
