//! `--bar`: how far the run is, on standard error.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::units::Time;

/// How often a line is printed where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(5);

/// How often the bar moves though no job ends.
const TICK: Duration = Duration::from_millis(500);

/// Whether text on standard error may be coloured.
pub(crate) fn may_colour() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    std::io::stderr().is_terminal() && !set("NO_COLOR") && !is_dumb
}

/// What shows how far the run is.
#[derive(Clone)]
pub(crate) enum Progress {
    Hidden,
    Bar(ProgressBar),
    Lines { began: Instant, next: Instant, total: Option<u64>, last: (u64, u64) },
}

impl Progress {
    pub(crate) fn new(wanted: bool, total: Option<u64>) -> Progress {
        let now = Instant::now();
        match wanted {
            false => Progress::Hidden,
            true if std::io::stderr().is_terminal() => Progress::Bar(bar(total)),
            true => Progress::Lines { began: now, next: now + INTERVAL, total, last: (0, 0) },
        }
    }

    /// So many jobs have ended, so many of them failed.
    pub(crate) fn update(&mut self, ended: u64, failed: u64) {
        match self {
            Progress::Hidden => {}
            Progress::Bar(bar) => {
                if failed > 0 {
                    bar.set_message(format!("{failed} failed"));
                }
                bar.set_position(ended);
            }
            Progress::Lines { last, .. } => {
                *last = (ended, failed);
                self.print_if_due();
            }
        }
    }

    /// When it has to be called again though nothing has happened.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        match self {
            Progress::Lines { next, .. } => Some(*next),
            _ => None,
        }
    }

    pub(crate) fn print_if_due(&mut self) {
        if let Progress::Lines { next, .. } = self {
            let now = Instant::now();
            if now >= *next {
                *next = now + INTERVAL;
                self.print_line();
            }
        }
    }

    /// The last word.
    pub(crate) fn finish(&mut self) {
        match self {
            Progress::Hidden => {}
            Progress::Bar(bar) => bar.finish_and_clear(),
            Progress::Lines { .. } => self.print_line(),
        }
    }

    /// Does something that writes to where the bar may be.
    pub(crate) fn aside<R>(&self, write: impl FnOnce() -> R) -> R {
        match self {
            Progress::Bar(bar) => bar.suspend(write),
            _ => write(),
        }
    }

    fn print_line(&self) {
        let Progress::Lines { began, total, last: (ended, failed), .. } = self else { return };
        let total = total.map_or(String::new(), |total| format!(" of {total}"));
        let elapsed = Time(began.elapsed());
        // Nobody who cannot be written to misses it.
        let _ = writeln!(
            std::io::stderr(),
            "fourfold: {ended}{total} jobs ended, {failed} failed, {elapsed}"
        );
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let colour = |text, style: &str| match may_colour() {
        true => format!("{{{text}{style}}}"),
        false => format!("{{{text}}}"),
    };
    let (bar, template) = match total {
        Some(total) => {
            let bar = colour("bar:30", ".cyan");
            (
                ProgressBar::new(total),
                format!("{bar} {{pos}}/{{len}} {{elapsed}} (left {{eta}}) {{msg}}"),
            )
        }
        None => {
            (ProgressBar::no_length(), "{spinner} {pos} jobs ended, {elapsed} {msg}".to_string())
        }
    };
    // A wrong template would be ours, and shows as the default bar.
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar.enable_steady_tick(TICK);
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_valid() {
        for template in [
            "{bar:30.cyan} {pos}/{len} {elapsed} (left {eta}) {msg}",
            "{spinner} {pos} jobs ended, {elapsed} {msg}",
        ] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
