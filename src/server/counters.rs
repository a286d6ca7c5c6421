//! What a server has counted.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Upper ends of the classes of latency, in microseconds. What is longer counts in the sum and the number alone.
pub(super) const CLASSES: [u64; 14] = [
    50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    5_000_000,
];

/// What a server has counted since it began, over all its workers. What a worker that was killed had counted in its last tenth of a
/// second is missing, but for `accepted` and `active`. Under models of processes a connection may be counted as active for a tenth of a second after its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counters {
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that are there now.
    pub active: u64,
    /// Connections that were closed at once, since there was no thread or no process for them.
    pub rejected: u64,
    /// Handlers that ended with an error, other than one over its time.
    pub failed: u64,
    /// Handlers that panicked.
    pub panicked: u64,
    /// Connections that were closed since a limit of time was over: idle, read, write, handler or deadline.
    pub timed_out: u64,
    /// Connections that were cut at the end of the time for a shutdown.
    pub cut: u64,
    /// Turns: a client said something, and had an answer. Of connections that are over, and of those of this process.
    pub turns: u64,
    /// Attempts to accept that failed, as where no descriptor was left.
    pub accept_errors: u64,
    /// Worker processes that are there now; under [`Processes`](super::Processes) those of connections.
    pub workers: u64,
    /// Worker processes that died, were killed, or failed to start; under [`Processes`](super::Processes) those of connections, and whoever forks them.
    pub workers_lost: u64,
    /// How long turns took, if it is measured: see [`Builder::measure_latency`](super::Builder::measure_latency).
    pub latency: Latency,
}

/// How long turns took, from their first byte to their answer's last, in classes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Latency {
    /// How many turns.
    pub count: u64,
    /// All of them together, in microseconds.
    pub sum_us: u64,
    /// How many were in each class: see [`Latency::classes`].
    counts: [u64; CLASSES.len()],
}

impl Latency {
    /// The upper end of each class, and how many turns took that long at most and more than the class before.
    pub fn classes(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        CLASSES.iter().map(|us| Duration::from_micros(*us)).zip(self.counts)
    }

    fn add(&mut self, other: &Latency) {
        self.count += other.count;
        self.sum_us += other.sum_us;
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
    }
}

impl Counters {
    /// Adds what a worker has counted. `accepted`, `active` and what is said of workers is counted by who hands them out.
    pub(super) fn add(&mut self, other: &Counters) {
        self.rejected += other.rejected;
        self.failed += other.failed;
        self.panicked += other.panicked;
        self.timed_out += other.timed_out;
        self.cut += other.cut;
        self.turns += other.turns;
        self.latency.add(&other.latency);
        // A worker may have workers of its own.
        self.workers_lost += other.workers_lost;
    }

    /// The counters in the text format of Prometheus, each name behind a prefix.
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold::server::Counters;
    ///
    /// let text = Counters::default().prometheus("echo");
    /// assert!(text.contains("\necho_connections_accepted_total 0\n"));
    /// ```
    pub fn prometheus(&self, prefix: &str) -> String {
        let mut text = String::new();
        let mut line = |name: &str, kind: &str, help: &str, value: u64| {
            let _ = writeln!(text, "# HELP {prefix}_{name} {help}");
            let _ = writeln!(text, "# TYPE {prefix}_{name} {kind}");
            let _ = writeln!(text, "{prefix}_{name} {value}");
        };
        let total = [
            ("connections_accepted_total", "Connections accepted.", self.accepted),
            ("connections_rejected_total", "Connections closed at once.", self.rejected),
            ("connections_timed_out_total", "Connections over a limit of time.", self.timed_out),
            ("connections_cut_total", "Connections cut by a shutdown.", self.cut),
            ("handlers_failed_total", "Handlers that ended with an error.", self.failed),
            ("handlers_panicked_total", "Handlers that panicked.", self.panicked),
            ("turns_total", "Turns answered.", self.turns),
            ("accept_errors_total", "Attempts to accept that failed.", self.accept_errors),
            ("workers_lost_total", "Worker processes lost.", self.workers_lost),
        ];
        for (name, help, value) in total {
            line(name, "counter", help, value);
        }
        line("connections_active", "gauge", "Connections there now.", self.active);
        line("workers", "gauge", "Worker processes there now.", self.workers);
        if self.latency.count > 0 {
            let _ = writeln!(
                text,
                "# HELP {prefix}_turn_seconds Time from a turn's first byte to its answer."
            );
            let _ = writeln!(text, "# TYPE {prefix}_turn_seconds histogram");
            let mut below = 0;
            for (end, count) in self.latency.classes() {
                below += count;
                let end = end.as_secs_f64();
                let _ = writeln!(text, "{prefix}_turn_seconds_bucket{{le=\"{end}\"}} {below}");
            }
            let Latency { count, sum_us, .. } = self.latency;
            let _ = writeln!(text, "{prefix}_turn_seconds_bucket{{le=\"+Inf\"}} {count}");
            let _ = writeln!(text, "{prefix}_turn_seconds_sum {}", sum_us as f64 / 1e6);
            let _ = writeln!(text, "{prefix}_turn_seconds_count {count}");
        }
        text
    }
}

/// What is counted in this process. Each number stands for itself: all accesses are relaxed.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) accepted: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) panicked: AtomicU64,
    pub(super) timed_out: AtomicU64,
    pub(super) cut: AtomicU64,
    pub(super) turns: AtomicU64,
    pub(super) accept_errors: AtomicU64,
    latency_count: AtomicU64,
    latency_sum: AtomicU64,
    latency: [AtomicU64; CLASSES.len()],
}

/// One more.
pub(super) fn count(number: &AtomicU64) {
    number.fetch_add(1, Ordering::Relaxed);
}

impl Tally {
    pub(super) fn latency(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        count(&self.latency_count);
        self.latency_sum.fetch_add(us, Ordering::Relaxed);
        if let Some(class) = CLASSES.iter().position(|end| us <= *end) {
            count(&self.latency[class]);
        }
    }

    pub(super) fn counters(&self) -> Counters {
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Counters {
            accepted: get(&self.accepted),
            active: 0,
            rejected: get(&self.rejected),
            failed: get(&self.failed),
            panicked: get(&self.panicked),
            timed_out: get(&self.timed_out),
            cut: get(&self.cut),
            turns: get(&self.turns),
            accept_errors: get(&self.accept_errors),
            workers: 0,
            workers_lost: 0,
            latency: Latency {
                count: get(&self.latency_count),
                sum_us: get(&self.latency_sum),
                counts: std::array::from_fn(|class| get(&self.latency[class])),
            },
        }
    }
}
