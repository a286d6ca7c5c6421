//! Lists and arrays against Python's own rules, dicts against a plain row.

use proptest::prelude::*;

use super::Thing;
use std::cmp::Ordering;

use crate::words::{
    Array, ArrayError, Dict, Effort, Element, List, ListError, Number, Slice, Unordered,
};

fn list(len: usize) -> List<Thing> {
    List::new((0..len as u32).map(|id| Thing { key: (id % 3) as u8, id }).collect())
}

fn ids(things: &[Thing]) -> Vec<u32> {
    things.iter().map(|thing| thing.id).collect()
}

/// Which places a slice means, found by walking from the start as the language reference tells it.
fn walk(len: i64, slice: Slice) -> Vec<i64> {
    let step = slice.step.unwrap_or(1);
    let bound = |at: Option<i64>, default: i64, low: i64, high: i64| match at {
        Some(at) if at < 0 => (at + len).max(low),
        Some(at) => at.min(high),
        None => default,
    };
    let mut places = Vec::new();
    if step > 0 {
        let stop = bound(slice.stop, len, 0, len);
        let mut at = bound(slice.start, 0, 0, len);
        while at < stop {
            places.push(at);
            at += step;
        }
    } else {
        let stop = bound(slice.stop, -1, -1, len - 1);
        let mut at = bound(slice.start, len - 1, -1, len - 1);
        while at > stop {
            places.push(at);
            at += step;
        }
    }
    places
}

fn bound() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![Just(None), (-9i64..9).prop_map(Some)]
}

proptest! {
    #[test]
    fn slices_are_python_s(len in 0usize..7, start in bound(), stop in bound(), step in bound()) {
        let slice = Slice { start, stop, step };
        let mut list = list(len);
        if step == Some(0) {
            prop_assert_eq!(list.slice(slice), Err(ListError::ZeroStep));
            return Ok(());
        }
        let places = walk(len as i64, slice);
        let expected: Vec<u32> = places.iter().map(|&at| at as u32).collect();
        prop_assert_eq!(ids(&list.slice(slice).unwrap()), expected.clone());

        let mut other = list.clone();
        let new: Vec<Thing> = places.iter().map(|&at| Thing { key: 0, id: 100 + at as u32 }).collect();
        other.set_slice(slice, new).unwrap();
        for (at, id) in ids(other.items()).into_iter().enumerate() {
            let was_set = places.contains(&(at as i64));
            prop_assert_eq!(id, if was_set { 100 + at as u32 } else { at as u32 });
        }
        list.delete_slice(slice).unwrap();
        let left: Vec<u32> = (0..len as u32).filter(|id| !expected.contains(id)).collect();
        prop_assert_eq!(ids(list.items()), left);
    }

    #[test]
    fn a_dict_does_what_a_row_of_pairs_does(
        steps in prop::collection::vec((0u8..5, 0u8..6, any::<u32>()), 0..100),
    ) {
        let mut dict: Dict<u8, u8, u32> = Dict::default();
        let mut row: Vec<(u8, u32)> = Vec::new();
        for (what, key, value) in steps {
            match what {
                0 | 1 => {
                    dict.set(key, key, value);
                    match row.iter_mut().find(|pair| pair.0 == key) {
                        Some(pair) => pair.1 = value,
                        None => row.push((key, value)),
                    }
                }
                2 => {
                    let at = row.iter().position(|pair| pair.0 == key);
                    prop_assert_eq!(dict.remove(&key), at.map(|at| row.remove(at).1));
                }
                3 => prop_assert_eq!(dict.pop_last(), row.pop()),
                _ => prop_assert_eq!(
                    dict.get(&key), row.iter().find(|pair| pair.0 == key).map(|pair| &pair.1)
                ),
            }
            prop_assert_eq!(dict.len(), row.len());
            prop_assert!(dict.iter().map(|(&key, &value)| (key, value)).eq(row.iter().copied()));
        }
    }
}

#[test]
fn huge_bounds_are_no_trouble() {
    let list = list(3);
    for (start, stop) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN)] {
        for step in [i64::MIN, -1, 1, i64::MAX] {
            let slice = Slice { start: Some(start), stop: Some(stop), step: Some(step) };
            assert!(list.slice(slice).unwrap().len() <= 3);
        }
    }
    assert_eq!(list.get(i64::MIN), Err(ListError::OutOfRange));
    assert_eq!(list.repeated(i64::MAX).unwrap_err(), ListError::TooLong);
}

#[test]
fn a_list_is_searched_sorted_and_changed() {
    let mut things = list(6);
    let one = Thing { key: 1, id: 99 };
    assert_eq!(things.count(&one), Ok(2));
    assert_eq!(things.index(&one, Some(2), None), Ok(4));
    assert_eq!(things.index(&one, Some(-1), None), Err(ListError::NotFound));
    things.sort(false).unwrap();
    assert_eq!(ids(things.items()), [0, 3, 1, 4, 2, 5]);
    things.sort(true).unwrap();
    assert_eq!(ids(things.items()), [2, 5, 1, 4, 0, 3]);
    things.remove(&one).unwrap();
    assert_eq!(ids(things.items()), [2, 5, 4, 0, 3]);
    things.insert(-100, one);
    things.insert(100, one);
    assert_eq!(ids(things.items()), [99, 2, 5, 4, 0, 3, 99]);
    assert_eq!(things.pop(-1).map(|thing| thing.id), Ok(99));
    things.append(Thing { key: super::ODD, id: 7 });
    assert_eq!(things.sort(false), Err(ListError::NoOrder));
    assert_eq!(ids(things.items()), [99, 2, 5, 4, 0, 3, 7]);
    assert_eq!(things.repeated(2).unwrap().len(), 14);
    assert!(things.repeated(-1).unwrap().is_empty());
}

#[test]
fn an_array_takes_only_what_its_type_has() {
    let mut array = Array::new('b', vec![Number::Int(-128), Number::Int(127)]).unwrap();
    assert_eq!(array.set(0, Number::Int(128)), Err(ArrayError::OutOfRange));
    assert_eq!(array.set(0, Number::Float(1.0)), Err(ArrayError::NotWhole));
    assert_eq!(array.set(2, Number::Int(1)), Err(ListError::OutOfRange.into()));
    array.set(-1, Number::Int(5)).unwrap();
    assert_eq!(array.numbers(), [Number::Int(-128), Number::Int(5)]);
    assert_eq!(Array::new('L', vec![Number::Int(-1)]).unwrap_err(), ArrayError::OutOfRange);
    assert_eq!(Array::new('x', vec![]).unwrap_err(), ArrayError::UnknownType);
    let float = Array::new('f', vec![Number::Int(1), Number::Float(0.1)]).unwrap();
    assert_eq!(float.get(1), Ok(Number::Float(f64::from(0.1f32))));
    let slice = Slice { start: Some(1), ..Slice::default() };
    let stepped = Slice { step: Some(-1), ..Slice::default() };
    let wrong = ListError::OtherSize { has: 2, given: 0 };
    assert_eq!(array.set_slice(stepped, vec![]), Err(wrong.into()));
    assert_eq!(array.set_slice(slice, vec![Number::Int(128)]), Err(ArrayError::OutOfRange));
    array.set_slice(slice, vec![Number::Int(9)]).unwrap();
    assert_eq!(array.slice(slice), Ok(vec![Number::Int(9)]));
    // As Python: without steps, it grows and shrinks.
    array.set_slice(slice, vec![Number::Int(1), Number::Int(2)]).unwrap();
    assert_eq!(array.numbers(), [Number::Int(-128), Number::Int(1), Number::Int(2)]);
    array.set_slice(slice, vec![]).unwrap();
    assert_eq!(array.numbers(), [Number::Int(-128)]);
}

/// A value whose order leads in circles, and has holes: what comes from the network may be so.
#[derive(Clone, Debug, PartialEq)]
struct Circular(u8, bool);

impl Element for Circular {
    fn is_equal(&self, other: &Circular, _: &mut Effort) -> Option<bool> {
        Some(self == other)
    }

    fn order(&self, other: &Circular, _: &mut Effort) -> Result<Ordering, Unordered> {
        let ahead = other.0.wrapping_sub(self.0);
        match ahead {
            0 => Ok(Ordering::Equal),
            _ if self.1 && other.1 => Err(Unordered::NoOrder),
            1..128 => Ok(Ordering::Less),
            _ => Ok(Ordering::Greater),
        }
    }
}

proptest! {
    #[test]
    fn what_has_no_total_order_is_sorted_somehow_or_not_at_all(
        items in prop::collection::vec((any::<u8>(), prop::bool::weighted(0.01)), 0..200),
        reverse: bool,
    ) {
        let items: Vec<Circular> = items.into_iter().map(|(n, odd)| Circular(n, odd)).collect();
        let mut list = List::new(items.clone());
        match list.sort(reverse) {
            Err(error) => {
                prop_assert_eq!(error, ListError::NoOrder);
                prop_assert_eq!(list.items(), &items[..]);
            }
            Ok(()) => {
                let sorted = |items: &[Circular]| {
                    let mut keys: Vec<_> = items.iter().map(|item| (item.0, item.1)).collect();
                    keys.sort_unstable();
                    keys
                };
                prop_assert_eq!(sorted(list.items()), sorted(&items));
            }
        }
    }
}

#[test]
fn what_cannot_be_compared_is_an_error_and_not_another_item() {
    let thing = |key| Thing { key, id: 0 };
    let mut list = List::new(vec![thing(1), thing(super::VAST), thing(2)]);
    assert_eq!(list.index(&thing(1), None, None), Ok(0));
    assert_eq!(list.index(&thing(2), None, None), Err(ListError::TooLarge));
    assert_eq!(list.remove(&thing(2)), Err(ListError::TooLarge));
    assert_eq!(list.count(&thing(1)), Err(ListError::TooLarge));
    assert_eq!(list.contains(&thing(1)), Ok(true));
    assert_eq!(list.contains(&thing(2)), Err(ListError::TooLarge));
}
