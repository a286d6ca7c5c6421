//! Durations, sizes and numbers of jobs, as typed and as shown.

use std::fmt;
use std::time::Duration;

/// `10`, `1.5`, `500ms`, `1m30s`, `2h`, `1d`: seconds where no unit is given.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration: seconds, or as in 500ms, 1m30s, 2h, 1d");
    let mut total = 0.0;
    let mut rest = text;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        total += number
            * match &rest[..letters] {
                "ms" => 0.001,
                "" | "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "d" => 86400.0,
                _ => return Err(wrong()),
            };
        rest = &rest[letters..];
    }
    Duration::try_from_secs_f64(total).map_err(|_| wrong())
}

/// A duration that is more than nothing.
pub(crate) fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("it must be more than 0".into()),
        duration => Ok(duration),
    }
}

/// `512M`, `2G`, `1.5GiB`, `100000`: bytes; K, M, G, T count in 1024s, k, m, g, t in 1000s.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("`{text}` is no size: bytes, or as in 800K, 512M, 2G (k, m, g count in 1000s)");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = match text[digits..].trim_end_matches("iB").trim_end_matches('B') {
        "" => 1.0,
        "K" => 1024.0,
        "M" => 1024.0 * 1024.0,
        "G" => 1024.0 * 1024.0 * 1024.0,
        "T" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        "t" => 1e12,
        _ => return Err(wrong()),
    };
    match (number * unit) as u64 {
        0 => Err("it must be more than 0".into()),
        size => Ok(size),
    }
}

/// How many jobs run at once, as typed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum JobCount {
    /// `N`
    Exactly(usize),
    /// `0`
    AsManyAsPossible,
    /// `+N` and `-N`: more or fewer than there are processors.
    Relative(isize),
    /// `N%` of the processors.
    Percent(f64),
}

impl JobCount {
    pub(crate) fn parse(text: &str) -> Result<JobCount, String> {
        let wrong = || {
            format!(
                "`{text}` is no number of jobs: as in 8, 50%, +2, -1, or 0 for as many as possible"
            )
        };
        if let Some(percent) = text.strip_suffix('%') {
            let percent: f64 = percent.parse().map_err(|_| wrong())?;
            let valid = percent.is_finite() && percent > 0.0;
            return if valid { Ok(JobCount::Percent(percent)) } else { Err(wrong()) };
        }
        if text.starts_with(['+', '-']) {
            return text.parse().map(JobCount::Relative).map_err(|_| wrong());
        }
        match text.parse().map_err(|_| wrong())? {
            0 => Ok(JobCount::AsManyAsPossible),
            count => Ok(JobCount::Exactly(count)),
        }
    }

    /// The number on a machine with so many processors, where so many jobs are possible at once. At least 1.
    pub(crate) fn resolve(self, processors: usize, possible: usize) -> usize {
        let count = match self {
            JobCount::Exactly(count) => count,
            JobCount::AsManyAsPossible => possible,
            JobCount::Relative(more) => processors.saturating_add_signed(more),
            JobCount::Percent(percent) => (processors as f64 * percent / 100.0) as usize,
        };
        count.max(1)
    }
}

/// Bytes for people: `512 MiB`, `1.5 GiB`.
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0 as f64;
        let mut unit = "B";
        for next in ["KiB", "MiB", "GiB", "TiB"] {
            if value < 1024.0 {
                break;
            }
            value /= 1024.0;
            unit = next;
        }
        match value < 10.0 && value.fract() >= 0.05 {
            true => write!(f, "{value:.1} {unit}"),
            false => write!(f, "{value:.0} {unit}"),
        }
    }
}

/// A duration for people: `0.2 s`, `2 s`, `1 min 30 s`, `2 h 5 min`.
pub(crate) struct Time(pub(crate) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        let whole = seconds.round() as u64;
        match whole {
            _ if seconds < 0.1 => write!(f, "{:.0} ms", seconds * 1000.0),
            _ if seconds < 10.0 && (seconds - whole as f64).abs() >= 0.05 => {
                write!(f, "{seconds:.1} s")
            }
            0..60 => write!(f, "{whole} s"),
            60..3600 => write!(f, "{} min {} s", whole / 60, whole % 60),
            _ => write!(f, "{} h {} min", whole / 3600, whole % 3600 / 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let seconds = |text| duration(text).unwrap().as_secs_f64();
        assert_eq!(
            ["10", "1.5", "500ms", "1m30s", "2h", "1d", ".5"].map(seconds),
            [10.0, 1.5, 0.5, 90.0, 7200.0, 86400.0, 0.5]
        );
        for wrong in ["", "x", "1y", "-1", "1..2", "s", "1e400"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert!(positive_duration("0").is_err());
    }

    #[test]
    fn sizes() {
        assert_eq!(
            ["1", "2K", "2k", "512M", "1.5G", "1GiB", "64MB"].map(|text| size(text).unwrap()),
            [1, 2048, 2000, 512 << 20, 3 << 29, 1 << 30, 64 << 20]
        );
        for wrong in ["", "M", "-1", "1X", "0", "0.1"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_of_jobs() {
        let resolve = |text| JobCount::parse(text).unwrap().resolve(4, 200);
        assert_eq!(
            ["3", "0", "50%", "+2", "-1", "-100", "1%", "200%"].map(resolve),
            [3, 200, 2, 6, 3, 1, 1, 8]
        );
        for wrong in ["", "abc", "1.5", "%", "-5%", "+"] {
            assert!(JobCount::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shown_for_people() {
        let bytes = [0, 1023, 1536, 512 << 20, (512 << 20) + 1000, 3 << 29, 530 << 20];
        let shown = bytes.map(|bytes| Bytes(bytes).to_string());
        assert_eq!(shown, ["0 B", "1023 B", "1.5 KiB", "512 MiB", "512 MiB", "1.5 GiB", "530 MiB"]);
        let times = [0.004, 0.25, 2.0, 1.96, 59.0, 90.0, 7500.0];
        let shown = times.map(|seconds| Time(Duration::from_secs_f64(seconds)).to_string());
        assert_eq!(shown, ["4 ms", "0.2 s", "2 s", "2 s", "59 s", "1 min 30 s", "2 h 5 min"]);
    }
}
