//! Dates, times and spans of time as Python's `datetime` compares them.

use std::cmp::Ordering;

use fourfold_wire::pickle::{Node, NodeRef};

use super::number::call_of;

/// A `date`, `time`, `datetime` or `timedelta`.
pub(super) enum Moment<'a> {
    /// Its fields from the largest to the smallest, as many bytes as its class has, and its time zone.
    At(Vec<u8>, Option<NodeRef<'a>>),
    /// How many microseconds it is long.
    Span(i128),
}

/// The bytes of the fields of a date, a time, and both.
const DATE: usize = 4;
const TIME: usize = 6;
const BOTH: usize = 10;
const DAY: i128 = 86_400_000_000;

impl<'a> Moment<'a> {
    pub(super) fn of(node: NodeRef<'a>) -> Option<Moment<'a>> {
        let (module, name) = node.class()?.python3();
        if module != "datetime" {
            return None;
        }
        let args = call_of(node)?;
        let (len, fold) = match name {
            "timedelta" => return span(&args).map(Moment::Span),
            "date" => (DATE, None),
            "time" => (TIME, Some(0)),
            "datetime" => (BOTH, Some(2)),
            _ => return None,
        };
        let mut bytes = match args.first()?.node() {
            Node::Bytes(bytes) | Node::ByteStr(bytes) if bytes.len() == len => bytes.clone(),
            _ => return None,
        };
        // Which of two equal times on the clock it is does not count where they are compared.
        if let Some(fold) = fold {
            bytes[fold] &= 0x7f;
        }
        match args[1..] {
            [] => Some(Moment::At(bytes, None)),
            [zone] if len != DATE => Some(Moment::At(bytes, Some(zone))),
            _ => None,
        }
    }

    /// Which is earlier or shorter. `same`: whether two time zones are the same.
    pub(super) fn order(
        &self,
        other: &Moment<'_>,
        same: impl FnOnce(NodeRef<'_>, NodeRef<'_>) -> Option<bool>,
    ) -> Option<Ordering> {
        match (self, other) {
            (Moment::Span(a), Moment::Span(b)) => Some(a.cmp(b)),
            (Moment::At(a, x), Moment::At(b, y)) if a.len() == b.len() => match (x, y) {
                (None, None) => Some(a.cmp(b)),
                (Some(x), Some(y)) => match (self.instant(), other.instant()) {
                    (Some(a), Some(b)) => Some(a.cmp(&b)),
                    _ if same(*x, *y)? => Some(a.cmp(b)),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    /// Microseconds in universal time, where the time zone is a fixed one.
    fn instant(&self) -> Option<i128> {
        let Moment::At(bytes, Some(zone)) = self else { return None };
        let is = |node: NodeRef<'_>, name| {
            node.class().is_some_and(|class| class.python3() == ("datetime", name))
        };
        let delta = call_of(*zone).filter(|_| is(*zone, "timezone"))?.first().copied()?;
        let offset = span(&call_of(delta).filter(|_| is(delta, "timedelta"))?)?;
        let (date, time) = bytes.split_at(bytes.len() - TIME);
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, &byte| sum * 256 + i128::from(byte));
        let days = match date {
            [high, low, month, day] => days(number(&[*high, *low]), (*month).into(), (*day).into()),
            _ => 0,
        };
        let [hours, minutes, seconds, rest @ ..] = time else { return None };
        let seconds = (i128::from(*hours) * 60 + i128::from(*minutes)) * 60 + i128::from(*seconds);
        Some(days * DAY + seconds * 1_000_000 + number(rest) - offset)
    }

    /// Writes bytes that are the same for equal moments. Gives the time zone whose own bytes belong to it.
    pub(super) fn write_key(&self, out: &mut Vec<u8>) -> Option<NodeRef<'a>> {
        match (self, self.instant()) {
            (Moment::Span(span), _) => {
                out.push(b'd');
                out.extend_from_slice(&span.to_le_bytes());
                None
            }
            (Moment::At(bytes, _), Some(instant)) => {
                out.extend([b'u', bytes.len() as u8]);
                out.extend_from_slice(&instant.to_le_bytes());
                None
            }
            (Moment::At(bytes, zone), None) => {
                out.extend([b'm', u8::from(zone.is_some()), bytes.len() as u8]);
                out.extend_from_slice(bytes);
                *zone
            }
        }
    }
}

/// `timedelta(days, seconds, microseconds)`
fn span(args: &[NodeRef<'_>]) -> Option<i128> {
    let [days, seconds, micros] = args else { return None };
    let number = |node: &NodeRef<'_>| node.as_i64().map(i128::from);
    Some(number(days)? * DAY + number(seconds)? * 1_000_000 + number(micros)?)
}

/// Days since the first of March of the year zero. Years begin in March here, so that leap days come last.
fn days(year: i128, month: i128, day: i128) -> i128 {
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leaps + (month * 306 + 5) / 10 + day - 1
}
