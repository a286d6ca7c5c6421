//! An array of numbers of one type, or of characters, as Python's `array`.

use super::{ListError, Slice};

/// A number of an array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i128),
    Float(f64),
    /// A character, by its code point.
    Char(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArrayError {
    UnknownType,
    /// A whole number is wanted.
    NotWhole,
    /// A number is wanted.
    NotANumber,
    /// A character is wanted.
    NotAChar,
    /// The type has no such number.
    OutOfRange,
    /// As for a list.
    Place(ListError),
}

impl From<ListError> for ArrayError {
    fn from(error: ListError) -> Self {
        ArrayError::Place(error)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Array {
    code: char,
    numbers: Vec<Number>,
}

/// How many bits a whole number of that type has, and whether it may be negative.
fn whole(code: char) -> Option<(u32, bool)> {
    Some(match code {
        'b' => (8, true),
        'B' => (8, false),
        'h' => (16, true),
        'H' => (16, false),
        'i' => (32, true),
        'I' => (32, false),
        'l' | 'q' => (64, true),
        'L' | 'Q' => (64, false),
        _ => return None,
    })
}

/// Whether an array of that type holds characters.
pub(crate) fn is_of_chars(code: char) -> bool {
    matches!(code, 'u' | 'w')
}

impl Array {
    /// An array of the type that Python's `array` has that letter for.
    pub(crate) fn new(code: char, numbers: Vec<Number>) -> Result<Array, ArrayError> {
        let mut array = Array { code, numbers: Vec::new() };
        array.numbers =
            numbers.into_iter().map(|number| array.fit(number)).collect::<Result<_, _>>()?;
        match whole(code).is_some() || matches!(code, 'f' | 'd') || is_of_chars(code) {
            true => Ok(array),
            false => Err(ArrayError::UnknownType),
        }
    }

    pub(crate) fn code(&self) -> char {
        self.code
    }

    pub(crate) fn numbers(&self) -> &[Number] {
        &self.numbers
    }

    fn fit(&self, number: Number) -> Result<Number, ArrayError> {
        if is_of_chars(self.code) {
            return match number {
                Number::Char(_) => Ok(number),
                _ => Err(ArrayError::NotAChar),
            };
        }
        match (whole(self.code), number) {
            (Some(_), Number::Char(_)) => Err(ArrayError::NotWhole),
            (None, Number::Char(_)) => Err(ArrayError::NotANumber),
            (Some((bits, signed)), Number::Int(n)) => {
                let range = match signed {
                    true => -(1i128 << (bits - 1))..1i128 << (bits - 1),
                    false => 0..1i128 << bits,
                };
                if range.contains(&n) { Ok(number) } else { Err(ArrayError::OutOfRange) }
            }
            (Some(_), Number::Float(_)) => Err(ArrayError::NotWhole),
            (None, Number::Int(n)) => self.fit(Number::Float(n as f64)),
            (None, Number::Float(n)) if self.code == 'f' => Ok(Number::Float(f64::from(n as f32))),
            (None, Number::Float(_)) => Ok(number),
        }
    }

    fn place(&self, index: i64) -> Result<usize, ArrayError> {
        let len = self.numbers.len() as i64;
        let place = if index < 0 { index + len } else { index };
        match (0..len).contains(&place) {
            true => Ok(place as usize),
            false => Err(ListError::OutOfRange.into()),
        }
    }

    pub(crate) fn get(&self, index: i64) -> Result<Number, ArrayError> {
        Ok(self.numbers[self.place(index)?])
    }

    pub(crate) fn set(&mut self, index: i64, number: Number) -> Result<(), ArrayError> {
        let (place, number) = (self.place(index)?, self.fit(number)?);
        self.numbers[place] = number;
        Ok(())
    }

    pub(crate) fn slice(&self, slice: Slice) -> Result<Vec<Number>, ArrayError> {
        let (start, step, count) = slice.within(self.numbers.len())?;
        let place = |n: usize| (start as i64 + step * n as i64) as usize;
        Ok((0..count).map(|n| self.numbers[place(n)]).collect())
    }

    /// Puts numbers in the place of others: of as many, unless the slice is without steps.
    pub(crate) fn set_slice(
        &mut self,
        slice: Slice,
        numbers: Vec<Number>,
    ) -> Result<(), ArrayError> {
        let (start, step, count) = slice.within(self.numbers.len())?;
        if step != 1 && count != numbers.len() {
            return Err(ListError::OtherSize { has: count, given: numbers.len() }.into());
        }
        let numbers =
            numbers.into_iter().map(|number| self.fit(number)).collect::<Result<Vec<_>, _>>()?;
        if step == 1 {
            self.numbers.splice(start..start + count, numbers);
            return Ok(());
        }
        for (n, number) in numbers.into_iter().enumerate() {
            self.numbers[(start as i64 + step * n as i64) as usize] = number;
        }
        Ok(())
    }
}
