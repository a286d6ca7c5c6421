//! Finding that nothing can ever go on, and telling who waits for what.
//!
//! A hub on which no coroutine can run, with no deadline and no descriptor that one waits for, can still be woken by another
//! thread. Who will wake whom is not known; but if there is no other thread, there is nobody who could. One that was there when the hub
//! looked may have ended since, so the hub sleeps for [`DOUBT`] at most before it looks again.

use std::fmt::Write;
use std::time::Instant;

use super::Hub;
use super::run::DOUBT;
use crate::sync::park::Wait;

/// So many coroutines are named in a report.
const NAMED: usize = 20;

impl Hub {
    /// Whether nothing can ever go on. Called with no coroutine to run, no timer, no descriptor to wait for. If so, `stuck` says
    /// who waits for what.
    pub(super) fn is_stuck(&self) -> bool {
        if !self.remote.is_quiet() {
            return false;
        }
        // Looking for other threads means to read a directory. One that was seen a moment ago is taken to be there still: the hub sleeps
        // no longer than that before it asks again.
        let now = Instant::now();
        if self.company.get().is_some_and(|seen| now < seen + DOUBT) {
            return false;
        }
        if !is_only_thread() {
            self.company.set(Some(now));
            return false;
        }
        // Asked again: the other may have woken somebody before it ended.
        if !self.remote.is_quiet() {
            return false;
        }
        let report =
            format!("nothing can go on, and no other thread is there:{}", self.who_waits());
        // A report that was made before stays: the first coroutine has had its chance.
        self.stuck.borrow_mut().get_or_insert(report);
        true
    }

    /// The running coroutine, which may not be suspended since it unwinds, is about to have the thread wait. If there is no other
    /// thread, nobody can ever end that wait, and nothing sound is left to do.
    pub(super) fn abort_if_alone(&self, wait: &Wait) {
        let Some(slot) = self.current.get() else { return };
        if !is_only_thread() {
            return;
        }
        let name = self.control(slot.index).map(|control| control.name()).unwrap_or_default();
        crate::system::tell(format_args!(
            "fourfold: coroutine '{name}' waits for {} at {} while it unwinds, when it cannot be suspended, and no other thread \
             is there to end that wait: aborting;{}",
            wait.what,
            wait.place,
            self.who_waits()
        ));
        std::process::abort();
    }

    fn who_waits(&self) -> String {
        let mut report = String::new();
        let entries = self.entries.borrow();
        let waiting =
            entries.iter().filter_map(|entry| Some((entry.control.as_ref()?, entry.wait?)));
        let count = waiting.clone().count();
        for (control, wait) in waiting.take(NAMED) {
            let (name, what, place) = (control.name(), wait.what, wait.place);
            let _ = write!(report, " coroutine '{name}' waits for {what} at {place};");
        }
        if count > NAMED {
            let _ = write!(report, " and {} more wait", count - NAMED);
        }
        report.truncate(report.trim_end_matches(';').len());
        report
    }
}

/// Whether the calling thread is the only one of this process. Not, where that cannot be known.
fn is_only_thread() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}
