//! Telling how a job has ended, wherever it is to be told, and heeding `--halt`.

use std::io;
use std::path::Path;
use std::time::Instant;

use super::{GRACE, Phase, Runner, Stop, stop};
use crate::run::halt::{Halt, Why};
use crate::run::job::{Ended, Job};
use crate::run::joblog::JobLog;
use crate::run::outcome::Outcome;
use crate::run::output::Captured;
use crate::run::plan::{JsonTarget, Plan};
use crate::run::record;
use crate::run::report::Report;
use crate::run::say;

impl Runner {
    /// Tells how a job has ended, wherever it is to be told.
    pub(super) fn tell(
        &mut self,
        job: &Job,
        ended: &Ended,
        captured: Captured<'_>,
    ) -> Result<(), Stop> {
        let template = &self.plan.template;
        self.unwritten.get_or_insert_with(Instant::now);
        let tag = self.plan.output.tagged.then(|| tag(job));
        self.printer.print(job.sequence, tag.as_deref(), captured)?;
        let is_cancelled = ended.outcome == Outcome::Cancelled;
        if self.log.is_some() || self.plan.json.is_some() {
            let line = job.line(template);
            if let Some(log) = self.log.as_mut().filter(|_| !is_cancelled) {
                log.add(job, &line, ended).map_err(|error| log_failure(&self.plan, error))?;
            }
            if self.plan.json.is_some() {
                let line = record::line(job, &line, ended, self.plan.limits.memory);
                let line = line.map_err(stop("records"))?;
                match &mut self.records {
                    Some(records) => {
                        records.add(&line).map_err(|error| records_failure(&self.plan, error))?
                    }
                    None => self.printer.print_line(&line)?,
                }
            }
        }
        self.report.add(job, ended, || job.line(template));
        self.progress.update(self.skipped + self.report.ended(), self.report.failed);
        self.heed_halt();
        // The output of a job is written before its line in the log.
        match self.log.as_ref().is_some_and(JobLog::is_full) {
            true => self.write_out(),
            false => Ok(()),
        }
    }

    fn heed_halt(&mut self) {
        let Report { succeeded, failed, .. } = self.report;
        if self.phase != Phase::Running
            || !self.plan.halt.is_met(succeeded, failed, self.inputs.total())
        {
            return;
        }
        let Halt::When { now, why, .. } = self.plan.halt else { return };
        self.phase = Phase::Halted { now, success: why == Why::Success };
        let what = if now { "ending those that run" } else { "waiting for those that run" };
        let text = format!("halted after {succeeded} succeeded and {failed} failed; {what}");
        self.progress.aside(|| say(&text));
        if now {
            self.desk.terminate_all();
            self.kill_at = Some(Instant::now() + GRACE);
        }
    }

    /// Writes out what was told: the output of a job before its line in the log.
    pub(super) fn write_out(&mut self) -> Result<(), Stop> {
        self.unwritten = None;
        self.printer.flush()?;
        if let Some(log) = &mut self.log {
            log.flush().map_err(|error| log_failure(&self.plan, error))?;
        }
        if let Some(records) = &mut self.records {
            records.flush().map_err(|error| records_failure(&self.plan, error))?;
        }
        Ok(())
    }

    /// Tells the rest, when nothing runs any more.
    pub(super) fn finish(&mut self) -> Result<(), Stop> {
        while let Some(job) = self.ready.take().or_else(|| self.retries.take()) {
            // It failed, and was to be tried again; whether it would have failed is not known.
            if job.tries > 0 {
                self.tell(&job, &Ended::cut_off(), Captured::default())?;
            }
        }
        self.printer.finish()?;
        self.write_out()
    }
}

/// What stands before each line of a job's output.
fn tag(job: &Job) -> Vec<u8> {
    let mut tag = Vec::new();
    for (index, input) in job.inputs.iter().enumerate() {
        if index > 0 {
            tag.push(b' ');
        }
        tag.extend(input.iter().map(|&byte| if byte == b'\n' { b' ' } else { byte }));
    }
    tag.push(b'\t');
    tag
}

fn log_failure(plan: &Plan, error: io::Error) -> Stop {
    let path = plan.joblog.as_deref().unwrap_or(Path::new(""));
    stop(&format!("job log {}", path.display()))(error)
}

fn records_failure(plan: &Plan, error: io::Error) -> Stop {
    let path = match &plan.json {
        Some(JsonTarget::File(path)) => path,
        _ => Path::new(""),
    };
    stop(&format!("records {}", path.display()))(error)
}
