//! Finding that nothing can ever go on, and telling who waits for what.
//!
//! A hub on which no coroutine can run, with no deadline and no descriptor that one waits for, can still be woken by another
//! thread. Who will wake whom is not known; but if there is no other thread, there is nobody who could.

use std::fmt::Write;

use super::Hub;

/// So many coroutines are named in a report.
const NAMED: usize = 20;

impl Hub {
    /// Whether nothing can ever go on. Called with no coroutine to run, no timer, no descriptor to wait for. If so, `stuck` says
    /// who waits for what.
    pub(super) fn is_stuck(&self) -> bool {
        if !is_only_thread() || !self.remote.is_quiet() {
            return false;
        }
        let mut report = String::from("nothing can go on, and no other thread is there:");
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
        drop(entries);
        // A report that was made before stays: the first coroutine has had its chance.
        self.stuck.borrow_mut().get_or_insert(report.trim_end_matches(';').to_owned());
        true
    }
}

/// Whether the calling thread is the only one of this process. Not, where that cannot be known.
fn is_only_thread() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}
