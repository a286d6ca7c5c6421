//! The atomic numbers that shared memory is made of. Each access is a step, at which a test build can end the process.
//!
//! Built with `--cfg fourfold_steps`, a process that has armed itself is killed with SIGKILL at its n-th step, for each n in
//! turn: that is how `ci/steps` shows that no step is one at which nobody may die. Or it is stopped there.

#[cfg(not(all(loom, test)))]
pub(super) use std::sync::atomic::{Ordering, fence};

#[cfg(all(loom, test))]
pub(super) use loom::sync::atomic::{Ordering, fence};

#[cfg(all(loom, test))]
use loom::sync::atomic as parts;
#[cfg(not(all(loom, test)))]
use std::sync::atomic as parts;

/// A step of a protocol in shared memory: what a death before it leaves is what the protocol must cope with.
#[inline(always)]
pub(super) fn step() {
    #[cfg(fourfold_steps)]
    steps::step();
    #[cfg(all(loom, test))]
    super::models::step();
}

#[cfg(fourfold_steps)]
pub(super) mod steps {
    use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    /// How many steps this process may still do; endless if negative.
    static LEFT: AtomicI64 = AtomicI64::new(-1);
    /// It is stopped then, and not killed.
    static STOPS: AtomicBool = AtomicBool::new(false);

    pub(super) fn step() {
        // Relaxed: one number, and the order of the steps is that of the program.
        if LEFT.load(Ordering::Relaxed) >= 0 && LEFT.fetch_sub(1, Ordering::Relaxed) == 0 {
            let stops = STOPS.load(Ordering::Relaxed);
            let _ = kill_process(getpid(), if stops { Signal::STOP } else { Signal::KILL });
        }
    }

    /// Has this process killed before its step number `steps`, counted from 0 and from now on; negative: never.
    pub(crate) fn arm(steps: i64) {
        STOPS.store(false, Ordering::Relaxed);
        LEFT.store(steps, Ordering::Relaxed);
    }

    /// As `arm`, but has it stopped.
    pub(crate) fn arm_stop(steps: i64) {
        STOPS.store(true, Ordering::Relaxed);
        LEFT.store(steps, Ordering::Relaxed);
    }

    /// How many steps are left of those that it was armed with.
    pub(crate) fn left() -> i64 {
        LEFT.load(Ordering::Relaxed)
    }
}

/// The model checker takes an access that is SeqCst for one that is AcqRel; so it is told by fences what such an access means.
#[inline(always)]
fn total(order: Ordering) {
    if cfg!(all(loom, test)) && matches!(order, Ordering::SeqCst) {
        fence(Ordering::SeqCst);
    }
}

macro_rules! atomic {
    ($name:ident, $part:ident, $number:ty) => {
        /// A number in shared memory. Zero is what fresh memory holds.
        #[repr(transparent)]
        pub(super) struct $name(parts::$part);

        #[allow(dead_code)]
        impl $name {
            #[cfg(test)]
            pub(super) fn new(value: $number) -> $name {
                $name(parts::$part::new(value))
            }

            #[inline(always)]
            pub(super) fn load(&self, order: Ordering) -> $number {
                step();
                total(order);
                let result = self.0.load(order);
                total(order);
                result
            }

            #[inline(always)]
            pub(super) fn store(&self, value: $number, order: Ordering) {
                step();
                total(order);
                self.0.store(value, order);
                total(order);
            }

            #[inline(always)]
            pub(super) fn swap(&self, value: $number, order: Ordering) -> $number {
                step();
                total(order);
                let result = self.0.swap(value, order);
                total(order);
                result
            }

            /// Whether it was `old` and is `new` now; else what it is.
            #[inline(always)]
            pub(super) fn exchange(
                &self,
                old: $number,
                new: $number,
                success: Ordering,
            ) -> Result<(), $number> {
                step();
                let failure = match success {
                    Ordering::SeqCst => Ordering::SeqCst,
                    Ordering::Acquire | Ordering::AcqRel => Ordering::Acquire,
                    _ => Ordering::Relaxed,
                };
                total(success);
                let result = self.0.compare_exchange(old, new, success, failure).map(drop);
                total(success);
                result
            }

            #[inline(always)]
            pub(super) fn fetch_add(&self, value: $number, order: Ordering) -> $number {
                step();
                total(order);
                let result = self.0.fetch_add(value, order);
                total(order);
                result
            }

            #[inline(always)]
            pub(super) fn fetch_or(&self, value: $number, order: Ordering) -> $number {
                step();
                total(order);
                let result = self.0.fetch_or(value, order);
                total(order);
                result
            }

            #[inline(always)]
            pub(super) fn fetch_and(&self, value: $number, order: Ordering) -> $number {
                step();
                total(order);
                let result = self.0.fetch_and(value, order);
                total(order);
                result
            }

            /// As the kernel sees it.
            #[cfg(not(all(loom, test)))]
            pub(super) fn inner(&self) -> &parts::$part {
                &self.0
            }

            #[cfg(all(loom, test))]
            pub(super) fn inner(&self) -> &std::sync::atomic::$part {
                unreachable!("the kernel knows nothing of the numbers of a model")
            }
        }
    };
}

atomic!(Number32, AtomicU32, u32);
atomic!(Number64, AtomicU64, u64);
