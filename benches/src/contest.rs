//! Several ways to do the same, measured in turn, and what came of it as a table.

use std::fmt::Write as _;

use crate::Failure;

/// Measures once: seconds for one of whatever is counted.
type Measure<'a> = Box<dyn FnMut() -> Result<f64, Failure> + 'a>;

/// What is to be measured in turn, so that a noisy moment hits all alike.
pub(crate) struct Contest<'a> {
    title: String,
    entries: Vec<(String, Measure<'a>)>,
}

/// What came of a contest: the samples of each entry, in the order of the rounds.
pub(crate) struct Results {
    title: String,
    entries: Vec<(String, Vec<f64>)>,
}

/// A target, and how near we came.
pub(crate) struct Verdict {
    title: String,
    text: String,
    reached: bool,
}

impl<'a> Contest<'a> {
    pub(crate) fn new(title: impl Into<String>) -> Contest<'a> {
        Contest { title: title.into(), entries: Vec::new() }
    }

    /// Adds one way. The first is ours.
    pub(crate) fn entry(
        &mut self,
        name: impl Into<String>,
        measure: impl FnMut() -> Result<f64, Failure> + 'a,
    ) {
        self.entries.push((name.into(), Box::new(measure)));
    }

    /// A round that does not count, then these many in turn. Prints the table.
    pub(crate) fn run(mut self, rounds: usize) -> Result<Results, Failure> {
        eprintln!("measuring: {}", self.title);
        let mut samples = vec![Vec::with_capacity(rounds); self.entries.len()];
        for round in 0..=rounds {
            for (index, (name, measure)) in self.entries.iter_mut().enumerate() {
                let seconds = measure().map_err(|error| format!("{name}: {error}"))?;
                if round > 0 {
                    samples[index].push(seconds);
                }
            }
        }
        let names = self.entries.into_iter().map(|(name, _)| name);
        let results = Results::new(self.title, names.zip(samples).collect());
        println!("{}", results.table());
        Ok(results)
    }
}

impl Results {
    pub(crate) fn new(title: impl Into<String>, entries: Vec<(String, Vec<f64>)>) -> Results {
        Results { title: title.into(), entries }
    }

    fn samples(&self, name: &str) -> &[f64] {
        let found = self.entries.iter().find(|(known, _)| known == name);
        let (_, samples) = found.unwrap_or_else(|| panic!("nothing was measured as {name}"));
        samples
    }

    /// How many times as long as the peer we took: the median of the rounds' ratios, since both samples of a round were
    /// taken in the same moment, and the next round's maybe when the machine was busier.
    fn ratio(&self, ours: &str, peer: &str) -> f64 {
        ratio(self.samples(ours), self.samples(peer))
    }

    /// At most `limit` times what the peer took.
    pub(crate) fn at_most(&self, limit: f64, ours: &str, peer: &str) -> Verdict {
        let ratio = self.ratio(ours, peer);
        self.verdict(
            format!("{ours}: {ratio:.2}x of {peer}, at most {limit}x wanted"),
            ratio <= limit,
        )
    }

    /// At least `times` faster than the peer.
    pub(crate) fn ahead(&self, times: f64, ours: &str, peer: &str) -> Verdict {
        let ratio = 1.0 / self.ratio(ours, peer);
        self.verdict(
            format!("{ours}: {ratio:.1}x ahead of {peer}, at least {times}x wanted"),
            ratio >= times,
        )
    }

    /// At most `limit` seconds.
    pub(crate) fn within(&self, limit: f64, ours: &str) -> Verdict {
        let seconds = median(self.samples(ours));
        let (took, limit_text) = (time(seconds), time(limit));
        self.verdict(format!("{ours}: {took}, at most {limit_text} wanted"), seconds <= limit)
    }

    fn verdict(&self, text: String, reached: bool) -> Verdict {
        Verdict::new(&self.title, text, reached)
    }

    pub(crate) fn table(&self) -> String {
        let ours = self.entries.first().map_or(&[][..], |(_, samples)| samples);
        let width = self.entries.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let mut table = format!("{}\n", self.title);
        let head = ["median", "min", "max", "ours is"];
        let _ = writeln!(
            table,
            "  {:width$} {:>10} {:>10} {:>10} {:>9}",
            "", head[0], head[1], head[2], head[3]
        );
        for (index, (name, samples)) in self.entries.iter().enumerate() {
            let sorted = sorted(samples);
            let (Some(min), Some(max)) = (sorted.first(), sorted.last()) else { continue };
            let ratio = match index {
                0 => String::new(),
                _ => format!("{:.2}x", ratio(ours, samples)),
            };
            let (middle, min, max) = (time(median(samples)), time(*min), time(*max));
            let _ = writeln!(table, "  {name:width$} {middle:>10} {min:>10} {max:>10} {ratio:>9}");
        }
        table
    }
}

impl Verdict {
    pub(crate) fn new(title: &str, text: String, reached: bool) -> Verdict {
        Verdict { title: title.to_owned(), text, reached }
    }
}

/// How busy the machine was over the last minute, ourselves included: on a busy one no time by the clock means much.
pub(crate) fn tell_load() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = load.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(f64::NAN);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("load {load:.1} on {cores} cores");
    if load > cores as f64 {
        println!(
            "CAUTION: others are at work on this machine; what was reached or missed is not certain"
        );
    }
}

/// All targets once more, together.
pub(crate) fn summarise(verdicts: &[Verdict]) {
    if verdicts.is_empty() {
        return;
    }
    println!("Targets");
    for Verdict { title, text, reached } in verdicts {
        let mark = if *reached { "reached" } else { "MISSED " };
        println!("  {mark}  {title}\n           {text}");
    }
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    median(&ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())
}

pub(crate) fn median(samples: &[f64]) -> f64 {
    let sorted = sorted(samples);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 0 => (sorted[middle - 1] + sorted[middle]) / 2.0,
        _ => sorted[middle],
    }
}

/// Seconds in a unit that reads well.
pub(crate) fn time(seconds: f64) -> String {
    match seconds {
        s if s < 1e-7 => format!("{:.1} ns", s * 1e9),
        s if s < 1e-6 => format!("{:.0} ns", s * 1e9),
        s if s < 1e-3 => format!("{:.2} µs", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

/// Seconds for one of `count` calls.
pub(crate) fn each(
    count: u32,
    mut call: impl FnMut() -> Result<(), Failure>,
) -> Result<f64, Failure> {
    let began = std::time::Instant::now();
    for _ in 0..count {
        call()?;
    }
    Ok(began.elapsed().as_secs_f64() / f64::from(count))
}
