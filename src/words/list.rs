//! A list, indexed and sliced as Python does.

use std::cmp::Ordering;

use super::{Effort, Element, Unordered};

/// What a list cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListError {
    /// There is no such item.
    OutOfRange,
    /// No item is equal to that value.
    NotFound,
    /// Two items have no order.
    NoOrder,
    /// A slice with steps takes as many items as it has, no more.
    OtherSize {
        has: usize,
        given: usize,
    },
    ZeroStep,
    /// The list would be longer than is allowed.
    TooLong,
    /// Items are too large, or too many, to say whether they are equal or which comes first.
    TooLarge,
}

impl From<Unordered> for ListError {
    fn from(why: Unordered) -> Self {
        match why {
            Unordered::NoOrder => ListError::NoOrder,
            Unordered::TooLarge => ListError::TooLarge,
        }
    }
}

/// `[start:stop:step]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Slice {
    pub(crate) start: Option<i64>,
    pub(crate) stop: Option<i64>,
    pub(crate) step: Option<i64>,
}

impl Slice {
    /// Where it starts, where it ends, its step, and how many items it has in a list of `len` items.
    pub(crate) fn within(&self, len: usize) -> Result<(usize, i64, usize), ListError> {
        let step = self.step.unwrap_or(1);
        if step == 0 {
            return Err(ListError::ZeroStep);
        }
        let len = len as i128;
        // The places before the first and behind the last item that a start or an end may be at.
        let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
        let place = |at: Option<i64>, default: i128| match at {
            None => default,
            Some(at) => {
                let at = i128::from(at);
                (if at < 0 { at + len } else { at }).clamp(low, high)
            }
        };
        let (start, stop) = if step > 0 {
            (place(self.start, low), place(self.stop, high))
        } else {
            (place(self.start, high), place(self.stop, low))
        };
        let wide = i128::from(step);
        let distance = if step > 0 { stop - start } else { start - stop };
        let count = if distance <= 0 { 0 } else { (distance - 1) / wide.abs() + 1 };
        Ok((start.max(0) as usize, step, count as usize))
    }

    fn places(&self, len: usize) -> Result<Vec<usize>, ListError> {
        let (start, step, count) = self.within(len)?;
        Ok((0..count).map(|n| (start as i64 + step * n as i64) as usize).collect())
    }
}

/// The longest list that may be made by repetition.
const LONGEST: usize = 1 << 22;

/// Sorts by merging, or ends as soon as two items have no order.
///
/// What order there is between items is up to whoever put them there: it may lead in a circle, or be there for some
/// pairs only. The sorts of the standard library may panic then; this one only compares and moves on.
fn merge_sorted<V: Clone>(
    mut items: Vec<V>,
    mut order: impl FnMut(&V, &V) -> Result<Ordering, Unordered>,
) -> Result<Vec<V>, Unordered> {
    let len = items.len();
    let mut width = 1;
    while width < len {
        let mut merged = Vec::with_capacity(len);
        for both in items.chunks(2 * width) {
            let (mut left, mut right) = both.split_at(width.min(both.len()));
            while let ([a, left_rest @ ..], [b, right_rest @ ..]) = (left, right) {
                if order(a, b)? == Ordering::Greater {
                    merged.push(b.clone());
                    right = right_rest;
                } else {
                    merged.push(a.clone());
                    left = left_rest;
                }
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        items = merged;
        width *= 2;
    }
    Ok(items)
}

#[derive(Clone, Debug)]
pub(crate) struct List<V> {
    items: Vec<V>,
}

impl<V: Element> List<V> {
    pub(crate) fn new(items: Vec<V>) -> List<V> {
        List { items }
    }

    pub(crate) fn items(&self) -> &[V] {
        &self.items
    }

    fn place(&self, index: i64) -> Result<usize, ListError> {
        let len = self.items.len() as i64;
        let place = if index < 0 { index + len } else { index };
        if (0..len).contains(&place) { Ok(place as usize) } else { Err(ListError::OutOfRange) }
    }

    pub(crate) fn get(&self, index: i64) -> Result<V, ListError> {
        Ok(self.items[self.place(index)?].clone())
    }

    pub(crate) fn set(&mut self, index: i64, value: V) -> Result<(), ListError> {
        let place = self.place(index)?;
        self.items[place] = value;
        Ok(())
    }

    pub(crate) fn delete(&mut self, index: i64) -> Result<(), ListError> {
        let place = self.place(index)?;
        self.items.remove(place);
        Ok(())
    }

    pub(crate) fn slice(&self, slice: Slice) -> Result<Vec<V>, ListError> {
        Ok(slice.places(self.items.len())?.into_iter().map(|at| self.items[at].clone()).collect())
    }

    pub(crate) fn set_slice(&mut self, slice: Slice, values: Vec<V>) -> Result<(), ListError> {
        let (start, step, count) = slice.within(self.items.len())?;
        if step == 1 {
            self.items.splice(start..start + count, values);
            return Ok(());
        }
        if count != values.len() {
            return Err(ListError::OtherSize { has: count, given: values.len() });
        }
        for (at, value) in slice.places(self.items.len())?.into_iter().zip(values) {
            self.items[at] = value;
        }
        Ok(())
    }

    pub(crate) fn delete_slice(&mut self, slice: Slice) -> Result<(), ListError> {
        let places = slice.places(self.items.len())?;
        let mut keep = vec![true; self.items.len()];
        for at in places {
            keep[at] = false;
        }
        let mut keep = keep.into_iter();
        self.items.retain(|_| keep.next().unwrap_or(true));
        Ok(())
    }

    pub(crate) fn append(&mut self, value: V) {
        self.items.push(value);
    }

    pub(crate) fn extend(&mut self, values: Vec<V>) {
        self.items.extend(values);
    }

    pub(crate) fn insert(&mut self, index: i64, value: V) {
        let len = self.items.len() as i64;
        let place = if index < 0 { index.saturating_add(len) } else { index };
        self.items.insert(place.clamp(0, len) as usize, value);
    }

    pub(crate) fn pop(&mut self, index: i64) -> Result<V, ListError> {
        let place = self.place(index)?;
        Ok(self.items.remove(place))
    }

    pub(crate) fn remove(&mut self, value: &V) -> Result<(), ListError> {
        let place = self.find(value, 0, self.items.len())?;
        self.items.remove(place);
        Ok(())
    }

    /// Where the first item equal to the value is, between two indices.
    pub(crate) fn index(
        &self,
        value: &V,
        start: Option<i64>,
        stop: Option<i64>,
    ) -> Result<usize, ListError> {
        let (start, _, count) = Slice { start, stop, step: None }.within(self.items.len())?;
        self.find(value, start, start + count)
    }

    fn find(&self, value: &V, start: usize, stop: usize) -> Result<usize, ListError> {
        let mut effort = Effort::over(stop - start);
        for (at, item) in self.items[start..stop].iter().enumerate() {
            if item.is_equal(value, &mut effort).ok_or(ListError::TooLarge)? {
                return Ok(start + at);
            }
        }
        Err(ListError::NotFound)
    }

    pub(crate) fn contains(&self, value: &V) -> Result<bool, ListError> {
        match self.find(value, 0, self.items.len()) {
            Err(ListError::NotFound) => Ok(false),
            found => found.map(|_| true),
        }
    }

    pub(crate) fn count(&self, value: &V) -> Result<usize, ListError> {
        let (mut count, mut effort) = (0, Effort::over(self.items.len()));
        for item in &self.items {
            count += usize::from(item.is_equal(value, &mut effort).ok_or(ListError::TooLarge)?);
        }
        Ok(count)
    }

    pub(crate) fn reverse(&mut self) {
        self.items.reverse();
    }

    pub(crate) fn clear(&mut self) {
        self.items = Vec::new();
    }

    /// Sorts, equal items in the order they have. If two have no order, the list is as it was.
    pub(crate) fn sort(&mut self, reverse: bool) -> Result<(), ListError> {
        // The same as sorting the other way and keeping equal items in order.
        let mut effort = Effort::over(self.items.len());
        let order = |a: &V, b: &V| match reverse {
            true => b.order(a, &mut effort),
            false => a.order(b, &mut effort),
        };
        self.items = merge_sorted(self.items.clone(), order)?;
        Ok(())
    }

    /// The items so many times over.
    pub(crate) fn repeated(&self, times: i64) -> Result<Vec<V>, ListError> {
        let times = usize::try_from(times).unwrap_or(0);
        let length = self.items.len().checked_mul(times).ok_or(ListError::TooLong)?;
        if length > LONGEST {
            return Err(ListError::TooLong);
        }
        Ok((0..times).flat_map(|_| self.items.iter().cloned()).collect())
    }

    pub(crate) fn replace(&mut self, items: Vec<V>) {
        self.items = items;
    }
}
