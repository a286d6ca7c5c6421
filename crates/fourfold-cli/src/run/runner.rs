//! Drives the jobs: starts what fits, waits, and tells what came of each.

mod desk;
mod start;
mod tell;

use std::fs::File;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use fourfold::process::{Finished, Jobs};

use super::input::{Inputs, Next, Ring};
use super::job::{Ended, Job};
use super::joblog::{Before, Earlier, JobLog};
use super::outcome::Outcome;
use super::output::{Captured, Failure, Meanwhile, Printer};
use super::plan::{JsonTarget, Plan};
use super::progress::Progress;
use super::record::Records;
use super::report::Report;
use super::retry::Retries;
use super::say;
use super::signals::Interrupts;
use crate::exit;

use self::desk::Desk;
use self::start::{Slots, Started};

/// How long what has been told may wait to be written out: outputs, job log, records.
const DELAY: Duration = Duration::from_millis(50);

/// How long jobs that `--halt now` ends may take to end, before they are killed.
const GRACE: Duration = Duration::from_secs(1);

/// How many jobs are skipped, or fail to start, before those that run are looked after.
const IN_A_ROW: u32 = 1000;

/// Why a run ends at once.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The reader of standard output went away.
    Closed,
    Failed(String),
    /// A second signal, this one first, came while the reader of our output did not read.
    Interrupted(i32),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        match failure {
            Failure::Closed => Stop::Closed,
            Failure::Failed(why) => Stop::Failed(why),
            Failure::Interrupted(signal) => Stop::Interrupted(signal),
        }
    }
}

fn stop(what: &str) -> impl Fn(io::Error) -> Stop + '_ {
    move |error| Stop::Failed(format!("{what}: {error}"))
}

/// Whether new jobs are started, and if not, why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// `--halt` was met.
    Halted {
        now: bool,
        success: bool,
    },
    /// A signal has been passed on.
    Interrupted,
    /// Told already: the command cannot be run, the inputs cannot be read.
    Broken,
}

/// Prints the commands.
pub(crate) fn show(plan: Plan) -> Result<u8, Stop> {
    let count = false;
    let mut inputs =
        Inputs::open(plan.sources, plan.separator, count, Arc::new(|| {})).map_err(Stop::Failed)?;
    let nothing: Meanwhile = Rc::new(|| Ok(()));
    let mut printer =
        Printer::new(plan.output, &Progress::Hidden, &nothing).map_err(stop("standard output"))?;
    for sequence in 1.. {
        let Some(inputs) = inputs.next_blocking().map_err(Stop::Failed)? else { break };
        printer.print_line(&Job { sequence, inputs, tries: 0 }.line(&plan.template))?;
    }
    printer.flush()?;
    Ok(0)
}

/// Runs the jobs, and gives the exit status.
pub(crate) fn run(plan: Plan) -> Result<u8, Stop> {
    let mut runner = Runner::new(plan)?;
    let result = runner.drive().and_then(|()| runner.finish());
    runner.progress.finish();
    runner.report.print();
    result.map(|()| runner.status())
}

struct Runner {
    plan: Plan,
    inputs: Inputs,
    /// Whether the inputs may have more.
    more: bool,
    desk: Rc<Desk>,
    slots: Slots,
    /// Taken from the inputs, and not to be started yet: the system has no room.
    ready: Option<Job>,
    retries: Retries,
    /// The number of the last job taken from the inputs.
    sequence: u64,
    phase: Phase,
    /// When those that do not end are killed.
    kill_at: Option<Instant>,
    printer: Printer,
    log: Option<JobLog>,
    earlier: Earlier,
    skipped: u64,
    records: Option<Records>,
    report: Report,
    progress: Progress,
    /// Since when something waits to be written out.
    unwritten: Option<Instant>,
    /// How many jobs were skipped or failed to start since those that run were looked after.
    in_a_row: u32,
}

impl Runner {
    fn new(mut plan: Plan) -> Result<Runner, Stop> {
        let jobs = Jobs::new().map_err(|error| Stop::Failed(error.to_string()))?;
        let (waker, thread) = (jobs.waker(), thread::current());
        // Where nothing runs, this thread is parked instead of waiting for jobs.
        let ring: Ring = Arc::new(move || {
            waker.wake();
            thread.unpark();
        });
        let count = plan.bar || plan.halt.needs_total();
        let sources = std::mem::take(&mut plan.sources);
        let inputs =
            Inputs::open(sources, plan.separator, count, ring.clone()).map_err(Stop::Failed)?;
        let (log, earlier) = match &plan.joblog {
            Some(path) => {
                let what = format!("job log {}", path.display());
                let (log, earlier) = JobLog::open(path, plan.resume).map_err(stop(&what))?;
                (Some(log), earlier)
            }
            None => (None, Earlier::default()),
        };
        let records = match &plan.json {
            None | Some(JsonTarget::Stdout) => None,
            Some(JsonTarget::File(path)) => {
                let what = format!("records {}", path.display());
                Some(Records::new(File::create(path).map_err(stop(&what))?))
            }
        };
        let interrupts = Interrupts::listen(ring).map_err(stop("signals"))?;
        let desk = Rc::new(Desk::new(jobs, interrupts));
        let looked_after = Rc::clone(&desk);
        let meanwhile: Meanwhile = Rc::new(move || looked_after.look_after());
        let progress = Progress::new(plan.bar, inputs.total());
        Ok(Runner {
            more: true,
            slots: Slots::new(plan.at_once),
            ready: None,
            retries: Retries::default(),
            sequence: 0,
            phase: Phase::Running,
            kill_at: None,
            printer: Printer::new(plan.output, &progress, &meanwhile)
                .map_err(stop("standard output"))?,
            desk,
            log,
            earlier,
            skipped: 0,
            records,
            report: Report::new(plan.summary),
            progress,
            unwritten: None,
            in_a_row: 0,
            inputs,
            plan,
        })
    }

    fn drive(&mut self) -> Result<(), Stop> {
        loop {
            self.heed_interrupts();
            self.start_what_fits()?;
            if self.is_over() {
                return Ok(());
            }
            let patience = match std::mem::take(&mut self.in_a_row) {
                IN_A_ROW.. => Some(Duration::ZERO),
                _ => self.patience(),
            };
            if self.slots.is_empty() {
                self.write_out()?;
                match patience {
                    Some(patience) => thread::park_timeout(patience),
                    None => thread::park(),
                }
            } else if let Some(finished) = self.desk.wait(patience)? {
                self.take(finished)?;
            }
            self.do_what_is_due()?;
        }
    }

    fn is_over(&self) -> bool {
        let nothing_waits = self.ready.is_none() && self.retries.is_empty();
        let no_more = self.phase != Phase::Running || (!self.more && nothing_waits);
        self.slots.is_empty() && no_more
    }

    /// How long there is nothing to do if no job ends.
    fn patience(&self) -> Option<Duration> {
        let retry = match self.phase == Phase::Running && self.slots.has_free() {
            true => self.retries.next_due(),
            false => None,
        };
        let write_out = self.unwritten.map(|since| since + DELAY);
        let next = [write_out, retry, self.kill_at, self.progress.next_tick()];
        let next = next.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn do_what_is_due(&mut self) -> Result<(), Stop> {
        if self.unwritten.is_some_and(|since| since.elapsed() >= DELAY) {
            self.write_out()?;
        }
        if self.kill_at.is_some_and(|moment| Instant::now() >= moment) {
            self.kill_at = None;
            self.desk.kill_all();
        }
        self.progress.print_if_due();
        Ok(())
    }

    /// The first signal is passed on, and no more jobs are started; the second kills.
    fn heed_interrupts(&mut self) {
        let count = self.desk.pass_on_signals();
        if count == 0 || self.phase == Phase::Interrupted {
            return;
        }
        self.phase = Phase::Interrupted;
        self.kill_at = None;
        if count == 1 && !self.slots.is_empty() {
            let text = "waiting for the jobs that run to end; once more kills them";
            self.progress.aside(|| say(text));
        }
    }

    fn start_what_fits(&mut self) -> Result<(), Stop> {
        while self.phase == Phase::Running && self.slots.has_free() && self.in_a_row < IN_A_ROW {
            let Some(job) = self.next_job()? else { break };
            match self.start(job) {
                Started::Yes => {}
                Started::NoRoom(job) => {
                    self.ready = Some(job);
                    break;
                }
                Started::Failed(job, slot, reason) => {
                    self.in_a_row += 1;
                    self.take_unstarted(job, slot, reason)?;
                }
                Started::Never(reason) => {
                    self.phase = Phase::Broken;
                    self.progress.aside(|| say(&format!("error: {reason}")));
                }
            }
            // Not to be kept waiting by jobs that end before they begin.
            self.heed_interrupts();
        }
        Ok(())
    }

    fn next_job(&mut self) -> Result<Option<Job>, Stop> {
        if let Some(job) = self.ready.take().or_else(|| self.retries.take_due()) {
            return Ok(Some(job));
        }
        while self.more && self.in_a_row < IN_A_ROW && !self.retries.are_many() {
            let inputs = match self.inputs.next() {
                Ok(Next::Job(inputs)) => inputs,
                Ok(Next::Pending) => return Ok(None),
                Ok(Next::End) => {
                    self.more = false;
                    return Ok(None);
                }
                Err(why) => {
                    self.break_off(&why);
                    return Ok(None);
                }
            };
            self.sequence += 1;
            let job = Job { sequence: self.sequence, inputs, tries: 0 };
            if self.earlier.is_empty() {
                return Ok(Some(job));
            }
            match self.earlier.of(job.sequence, &job.line(&self.plan.template)) {
                Before::NotThere => return Ok(Some(job)),
                Before::Ended => {
                    self.skipped += 1;
                    self.in_a_row += 1;
                    self.printer.pass(job.sequence)?;
                    self.progress.update(self.skipped + self.report.ended(), self.report.failed);
                }
                Before::Differs => {
                    self.break_off(&format!(
                        "job {} has another command in the job log: the inputs or the command have changed since, \
                         and what the log says is of no use; run without --resume",
                        job.sequence
                    ));
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }

    /// Starts no more; those that run may end.
    fn break_off(&mut self, why: &str) {
        self.more = false;
        self.phase = Phase::Broken;
        self.progress.aside(|| say(&format!("error: {why}")));
    }

    /// A try has ended.
    fn take(&mut self, finished: Finished) -> Result<(), Stop> {
        let Some((slot, mut job)) = self.slots.give_back(finished.key) else { return Ok(()) };
        job.tries += 1;
        let mut outcome = Outcome::new(&finished.end, self.plan.limits.time);
        let was_ended_by_us =
            matches!(self.phase, Phase::Interrupted | Phase::Halted { now: true, .. });
        if was_ended_by_us && matches!(outcome, Outcome::Exited(_) | Outcome::Signaled { .. }) {
            outcome = Outcome::Cancelled;
        }
        if !outcome.is_success() && job.tries < self.plan.tries && self.phase == Phase::Running {
            self.retries.add(job, self.plan.backoff);
            self.desk.recycle(finished);
            return Ok(());
        }
        let captured = Captured::of(finished.stdout.as_ref(), finished.stderr.as_ref());
        let captured = captured.map_err(stop("a job's output"))?;
        let ended = Ended {
            outcome,
            slot,
            started: finished.started,
            wall: finished.wall,
            user: finished.user,
            system: finished.system,
            peak_memory: finished.peak_memory,
            written: captured.len(),
        };
        self.tell(&job, &ended, captured)?;
        self.desk.recycle(finished);
        Ok(())
    }

    /// A job could not be started, for a reason of its own.
    fn take_unstarted(&mut self, mut job: Job, slot: usize, reason: String) -> Result<(), Stop> {
        job.tries += 1;
        self.tell(&job, &Ended::unstarted(slot, reason), Captured::default())
    }

    fn status(&self) -> u8 {
        match self.phase {
            Phase::Interrupted => self.desk.first_signal().map_or(exit::ERROR, exit::of_signal),
            Phase::Broken => exit::ERROR,
            Phase::Halted { success: true, .. } => 0,
            Phase::Running | Phase::Halted { .. } => exit::of_failures(self.report.failed),
        }
    }
}
