//! Who a thread is, and who else is there: row U3.

use fourfold::{ErrorKind, thread};

use crate::support::{Gate, LIMIT, visit, within};

#[test]
fn a_thread_knows_its_id_its_parent_and_the_process() {
    within(LIMIT, || {
        let me = thread::current();
        let child = thread::spawn(
            || (thread::current().id(), thread::current().parent_id(), std::process::id()),
            (),
        )
        .unwrap();
        let expected = (child.id(), Some(me.id()), child.pid());
        assert_eq!(child.parent_id(), me.id());
        assert_ne!(child.id(), me.id());
        assert_eq!(child.join().unwrap(), expected);
        assert_eq!(expected.2, std::process::id());
    });
}

#[test]
fn a_thread_of_other_making_has_an_id_and_its_name_but_no_parent() {
    within(LIMIT, || {
        let builder = std::thread::Builder::new().name("foreign".into());
        let foreign = builder.spawn(|| (thread::current(), thread::current())).unwrap();
        let (first, second) = foreign.join().unwrap();
        assert_eq!(first.id(), second.id());
        assert_ne!(first.id(), thread::current().id());
        assert_eq!((first.name(), first.parent_id()), ("foreign".to_owned(), None));
    });
}

#[test]
fn those_alive_are_listed() {
    within(LIMIT, || {
        let gate = Gate::new();
        let child = thread::Builder::new().name("listed").spawn(visit, (gate.port(), 0)).unwrap();
        let id = child.id();
        let listed = || thread::enumerate().into_iter().find(|thread| thread.id() == id);
        let guest = gate.next();
        let thread = listed().unwrap();
        assert_eq!((thread.name().as_str(), thread.is_alive()), ("listed", true));
        assert_eq!(thread.parent_id(), Some(thread::current().id()));
        assert!(!thread.is_daemon());
        assert!(thread::active_count() >= 2);
        let names: Vec<_> = thread::enumerate().iter().map(thread::Thread::name).collect();
        assert_eq!(names.iter().filter(|name| *name == "main").count(), 1, "{names:?}");
        guest.pass();
        child.join().unwrap();
        assert!(listed().is_none());
        assert!(!thread.is_alive());
    });
}

#[test]
fn a_living_thread_is_renamed_from_within_and_from_without() {
    within(LIMIT, || {
        let gate = Gate::new();
        let port = gate.port();
        let child = thread::spawn(
            move || {
                visit(port, 0);
                let renamed = thread::current().name();
                thread::current().rename("from within").unwrap();
                visit(port, 1);
                (renamed, std::fs::read_to_string("/proc/thread-self/comm").unwrap())
            },
            (),
        )
        .unwrap();
        let guest = gate.next();
        child.rename("from without").unwrap();
        assert_eq!(child.name(), "from without");
        guest.pass();
        let guest = gate.next();
        assert_eq!(child.name(), "from within");
        let refused = child.rename("a\0b").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        child.rename("a name of more than fifteen bytes").unwrap();
        guest.pass();
        let (renamed, comm) = child.join().unwrap();
        assert_eq!(renamed, "from without");
        assert_eq!(comm, "a name of more \n");
    });
}

#[test]
fn the_threads_of_an_executor_have_names_and_are_gone_after_it() {
    within(LIMIT, || {
        let pool = thread::Executor::builder().workers(2).name("crew").build().unwrap();
        let crew = || thread::enumerate().iter().filter(|t| t.name().starts_with("crew-")).count();
        assert_eq!(crew(), 0, "no thread starts before the first task");
        let gate = Gate::new();
        let handles = [0, 1].map(|n| pool.submit(visit, (gate.port(), n)));
        let guests = gate.next_few(2);
        assert_eq!(crew(), 2);
        guests.into_iter().for_each(|guest| guest.pass());
        handles.into_iter().for_each(|handle| assert!(handle.join().is_ok()));
        let name = pool.submit(|| thread::current().name(), ()).join().unwrap();
        assert!(name.starts_with("crew-"), "{name}");
        drop(pool);
        assert_eq!(crew(), 0);
    });
}
