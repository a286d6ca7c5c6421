//! Ctrl-C and its kin: counted, and passed on by the runner.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::input::Ring;

/// The signals that asked this run to end.
#[derive(Clone, Default)]
pub(crate) struct Interrupts {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    count: AtomicU32,
    first: AtomicI32,
    last: AtomicI32,
}

impl Interrupts {
    /// Listens from now on; rings for each. A signal that whoever started us had ignored stays ignored.
    pub(crate) fn listen(ring: Ring) -> io::Result<Interrupts> {
        let ignored = ignored_signals();
        let wanted =
            [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|s| ignored & (1 << (s - 1)) == 0);
        let mut signals = Signals::new(wanted)?;
        let interrupts = Interrupts::default();
        let state = Arc::clone(&interrupts.state);
        std::thread::Builder::new().name("fourfold-signals".into()).spawn(move || {
            for signal in signals.forever() {
                let _ =
                    state.first.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed);
                state.last.store(signal, Ordering::Relaxed);
                state.count.fetch_add(1, Ordering::Release);
                ring();
            }
        })?;
        Ok(interrupts)
    }

    /// How many came, and the latest of them.
    pub(crate) fn seen(&self) -> (u32, i32) {
        let count = self.state.count.load(Ordering::Acquire);
        (count, self.state.last.load(Ordering::Relaxed))
    }

    /// The first that came.
    pub(crate) fn first(&self) -> Option<i32> {
        let first = self.state.first.load(Ordering::Relaxed);
        (first != 0).then_some(first)
    }
}

/// The mask of the signals that are ignored: `nohup`, and a shell that runs us in the background, see to that.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
