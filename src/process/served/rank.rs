//! Values whose order can be told from bytes, so that it needs no code of theirs where they are kept.

use std::cmp::Reverse;
use std::time::Duration;

/// A value that writes itself as bytes which are in its own order: what a [`PriorityQueue`](super::PriorityQueue) between
/// processes orders items by.
///
/// The root of the processes, which keeps the items, compares the bytes, and never runs code of theirs. No key is the
/// beginning of another of the same type. A type of one's own writes the keys of its parts, the most important first.
///
/// # Examples
///
/// ```
/// use fourfold::process::{PriorityQueue, Rank};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
/// struct Job {
///     urgency: i32,
///     name: String,
/// }
///
/// impl Rank for Job {
///     fn rank(&self, key: &mut Vec<u8>) {
///         self.urgency.rank(key);
///         self.name.rank(key);
///     }
/// }
///
/// let queue = PriorityQueue::new()?;
/// queue.put(Job { urgency: 3, name: "a".into() })?;
/// queue.put(Job { urgency: -3, name: "b".into() })?;
/// assert_eq!(queue.get()?.name, "b");
/// # Ok::<(), fourfold::Error>(())
/// ```
pub trait Rank: Ord {
    /// Adds its key.
    fn rank(&self, key: &mut Vec<u8>);
}

macro_rules! unsigned {
    ($($t:ty as $wide:ty),*) => {$(
        impl Rank for $t {
            fn rank(&self, key: &mut Vec<u8>) {
                key.extend_from_slice(&<$wide>::from(*self).to_be_bytes());
            }
        }
    )*};
}

unsigned!(u8 as u8, u16 as u16, u32 as u32, u64 as u64, u128 as u128, bool as u8, char as u32);

macro_rules! signed {
    ($($t:ty as $unsigned:ty),*) => {$(
        impl Rank for $t {
            fn rank(&self, key: &mut Vec<u8>) {
                // The least is zero then.
                ((*self as $unsigned) ^ (1 << (<$unsigned>::BITS - 1))).rank(key);
            }
        }
    )*};
}

signed!(i8 as u8, i16 as u16, i32 as u32, i64 as u64, i128 as u128, isize as u64);

impl Rank for usize {
    fn rank(&self, key: &mut Vec<u8>) {
        (*self as u64).rank(key);
    }
}

impl Rank for () {
    fn rank(&self, _: &mut Vec<u8>) {}
}

impl Rank for str {
    fn rank(&self, key: &mut Vec<u8>) {
        for byte in self.bytes() {
            key.push(byte);
            if byte == 0 {
                key.push(0xff);
            }
        }
        key.extend_from_slice(&[0, 0]);
    }
}

impl Rank for String {
    fn rank(&self, key: &mut Vec<u8>) {
        self.as_str().rank(key);
    }
}

impl<T: Rank> Rank for [T] {
    fn rank(&self, key: &mut Vec<u8>) {
        for item in self {
            key.push(1);
            item.rank(key);
        }
        key.push(0);
    }
}

impl<T: Rank> Rank for Vec<T> {
    fn rank(&self, key: &mut Vec<u8>) {
        self.as_slice().rank(key);
    }
}

impl<T: Rank, const N: usize> Rank for [T; N] {
    fn rank(&self, key: &mut Vec<u8>) {
        self.iter().for_each(|item| item.rank(key));
    }
}

impl<T: Rank> Rank for Option<T> {
    fn rank(&self, key: &mut Vec<u8>) {
        key.push(self.is_some().into());
        if let Some(value) = self {
            value.rank(key);
        }
    }
}

impl<T: Rank + ?Sized> Rank for &T {
    fn rank(&self, key: &mut Vec<u8>) {
        (**self).rank(key);
    }
}

impl<T: Rank + ?Sized> Rank for Box<T> {
    fn rank(&self, key: &mut Vec<u8>) {
        (**self).rank(key);
    }
}

impl<T: Rank> Rank for Reverse<T> {
    fn rank(&self, key: &mut Vec<u8>) {
        let start = key.len();
        self.0.rank(key);
        key[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

impl Rank for Duration {
    fn rank(&self, key: &mut Vec<u8>) {
        self.as_secs().rank(key);
        self.subsec_nanos().rank(key);
    }
}

macro_rules! tuples {
    ($($name:ident $at:tt),*) => {
        impl<$($name: Rank),*> Rank for ($($name,)*) {
            fn rank(&self, key: &mut Vec<u8>) {
                $(self.$at.rank(key);)*
            }
        }
    };
}

tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key<T: Rank>(value: &T) -> Vec<u8> {
        let mut key = Vec::new();
        value.rank(&mut key);
        key
    }

    type Kind = (i32, String, Option<Vec<u8>>, Reverse<(i64, String)>, bool);

    proptest! {
        #[test]
        fn keys_are_in_the_order_of_their_values(
            a in any::<(i32, String, Option<Vec<u8>>, (i64, String), bool)>(),
            b in any::<(i32, String, Option<Vec<u8>>, (i64, String), bool)>(),
            same in 0usize..5,
        ) {
            let kind = |(i, s, v, r, t): (_, _, _, _, _)| -> Kind { (i, s, v, Reverse(r), t) };
            let (a, mut b) = (kind(a), kind(b));
            // So that later parts count, too.
            if same > 0 { b.0 = a.0; }
            if same > 1 { b.1 = a.1.clone(); }
            if same > 2 { b.2 = a.2.clone(); }
            if same > 3 { b.3 = Reverse(a.3.0.clone()); }
            prop_assert_eq!(a.cmp(&b), key(&a).cmp(&key(&b)));
        }

        #[test]
        fn texts_with_zeroes_too(a in "[\0\u{1}ab]{0,4}", b in "[\0\u{1}ab]{0,4}", c: u8, d: u8) {
            let (a, b) = ((Reverse(a.clone()), a, c), (Reverse(b.clone()), b, d));
            prop_assert_eq!(a.cmp(&b), key(&a).cmp(&key(&b)));
        }
    }
}
