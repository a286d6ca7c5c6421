//! What only coroutines and threads can take: closures with captures, callable values, and where a callback runs.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::channel;

use fourfold::{green, thread};

use crate::support::{Gate, LIMIT, visit, within};

#[test]
fn a_closure_may_capture_and_a_callable_value_is_one() {
    within(LIMIT, || {
        let base = Arc::new(100);
        let add = move |n: u32| *base + n;
        assert_eq!(green::spawn(add.clone(), 1).unwrap().join().unwrap(), 101);
        let boxed: Box<dyn Fn(u32) -> u32 + Send> = Box::new(add.clone());
        assert_eq!(green::spawn(boxed, 2).unwrap().join().unwrap(), 102);
        let pool = green::Executor::builder().workers(1).build().unwrap();
        assert_eq!(pool.submit(add, 3).join().unwrap(), 103);
    });
}

#[test]
fn nothing_of_a_local_one_need_be_send() {
    within(LIMIT, || {
        let sum = green::run(|| {
            let sum = Rc::new(Cell::new(0));
            let own = sum.clone();
            let add = move |n: Rc<u32>| own.set(own.get() + *n);
            let children = [1, 2, 3].map(|n| green::spawn_local(add.clone(), Rc::new(n)).unwrap());
            children.into_iter().for_each(|child| child.join().unwrap());
            sum.get()
        });
        assert_eq!(sum.unwrap(), 6);
    });
}

#[test]
fn a_callback_runs_in_the_coroutine_that_did_the_work() {
    within(LIMIT, || {
        let gate = Gate::new();
        let pool = green::Executor::builder().workers(1).build().unwrap();
        let port = gate.port();
        let who = || (green::current().id(), thread::current().id());
        let task = pool.submit(move || (visit(port, 0), who()).1, ());
        let (sender, receiver) = channel();
        task.on_done(move |_| sender.send(who()).unwrap());
        gate.next().pass();
        assert_eq!(receiver.recv().unwrap(), task.join().unwrap());
    });
}
