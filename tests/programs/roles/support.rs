//! What the roles share: a log that any process may write to, chance, patience, and who our children are.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fourfold::process::{Builder, StartMethod};

/// How long anything may take that should take no time.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) const METHODS: [StartMethod; 2] = [StartMethod::Spawn, StartMethod::Forkserver];

/// The ways to make a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Spawn,
    Forkserver,
    Fork,
}

pub(crate) const WAYS: [Way; 3] = [Way::Spawn, Way::Forkserver, Way::Fork];

impl Way {
    pub(crate) fn builder(self) -> Builder {
        match self {
            Way::Spawn => Builder::new(),
            Way::Forkserver => Builder::new().start_method(StartMethod::Forkserver),
            // SAFETY: what the roles' functions use is locked by no other thread of theirs.
            Way::Fork => unsafe { Builder::new().fork() },
        }
    }
}

/// How long a test goes on at random: 10,000 rounds in a soak, else as many as fit in a few seconds.
pub(crate) struct Rounds {
    begun: Instant,
    pub(crate) done: u64,
    soak: Option<u64>,
}

const SLICE: Duration = Duration::from_secs(4);
const SOAK: u64 = 10_000;

impl Rounds {
    pub(crate) fn new() -> Rounds {
        Rounds::of(SOAK)
    }

    /// As `new`, of rounds that are many things each: so many in a soak.
    pub(crate) fn of(rounds: u64) -> Rounds {
        let soak = std::env::var_os("FOURFOLD_SOAK").map(|_| rounds);
        Rounds { begun: Instant::now(), done: 0, soak }
    }

    /// As `new`, in a slice of twenty seconds.
    pub(crate) fn long() -> Rounds {
        let rounds = Rounds::new();
        Rounds { begun: rounds.begun + Duration::from_secs(20) - SLICE, ..rounds }
    }

    /// Whether there is another one.
    pub(crate) fn next(&mut self) -> bool {
        let more = match self.soak {
            Some(rounds) => self.done < rounds,
            // One that is long begins later.
            None => Instant::now().saturating_duration_since(self.begun) < SLICE,
        };
        self.done += u64::from(more);
        more
    }
}

/// Numbers by chance, the same for the same seed.
pub(crate) struct Chance(u64);

impl Chance {
    /// Another seed in each process, which is told, so that a failure can be repeated.
    pub(crate) fn new() -> Chance {
        let given = std::env::var("FAULT_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let seed = given.unwrap_or(now ^ u64::from(std::process::id()) << 40);
        eprintln!("FAULT_SEED={seed}");
        Chance(seed | 1)
    }

    pub(crate) fn seeded(seed: u64) -> Chance {
        Chance(seed | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    /// Waits a while of at most so many µs: not to synchronise, but so that moments differ.
    pub(crate) fn pause(&mut self, us: u64) {
        std::thread::sleep(Duration::from_micros(self.below(us)));
    }
}

/// A folder that goes with this value, and a file in it that processes write lines to.
pub(crate) struct Log {
    folder: PathBuf,
}

impl Log {
    pub(crate) fn new() -> Log {
        let folder = std::env::temp_dir().join(format!("fourfold-fault-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Log { folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("log")
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Writes a line, whole, after all that were written before.
pub(crate) fn note(log: &Path, line: &str) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Waits until `check` holds, or panics.
pub(crate) fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !check() {
        assert!(Instant::now() < end, "not so in {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Kills a process of ours.
pub(crate) fn kill(pid: u32, signal: i32) {
    // SAFETY: a system call on numbers.
    unsafe { libc::kill(pid as libc::pid_t, signal) };
}

/// Kills this process.
pub(crate) fn die(signal: i32) {
    // To the process, not with `raise`: also from a thread.
    kill(std::process::id(), signal);
    // A signal to oneself is there before the call returns, unless another thread took it.
    std::thread::sleep(Duration::from_secs(60));
}

/// One of our children, as `/proc` tells.
pub(crate) struct ChildInfo {
    pub(crate) pid: u32,
    pub(crate) name: String,
    pub(crate) state: char,
}

/// The children of this process, zombies included.
pub(crate) fn children() -> Vec<ChildInfo> {
    let me = std::process::id();
    let stats = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (head, rest) = stat.rsplit_once(')')?;
        let name = head.split_once('(')?.1.to_owned();
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent: u32 = fields.next()?.parse().ok()?;
        (parent == me).then_some(ChildInfo { pid, name, state })
    });
    stats.collect()
}
