//! The policy of newcomers: pure arithmetic on the state word, without threads, lists or clocks.
//!
//! ```text
//! word = [ permits | left : 10 | WHOLE | WAITING | QUEUED ]
//! ```
//!
//! It is here, so that it can be tested exhaustively. What can race is in [`line`](super::line) and
//! [`core`](super::core).

/// A release must look at the line.
const QUEUED: usize = 1;
/// A waiter is expected to come: newcomers are counted.
const WAITING: usize = 1 << 1;
/// The front of the queue wants all permits: a release looks only when all of them are back.
const WHOLE: usize = 1 << 2;
const FLAGS: usize = QUEUED | WAITING | WHOLE;
const LEFT_SHIFT: u32 = 3;
const LEFT_MASK: usize = 0x3ff << LEFT_SHIFT;
const PERMIT_SHIFT: u32 = 13;

/// The largest number of permits a word can count, with one bit to spare against overflow.
pub(crate) const MAX_PERMITS: usize = usize::MAX >> (PERMIT_SHIFT + 1);

/// How many newcomers may pass the eldest waiter before the permits are reserved for it.
///
/// Each hand-over wakes a waiter, which costs as much as hundreds of short critical sections.
/// From 512 on two threads that do nothing but lock and unlock feel no difference (4032 measured the
/// same).
pub(crate) const TURN_LIMIT: usize = if cfg!(latchwork_loom) { 2 } else { 512 };

/// How many newcomers may pass one waiter in all, also while it stands behind others.
pub(crate) const WAIT_LIMIT: usize = 8 * TURN_LIMIT;

/// How many newcomers may pass a waiter while it is the eldest of `live` ones, after `passed` have.
///
/// Each waiter is passed while it is the eldest, and while those before it were. So a line of n lets an n-th of the limit
/// pass at each turn. A waiter that came last has then spent most of its limit when it is the eldest, and still has its own
/// part. Otherwise a line that was passed for long would be served without a gap. One lucky newcomer would then pass all of
/// the next line.
pub(crate) fn allowance(passed: usize, live: usize) -> usize {
    let part = (WAIT_LIMIT / live.max(1)).clamp(1, TURN_LIMIT);
    part.min(WAIT_LIMIT.saturating_sub(passed))
}

/// The state word by value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Word(pub(super) usize);

/// Why a newcomer can't take permits now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// There are too few of them.
    Short,
    /// They are free, but reserved for waiters.
    Reserved,
}

/// What the word says about the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Marks {
    /// A release must look at the line ...
    pub(crate) queued: bool,
    /// ... but only when all permits are back.
    pub(crate) whole: bool,
    /// A waiter is expected to come.
    pub(crate) waiting: bool,
    /// How many more newcomers may take permits.
    pub(crate) left: usize,
}

impl Word {
    /// A word with `permits` to take and nobody waiting.
    pub(crate) const fn free(permits: usize) -> Self {
        assert!(permits <= MAX_PERMITS, "more than MAX_PERMITS permits");
        Self(permits << PERMIT_SHIFT)
    }

    /// What to add to a raw word to give `permits` back.
    #[inline]
    pub(crate) const fn delta(permits: usize) -> usize {
        permits << PERMIT_SHIFT
    }

    #[inline]
    pub(crate) const fn permits(self) -> usize {
        self.0 >> PERMIT_SHIFT
    }

    #[inline]
    pub(crate) const fn is_queued(self) -> bool {
        self.0 & QUEUED != 0
    }

    #[inline]
    pub(crate) const fn is_waited_for(self) -> bool {
        self.0 & WAITING != 0
    }

    /// How many more newcomers may take permits while the lock has waiters.
    #[inline]
    pub(crate) const fn left(self) -> usize {
        (self.0 & LEFT_MASK) >> LEFT_SHIFT
    }

    /// The word after a newcomer took `need` permits, or why it can't. A newcomer is free to take them
    /// while nobody waits, and after that for as long as the word has something left.
    #[inline]
    pub(crate) fn take(self, need: usize) -> Result<Self, Refusal> {
        if need == 0 {
            return Ok(self);
        }
        if self.permits() < need {
            return Err(Refusal::Short);
        }
        let taken = Self(self.0 - (need << PERMIT_SHIFT));
        if !self.is_waited_for() {
            return Ok(taken);
        }
        if self.left() == 0 {
            return Err(Refusal::Reserved);
        }
        Ok(Self(taken.0 - (1 << LEFT_SHIFT)))
    }

    /// The word after `need` permits were taken by a waiter whose turn it is. There must be as many.
    #[inline]
    pub(crate) fn take_turn(self, need: usize) -> Self {
        debug_assert!(self.permits() >= need);
        Self(self.0 - (need << PERMIT_SHIFT))
    }

    /// The word after `permits` were given back.
    #[inline]
    pub(crate) fn give(self, permits: usize) -> Self {
        Self(self.0 + Self::delta(permits))
    }

    /// Whether a release must look at the line, after which the word is `self`.
    #[inline]
    pub(crate) const fn must_look(self) -> bool {
        self.is_queued() && (self.0 & WHOLE == 0 || self.permits() >= MAX_PERMITS)
    }

    /// The word with other marks.
    #[inline]
    pub(crate) fn marked(self, marks: Marks) -> Self {
        debug_assert!(marks.left <= TURN_LIMIT);
        let flag = |is_set: bool, flag: usize| if is_set { flag } else { 0 };
        Self(
            self.0 & !(FLAGS | LEFT_MASK)
                | flag(marks.queued, QUEUED)
                | flag(marks.whole, WHOLE)
                | flag(marks.waiting, WAITING)
                | marks.left << LEFT_SHIFT,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(queued: bool, whole: bool, waiting: bool, left: usize) -> Marks {
        Marks { queued, whole, waiting, left }
    }

    /// Every word with up to three permits and every mark.
    fn words() -> impl Iterator<Item = (usize, Marks, Word)> {
        let flags = (0..8).map(|bits| (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0));
        flags.flat_map(|(queued, whole, waiting)| {
            (0..=TURN_LIMIT).flat_map(move |left| {
                let marks = marks(queued, whole, waiting, left);
                (0..=3).map(move |permits| (permits, marks, Word::free(permits).marked(marks)))
            })
        })
    }

    #[test]
    fn a_word_is_what_it_was_made_of() {
        for (permits, marks, word) in words() {
            assert_eq!(word.permits(), permits);
            assert_eq!((word.is_queued(), word.is_waited_for()), (marks.queued, marks.waiting));
            assert_eq!(word.left(), marks.left);
            assert_eq!(word.marked(Marks::default()), Word::free(permits));
            assert_eq!(word.must_look(), marks.queued && !marks.whole);
        }
    }

    #[test]
    fn taking_moves_exactly_the_permits_and_counts_newcomers_that_pass() {
        for (permits, marks, word) in words() {
            assert_eq!(word.take(0), Ok(word));
            for need in 1..=4 {
                match word.take(need) {
                    Ok(next) => {
                        let left = marks.left - usize::from(marks.waiting);
                        assert_eq!(next, Word::free(permits - need).marked(Marks { left, ..marks }));
                        assert_eq!(next.give(need).permits(), permits);
                    }
                    Err(Refusal::Short) => assert!(permits < need),
                    Err(Refusal::Reserved) => assert!(permits >= need && marks.waiting && marks.left == 0),
                }
                if permits >= need {
                    assert_eq!(word.take_turn(need), Word::free(permits - need).marked(marks));
                }
            }
        }
    }

    #[test]
    fn newcomers_pass_as_often_as_is_left_and_no_more() {
        for left in 0..=TURN_LIMIT {
            let mut word = Word::free(1).marked(marks(true, false, true, left));
            for _ in 0..left {
                word = word.take(1).expect("something is left").give(1);
            }
            assert_eq!(word.take(1), Err(Refusal::Reserved));
        }
    }

    #[test]
    fn a_release_looks_for_a_front_that_wants_all_only_when_all_are_back() {
        let word = Word::free(MAX_PERMITS - 1).marked(marks(true, true, true, 0));
        assert!(!word.must_look());
        assert!(word.give(1).must_look());
        assert!(!Word::free(MAX_PERMITS).must_look());
    }

    #[test]
    fn every_waiter_of_a_line_is_passed_at_most_the_limit_and_has_its_part_of_it() {
        for len in 1..=100 {
            // A line that stays as long as it is: who had its turn comes again, behind all others.
            let mut passed = vec![0; len];
            for _ in 0..10 * len {
                let turn = allowance(passed[0], len);
                for passed in &mut passed {
                    *passed += turn;
                }
                assert!(passed.iter().all(|passed| *passed <= WAIT_LIMIT), "in a line of {len}");
                assert!(turn > 0, "a line of {len} is served one after the other");
                passed.rotate_left(1);
                passed[len - 1] = 0;
            }
        }
        assert_eq!((allowance(0, 1), allowance(0, 8), allowance(0, 16)), (512, 512, 256));
        assert_eq!(allowance(WAIT_LIMIT - 1, 1), 1);
        assert_eq!(allowance(WAIT_LIMIT, 7), 0);
        assert_eq!(allowance(usize::MAX, 0), 0);
        assert_eq!(allowance(0, usize::MAX), 1);
    }

    #[test]
    fn no_sum_of_permits_reaches_the_marks_or_overflows() {
        let full = Word::free(MAX_PERMITS).marked(marks(true, true, true, TURN_LIMIT));
        assert_eq!(full.give(MAX_PERMITS).permits(), 2 * MAX_PERMITS);
        assert_eq!(full.give(MAX_PERMITS).left(), TURN_LIMIT);
        assert_eq!(full.take(usize::MAX), Err(Refusal::Short));
        assert_eq!(full.take(MAX_PERMITS + 1), Err(Refusal::Short));
        assert_eq!(Word::free(MAX_PERMITS).take(MAX_PERMITS), Ok(Word::free(0)));
    }
}
