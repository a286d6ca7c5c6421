//! Who a coroutine is, and who else is there: row U3.

use fourfold::{ErrorKind, green, thread};

use crate::support::{LIMIT, within};

/// Runs a test as the first coroutine of a hub of its own.
fn on_a_hub<R>(test: impl FnOnce() -> R) -> R {
    within(LIMIT, || green::run(test).unwrap())
}

#[test]
fn a_coroutine_knows_its_id_its_parent_and_its_process() {
    on_a_hub(|| {
        let me = green::current();
        let who = || {
            let current = green::current();
            (current.id(), current.parent_id(), current.pid(), thread::current().id())
        };
        let child = green::spawn(who, ()).unwrap();
        let expected = (child.id(), Some(me.id()), child.pid(), thread::current().id());
        assert_eq!(child.parent_id(), Some(me.id()));
        assert_ne!(child.id(), me.id());
        assert_eq!(child.join().unwrap(), expected);
        assert_eq!(expected.2, std::process::id());
    });
}

#[test]
fn one_that_a_thread_has_started_has_no_parent_and_a_thread_of_the_librarys() {
    within(LIMIT, || {
        let child = green::spawn(|| thread::current().id(), ()).unwrap();
        assert_eq!(child.parent_id(), None);
        assert_ne!(child.join().unwrap(), thread::current().id());
        assert_eq!(green::current().id(), green::current().id());
        assert_eq!(green::current().parent_id(), None);
    });
}

#[test]
fn those_alive_are_listed_by_their_age() {
    on_a_hub(|| {
        let gate = green::Event::new();
        green::scope(|scope| {
            let wait = |name: &str| {
                scope.spawn_with(&green::Builder::new().name(name), || gate.wait(), ()).unwrap()
            };
            let (one, _two) = (wait("one"), wait("two"));
            let listed = green::enumerate();
            let names: Vec<_> = listed.iter().map(green::Identity::name).collect();
            assert_eq!(names, ["main", "one", "two"]);
            assert_eq!(green::active_count(), 3);
            assert!(listed.iter().all(green::Identity::is_alive));
            assert_eq!(listed[1].id(), one.id());
            assert_eq!(listed[1].parent_id(), Some(green::current().id()));
            gate.set();
            one.join().unwrap();
            assert!(!listed[1].is_alive());
        })
        .unwrap();
        assert_eq!(green::active_count(), 1);
    });
}

#[test]
fn hubs_list_their_own_only() {
    on_a_hub(|| {
        let other = thread::spawn(|| green::run(green::active_count), ()).unwrap();
        let child = green::spawn(|| green::sleep(std::time::Duration::ZERO), ()).unwrap();
        assert_eq!(other.join().unwrap().unwrap(), 1);
        child.join().unwrap();
    });
}

#[test]
fn a_living_one_is_renamed_from_within_and_from_without() {
    on_a_hub(|| {
        let (here, there) = green::duplex::<String, String>();
        let child = green::spawn(
            move || {
                there.recv().unwrap();
                let renamed = green::current().name();
                green::current().rename("from within").unwrap();
                there.send(renamed).unwrap();
                there.recv().unwrap();
            },
            (),
        )
        .unwrap();
        child.rename("from without").unwrap();
        assert_eq!(child.name(), "from without");
        here.send("go on".into()).unwrap();
        assert_eq!(here.recv().unwrap(), "from without");
        assert_eq!(child.name(), "from within");
        assert_eq!(child.rename("a\0b").unwrap_err().kind(), ErrorKind::InvalidInput);
        here.send("end".into()).unwrap();
        child.join().unwrap();
    });
}
