//! Who a process is, and which of its children are there: row U3; that they leave nothing behind: row U8.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use fourfold::ErrorKind;
use fourfold::process::{self, Builder, StartMethod};

use crate::support::{Gate, LIMIT, eventually, visit, within};

const METHODS: [StartMethod; 2] = [StartMethod::Spawn, StartMethod::Forkserver];

type Who = (u32, u32, String, bool, u32);

fn who() -> Who {
    let me = process::current();
    assert_eq!(me.pid(), std::process::id());
    (me.pid(), me.parent_pid(), me.name().to_owned(), me.is_daemon(), me.depth())
}

#[test]
fn a_child_has_a_number_of_its_own_and_its_starter_as_parent() {
    within(LIMIT, || {
        let here = std::process::id();
        for method in METHODS {
            for daemon in [false, true] {
                let builder = Builder::new().name("me").start_method(method).daemon(daemon);
                let child = builder.spawn(who, ()).unwrap();
                let pid = child.pid();
                assert_ne!(pid, here);
                assert_eq!(child.parent_pid(), here);
                assert_eq!(child.join().unwrap(), (pid, here, "me".to_owned(), daemon, 1));
            }
        }
    });
}

#[test]
fn the_kernel_says_the_same_parent_and_name() {
    fn as_the_kernel_sees_it() -> (u32, String) {
        let name = std::fs::read_to_string("/proc/self/comm").unwrap();
        (std::os::unix::process::parent_id(), name)
    }
    within(LIMIT, || {
        for method in METHODS {
            let builder = Builder::new().name("a name of more than fifteen").start_method(method);
            let child = builder.spawn(as_the_kernel_sees_it, ()).unwrap();
            assert_eq!(child.join().unwrap(), (std::process::id(), "a name of more \n".to_owned()));
        }
    });
}

#[test]
fn the_child_of_a_child_has_that_one_as_parent() {
    fn middle() -> (u32, Who, u32) {
        let child = process::spawn(who, ()).unwrap();
        let pid = child.pid();
        (std::process::id(), child.join().unwrap(), pid)
    }
    within(LIMIT, || {
        for method in METHODS {
            let child = Builder::new().start_method(method).spawn(middle, ()).unwrap();
            let (middle, (pid, parent, _, _, depth), told) = child.join().unwrap();
            assert_eq!((pid, parent, depth), (told, middle, 2));
        }
    });
}

#[test]
fn the_program_itself_is_main() {
    let me = process::current();
    assert_eq!((me.pid(), me.name(), me.depth()), (std::process::id(), "main", 0));
    assert!(!me.is_daemon());
}

#[test]
fn the_children_that_are_alive_are_listed_and_counted() {
    within(LIMIT, || {
        let gate = Gate::new();
        let children: Vec<_> = (0..3)
            .map(|n| {
                let builder = Builder::new().name(format!("listed {n}")).daemon(n == 2);
                builder.spawn(visit, (gate.port(), n)).unwrap()
            })
            .collect();
        let pids: Vec<u32> = children.iter().map(process::Child::pid).collect();
        // Other tests have children too.
        let listed = || {
            let all = process::active_children().into_iter();
            all.filter(|child| pids.contains(&child.pid())).collect::<Vec<_>>()
        };
        let told: Vec<_> = listed()
            .iter()
            .map(|child| (child.pid(), child.name().to_owned(), child.is_daemon()))
            .collect();
        let expected: Vec<_> = (0..3).map(|n| (pids[n], format!("listed {n}"), n == 2)).collect();
        assert_eq!(told, expected);
        let mut guests = gate.next_few(3);
        for (left, mut child) in children.into_iter().enumerate().rev() {
            assert!(child.is_alive());
            guests.pop().unwrap().pass();
            assert_eq!(child.join_timeout(LIMIT).unwrap().unwrap(), left as u64);
            assert!(!child.is_alive());
            assert_eq!(listed().len(), left);
        }
    });
}

#[test]
fn a_daemon_may_not_have_children() {
    fn starts_one() -> [String; 2] {
        let child = process::spawn(|| (), ()).map(drop).unwrap_err();
        let pool = process::Executor::builder().workers(1).build();
        let pool = pool.and_then(|pool| pool.submit(|| (), ()).join()).unwrap_err();
        assert_eq!((child.kind(), pool.kind()), (ErrorKind::NotStarted, ErrorKind::NotStarted));
        [child.to_string(), pool.to_string()]
    }
    within(LIMIT, || {
        for method in METHODS {
            let builder = Builder::new().daemon(true).start_method(method);
            for text in builder.spawn(starts_one, ()).unwrap().join().unwrap() {
                assert!(text.contains("a daemon may not have children"), "{text}");
            }
        }
    });
}

/// The state letter of a process that is a child of this one; `None` if there is no such child.
fn state_of(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(PathBuf::from(format!("/proc/{pid}/stat"))).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    let parent: u32 = fields.next()?.parse().ok()?;
    (parent == std::process::id()).then_some(state)
}

#[test]
fn children_that_nobody_joins_are_waited_for() {
    within(LIMIT, || {
        for method in METHODS {
            let gate = Gate::new();
            fn end(way: u64, port: u16) {
                visit(port, way);
                match way % 3 {
                    0 => (),
                    1 => std::process::exit(3),
                    _ => std::process::abort(),
                }
            }
            let children: Vec<_> = (0..12)
                .map(|n| Builder::new().start_method(method).spawn(end, (n, gate.port())).unwrap())
                .collect();
            let pids: Vec<u32> = children.iter().map(process::Child::pid).collect();
            let guests = gate.next_few(pids.len());
            assert!(pids.iter().all(|pid| state_of(*pid).is_some()));
            // Half of them have nobody who could join them.
            let kept = children.into_iter().step_by(2).collect::<Vec<_>>();
            guests.into_iter().for_each(|guest| guest.pass());
            eventually("all have left the table of processes", || {
                pids.iter().all(|pid| state_of(*pid).is_none())
            });
            for mut child in kept {
                assert!(!child.is_alive());
                assert!(child.join_timeout(LIMIT).is_some());
            }
        }
    });
}

#[test]
fn a_child_that_is_not_alive_is_no_zombie() {
    within(LIMIT, || {
        for _ in 0..20 {
            let child = process::spawn(|| (), ()).unwrap();
            let pid = child.pid();
            // Seen in the order of its states: alive, perhaps ended and not waited for, gone.
            while child.is_alive() {
                sleep(Duration::from_micros(200));
            }
            assert_eq!(state_of(pid), None);
            drop(child);
        }
    });
}

/// What a child inherits at its start is its starter's of that moment, also where it was forked earlier.
#[test]
fn a_child_inherits_from_the_thread_that_starts_it() {
    fn inherited() -> (String, PathBuf, Option<String>) {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let cpus = status.lines().find(|line| line.starts_with("Cpus_allowed_list:")).unwrap();
        let directory = std::env::current_dir().unwrap();
        (cpus.to_owned(), directory, std::env::var("INHERITED").ok())
    }
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    within(LIMIT, || {
        let all = sched_getaffinity(None).unwrap();
        let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)).collect();
        for method in METHODS {
            let start = |builder: Builder| builder.start_method(method).spawn(inherited, ());
            // So that there are forks ahead.
            start(Builder::new()).unwrap().join().unwrap();
            for cpu in &cpus {
                let mut one = CpuSet::new();
                one.set(*cpu);
                sched_setaffinity(None, &one).unwrap();
                let (said, directory, variable) = start(Builder::new()).unwrap().join().unwrap();
                assert_eq!(said, format!("Cpus_allowed_list:\t{cpu}"), "{method:?}");
                assert_eq!((directory, variable), (std::env::current_dir().unwrap(), None));
            }
            sched_setaffinity(None, &all).unwrap();
            let elsewhere = Builder::new().env("INHERITED", "yes").current_dir("/");
            let (_, directory, variable) = start(elsewhere).unwrap().join().unwrap();
            assert_eq!((directory, variable.as_deref()), ("/".into(), Some("yes")));
            let (_, _, variable) = start(Builder::new()).unwrap().join().unwrap();
            assert_eq!(variable, None, "it was for one child");
        }
    });
}
