//! How much the comparisons of one call may take: values may be large, and items many.

/// Why two values are not put in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unordered {
    /// There is no order between such values.
    NoOrder,
    /// They are too large, or the call has compared too much already.
    TooLarge,
}

/// How much one call may still compare, in parts of values.
#[derive(Debug)]
pub(crate) struct Effort {
    left: usize,
}

/// What any call may compare: about a second's work.
const STEPS: usize = 1 << 25;

/// What it may compare on top for each item and each doubling of their number: items with a few parts are sorted however
/// many there are.
const STEPS_FOR_EACH: usize = 8;

impl Effort {
    /// For a call that goes over so many items.
    pub(crate) fn over(items: usize) -> Effort {
        let doublings = (usize::BITS - items.leading_zeros()) as usize;
        let each = STEPS_FOR_EACH.saturating_mul(doublings + 1);
        Effort { left: STEPS.saturating_add(each.saturating_mul(items)) }
    }

    /// Takes so many steps from what is left. Nothing: there are not so many.
    pub(crate) fn spend(&mut self, steps: usize) -> Option<()> {
        match self.left.checked_sub(steps) {
            Some(left) => {
                self.left = left;
                Some(())
            }
            None => {
                self.left = 0;
                None
            }
        }
    }

    /// How many steps are left.
    pub(crate) fn left(&self) -> usize {
        self.left
    }
}
