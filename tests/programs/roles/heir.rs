//! What a child inherits: what its starter has at the start, by each start method, also where a fork was made ahead.

use std::process::ExitCode;

use fourfold::process::{Builder, StartMethod, Stdio};
use rustix::process::{
    Gid, Resource, Rlimit, getegid, getpriority_process, getrlimit, getsid, getuid,
    setpriority_process, setrlimit, setsid,
};

/// Limits, niceness, group, session, and which standard descriptors are open.
type Estate = (u64, i32, u32, bool, [bool; 3]);

fn estate(starter_session: i32) -> Estate {
    let open = |fd| std::fs::exists(format!("/proc/self/fd/{fd}")).unwrap();
    (
        getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
        getpriority_process(None).unwrap(),
        getegid().as_raw(),
        getsid(None).unwrap().as_raw_nonzero().get() == starter_session,
        [0, 1, 2].map(open),
    )
}

fn inherited(method: StartMethod) -> Estate {
    let session = getsid(None).unwrap().as_raw_nonzero().get();
    let builder = Builder::new().start_method(method).stdin(Stdio::Inherit);
    builder.spawn(estate, session).unwrap().join().unwrap()
}

fn compare(what: &str) -> Estate {
    let fresh = inherited(StartMethod::Spawn);
    // Twice: the second is one that was made ahead.
    for _ in 0..2 {
        assert_eq!(inherited(StartMethod::Forkserver), fresh, "{what}");
    }
    fresh
}

pub(crate) fn heir(_: &[String]) -> ExitCode {
    let first = compare("at first");
    assert_eq!(first.4, [true; 3]);
    let limit = Rlimit { current: Some(99), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
    assert_eq!(compare("a limit").0, 99);
    setpriority_process(None, first.1 + 3).unwrap();
    assert_eq!(compare("niceness").1, first.1 + 3);
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
    if getuid().is_root() {
        let group = Gid::from_raw(65534);
        rustix::thread::set_thread_gid(group).unwrap();
        assert_eq!(compare("another group").2, 65534);
    }
    ExitCode::SUCCESS
}
