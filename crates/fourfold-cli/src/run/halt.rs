//! `--halt`: when a run stops early.

/// When a run stops before its inputs end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Halt {
    Never,
    When { now: bool, why: Why, limit: Limit },
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Fail,
    Success,
    Done,
}

/// How many are enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    Count(u64),
    Percent(f64),
}

/// How many jobs have to have ended before a share of them means something, if their number is not known.
const ENOUGH: u64 = 10;

impl Halt {
    /// `never`, `now,fail=1`, `soon,success=50%`, and GNU parallel's older 0, 1, 2, -1, -2.
    pub(crate) fn parse(text: &str) -> Result<Halt, String> {
        let wrong = || format!("`{text}` is not of the form now|soon,fail|success|done=N or N%");
        let text = match text {
            "never" | "0" => return Ok(Halt::Never),
            "1" => "soon,fail=1",
            "2" => "now,fail=1",
            "-1" => "soon,success=1",
            "-2" => "now,success=1",
            text => text,
        };
        let (when, why) = text.split_once(',').ok_or_else(wrong)?;
        let (why, limit) = why.split_once('=').ok_or_else(wrong)?;
        let now = match when {
            "now" => true,
            "soon" => false,
            _ => return Err(wrong()),
        };
        let why = match why {
            "fail" => Why::Fail,
            "success" => Why::Success,
            "done" => Why::Done,
            _ => return Err(wrong()),
        };
        let limit = match limit.strip_suffix('%') {
            Some(percent) => {
                let percent: f64 = percent.parse().map_err(|_| wrong())?;
                if !(percent > 0.0 && percent <= 100.0) {
                    return Err(wrong());
                }
                Limit::Percent(percent)
            }
            None => match limit.parse().map_err(|_| wrong())? {
                0 => return Err(wrong()),
                count => Limit::Count(count),
            },
        };
        Ok(Halt::When { now, why, limit })
    }

    /// Whether it needs the number of all jobs.
    pub(crate) fn needs_total(self) -> bool {
        matches!(self, Halt::When { limit: Limit::Percent(_), .. })
    }

    /// Whether so many are enough.
    pub(crate) fn is_met(self, succeeded: u64, failed: u64, total: Option<u64>) -> bool {
        let Halt::When { why, limit, .. } = self else { return false };
        let done = succeeded + failed;
        let count = match why {
            Why::Fail => failed,
            Why::Success => succeeded,
            Why::Done => done,
        };
        match (limit, total) {
            (Limit::Count(enough), _) => count >= enough,
            (Limit::Percent(percent), Some(total)) => {
                count as f64 * 100.0 >= percent * total as f64 && count > 0
            }
            (Limit::Percent(percent), None) => {
                done >= ENOUGH && count as f64 * 100.0 >= percent * done as f64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let when = |now, why, limit| Ok(Halt::When { now, why, limit });
        assert_eq!(Halt::parse("never"), Ok(Halt::Never));
        assert_eq!(Halt::parse("now,fail=1"), when(true, Why::Fail, Limit::Count(1)));
        assert_eq!(Halt::parse("soon,success=3"), when(false, Why::Success, Limit::Count(3)));
        assert_eq!(Halt::parse("soon,done=2.5%"), when(false, Why::Done, Limit::Percent(2.5)));
        assert_eq!(Halt::parse("-2"), when(true, Why::Success, Limit::Count(1)));
        for wrong in [
            "",
            "now",
            "later,fail=1",
            "now,fail",
            "now,fail=0",
            "now,x=1",
            "now,fail=101%",
            "now,fail=x",
        ] {
            assert!(Halt::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares_are_of_all_jobs_if_known_and_else_of_those_that_ended() {
        let half = Halt::parse("now,fail=50%").unwrap();
        assert!(!half.is_met(1, 2, Some(5)));
        assert!(half.is_met(1, 3, Some(5)));
        assert!(!half.is_met(0, 9, None));
        assert!(half.is_met(5, 5, None));
        assert!(!half.is_met(6, 5, None));
    }
}
