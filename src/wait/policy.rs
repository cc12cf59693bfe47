//! Who may take permits now: pure arithmetic on the state word, without threads, lists or clocks.
//!
//! ```text
//! word = [ permits | overtaken : 10 | WAITING | QUEUED ]
//! ```
//!
//! Everything that decides is here, so that it can be tested exhaustively; everything that can race
//! is in [`line`](super::line) and [`core`](super::core).

/// Waiters stand in the queue that have not been told to come: a release must look at it.
const QUEUED: usize = 1;
/// Somebody waits, in the queue or told and on the way: newcomers are counted.
const WAITING: usize = 1 << 1;
const OVERTAKEN_SHIFT: u32 = 2;
const OVERTAKEN_MASK: usize = 0x3ff << OVERTAKEN_SHIFT;
const PERMIT_SHIFT: u32 = 12;

/// The largest number of permits a word can count, with one bit to spare against overflow.
pub(crate) const MAX_PERMITS: usize = usize::MAX >> (PERMIT_SHIFT + 1);

/// How many newcomers may overtake the waiters before the line must move.
///
/// Each time it is reached somebody is parked and woken, which costs as much as hundreds of short
/// critical sections. From 512 on two threads that do nothing but lock and unlock feel no difference
/// (4032 measured the same), and 64 tasks still share evenly. Long critical sections never get this
/// far: see [`Word::take`].
pub(crate) const OVERTAKE_LIMIT: usize = if cfg!(latchwork_loom) { 2 } else { 512 };

/// The state word by value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Word(pub(super) usize);

/// Why permits are not to be had now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// There are too few of them.
    Short,
    /// They are there, but those who wait have been overtaken often or long enough.
    Reserved,
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

    #[inline]
    pub(crate) const fn overtaken(self) -> usize {
        (self.0 & OVERTAKEN_MASK) >> OVERTAKEN_SHIFT
    }

    /// The word after `need` permits are taken, or why they can't be.
    ///
    /// `first` is said by a waiter whose turn it is: it takes whatever fits, and the count of
    /// overtakings starts again. Anybody else is free to take while nobody waits, and then up to
    /// [`OVERTAKE_LIMIT`] times. `late` is asked at the overtakings 1, 2, 4, 8 and every 16th only, since its
    /// answer needs a clock: has the line been overtaken for longer than it should bear? So short
    /// critical sections share by count, and long ones are passed on nearly in order.
    #[inline]
    pub(crate) fn take(self, need: usize, first: bool, late: impl FnOnce() -> bool) -> Result<Self, Refusal> {
        if need == 0 {
            return Ok(self);
        }
        if self.permits() < need {
            return Err(Refusal::Short);
        }
        let taken = Self(self.0 - (need << PERMIT_SHIFT));
        if first {
            return Ok(Self(taken.0 & !OVERTAKEN_MASK));
        }
        if !self.is_waited_for() {
            return Ok(taken);
        }
        let overtaken = self.overtaken() + 1;
        if overtaken > OVERTAKE_LIMIT || (asks_clock(overtaken) && late()) {
            return Err(Refusal::Reserved);
        }
        Ok(Self(taken.0 + (1 << OVERTAKEN_SHIFT)))
    }

    /// The word after a `try_` call took `need` permits: it never waits, so it never stands back.
    #[inline]
    pub(crate) fn barge(self, need: usize) -> Option<Self> {
        (self.permits() >= need).then(|| Self(self.0 - (need << PERMIT_SHIFT)))
    }

    /// The word after `permits` were given back.
    #[inline]
    pub(crate) fn give(self, permits: usize) -> Self {
        Self(self.0 + Self::delta(permits))
    }

    /// The word with the two bits that describe the line; with nobody waiting nobody is overtaken.
    #[inline]
    pub(crate) fn with_line(self, queued: bool, told: bool) -> Self {
        let word = self.0 & !(QUEUED | WAITING);
        match (queued, told) {
            (true, _) => Self(word | QUEUED | WAITING),
            (false, true) => Self(word | WAITING),
            (false, false) => Self(word & !OVERTAKEN_MASK),
        }
    }
}

#[inline]
const fn asks_clock(overtaken: usize) -> bool {
    overtaken < 16 && overtaken.is_power_of_two() || overtaken.is_multiple_of(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every word with up to three permits, every count and every line.
    fn words() -> impl Iterator<Item = Word> {
        (0..=3).flat_map(|permits| {
            (0..=OVERTAKE_LIMIT).flat_map(move |overtaken| {
                [(false, false), (false, true), (true, false), (true, true)].into_iter().map(
                    move |(queued, told)| {
                        Word(Word::free(permits).0 | (overtaken << OVERTAKEN_SHIFT)).with_line(queued, told)
                    },
                )
            })
        })
    }

    #[test]
    fn taking_moves_exactly_the_permits_and_never_the_line() {
        for word in words() {
            for need in 0..=4 {
                for (first, late) in [(false, false), (false, true), (true, false), (true, true)] {
                    match word.take(need, first, || late) {
                        Ok(next) => {
                            assert_eq!(next.permits() + need, word.permits());
                            assert_eq!(next.is_queued(), word.is_queued());
                            assert_eq!(next.is_waited_for(), word.is_waited_for());
                            if need == 0 {
                                assert_eq!(next, word);
                                continue;
                            }
                            let count = match (first, word.is_waited_for()) {
                                (true, _) => 0,
                                (false, true) => word.overtaken() + 1,
                                (false, false) => word.overtaken(),
                            };
                            assert_eq!(next.overtaken(), count);
                            assert!(next.overtaken() <= OVERTAKE_LIMIT);
                            assert_eq!(next.give(need).permits(), word.permits());
                        }
                        Err(Refusal::Short) => assert!(word.permits() < need),
                        Err(Refusal::Reserved) => {
                            assert!(word.permits() >= need && !first && word.is_waited_for());
                            assert!(late || word.overtaken() == OVERTAKE_LIMIT);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_newcomer_overtakes_at_most_the_limit_between_two_turns() {
        let mut word = Word::free(1).with_line(true, false);
        for _ in 0..OVERTAKE_LIMIT {
            word = word.take(1, false, || false).expect("below the limit").give(1);
        }
        assert_eq!(word.take(1, false, || false), Err(Refusal::Reserved));
        let word = word.take(1, true, || true).expect("the first waiter may always take").give(1);
        assert_eq!(word.overtaken(), 0);
    }

    #[test]
    fn a_late_line_is_not_overtaken_where_the_clock_is_asked() {
        let mut asked = Vec::new();
        let mut word = Word::free(1).with_line(true, false);
        for turn in 1..=OVERTAKE_LIMIT {
            let next = word.take(1, false, || {
                asked.push(turn);
                false
            });
            word = next.expect("below the limit").give(1);
        }
        assert_eq!(asked[..6], [1, 2, 4, 8, 16, 32]);
        assert_eq!((asked.len(), asked.last()), (4 + OVERTAKE_LIMIT / 16, Some(&OVERTAKE_LIMIT)));
        assert_eq!(Word::free(1).with_line(true, false).take(1, false, || true), Err(Refusal::Reserved));
    }

    #[test]
    fn no_sum_of_permits_reaches_the_flags_or_overflows() {
        let full = Word::free(MAX_PERMITS);
        assert_eq!(full.give(MAX_PERMITS).permits(), 2 * MAX_PERMITS);
        assert_eq!(full.barge(MAX_PERMITS), Some(Word::free(0)));
        assert_eq!(full.barge(MAX_PERMITS + 1), None);
        assert_eq!(full.take(usize::MAX, true, || false), Err(Refusal::Short));
    }
}
