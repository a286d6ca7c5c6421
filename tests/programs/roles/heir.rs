//! What a child inherits: what its starter has at the start, by each start method, also where a fork was made ahead.

use std::process::ExitCode;

use fourfold::process::{Builder, StartMethod, Stdio};
use rustix::process::{
    Gid, Resource, Rlimit, getegid, getpriority_process, getrlimit, setpriority_process, setrlimit,
    setsid,
};

/// Limits, niceness, group, session, and which standard descriptors are open.
type Estate = (u64, i32, u32, bool, [bool; 3]);

/// This process's session: 0 where its leader is in another pid namespace, and below an init that leads none.
fn session() -> i32 {
    // SAFETY: a call on a number. It cannot fail for the caller itself.
    unsafe { libc::getsid(0) }
}

fn estate(starter_session: i32) -> Estate {
    let open = |fd| std::fs::exists(format!("/proc/self/fd/{fd}")).unwrap();
    (
        getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
        getpriority_process(None).unwrap(),
        getegid().as_raw(),
        session() == starter_session,
        [0, 1, 2].map(open),
    )
}

fn inherited(method: StartMethod) -> Estate {
    let builder = Builder::new().start_method(method).stdin(Stdio::Inherit);
    builder.spawn(estate, session()).unwrap().join().unwrap()
}

fn compare(what: &str) -> Estate {
    let fresh = inherited(StartMethod::Spawn);
    // Twice: the second is one that was made ahead.
    for _ in 0..2 {
        assert_eq!(inherited(StartMethod::Forkserver), fresh, "{what}");
    }
    fresh
}

/// A group other than this process's own that there is here: a container may map a few, and others are none at all.
fn another_group() -> Option<Gid> {
    let own = getegid().as_raw();
    let map = std::fs::read_to_string("/proc/self/gid_map").unwrap();
    map.lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let first: u32 = words.next()?.parse().ok()?;
            let count: u32 = words.nth(1)?.parse().ok()?;
            let last = first.checked_add(count.checked_sub(1)?)?.min(i32::MAX as u32);
            [last, first].into_iter().find(|group| *group != own)
        })
        .next()
        .map(Gid::from_raw)
}

pub(crate) fn heir(_: &[String]) -> ExitCode {
    let first = compare("at first");
    assert_eq!(first.4, [true; 3]);
    // One less than there is, which is as many as all that follows needs.
    let limits = getrlimit(Resource::Nofile);
    let fewer = limits.current.unwrap_or(1 << 20) - 1;
    setrlimit(Resource::Nofile, Rlimit { current: Some(fewer), ..limits }).unwrap();
    assert_eq!(compare("a limit").0, fewer);
    // The kernel takes more than the highest for the highest.
    let nicer = (first.1 + 3).min(19);
    setpriority_process(None, nicer).unwrap();
    assert_eq!(compare("niceness").1, nicer);
    // SAFETY: a call on numbers; nobody in this program uses its standard input.
    unsafe { libc::close(0) };
    assert!(!compare("a closed input").4[0]);
    // Not for the leader of a group, as which a shell may have started this.
    if setsid().is_ok() {
        assert!(compare("a session").3);
        let child = Builder::new().start_method(StartMethod::Forkserver);
        let child = child.spawn(std::thread::park, ()).unwrap();
        assert!(child.kill());
        assert_eq!(child.join().unwrap_err().signal(), Some(9));
    }
    match another_group().map(|group| (group, rustix::thread::set_thread_gid(group))) {
        Some((group, Ok(()))) => assert_eq!(compare("another group").2, group.as_raw()),
        Some((_, Err(error))) => println!("left out: the group may not be changed here: {error}"),
        None => println!("left out: there is no other group here"),
    }
    ExitCode::SUCCESS
}
