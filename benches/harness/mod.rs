//! A small harness for ratios: the contenders of a measure run in turn, round after round, so that
//! whatever else the machine does meets all of them; medians are compared.
//!
//! The first contender of a measure is ours. Each other row says how our median compares with its
//! own, and whether that meets the goal set for it.

pub(crate) mod crowd;
mod report;

use std::time::{Duration, Instant};

pub(crate) use self::report::Report;

/// How long one round of one contender takes, about.
const ROUND: Duration = Duration::from_millis(60);
/// How many operations a smoke run makes: enough for each of 64 tasks to get its turn.
const SMOKE: u64 = 256;

/// What one round found: the time of an operation in ns or whatever the measure counts, and the
/// measure's second figure if it has one.
#[derive(Clone, Copy)]
pub(crate) struct Round {
    pub(crate) value: f64,
    pub(crate) extra: Option<f64>,
}

impl From<f64> for Round {
    fn from(value: f64) -> Self {
        Self { value, extra: None }
    }
}

/// Nanoseconds an operation, of `ops` that began at `start` and have just ended.
pub(crate) fn per_op(start: Instant, ops: u64) -> f64 {
    start.elapsed().as_nanos() as f64 / ops as f64
}

struct Contender<'a> {
    name: String,
    run: Box<dyn FnMut(u64) -> Round + 'a>,
    /// How many operations, or what else a round's size is.
    ops: u64,
    rounds: Vec<Round>,
    /// Our median is to be at most so many times this one's.
    goal: Option<f64>,
}

impl Contender<'_> {
    fn median(&self) -> f64 {
        median(self.rounds.iter().map(|round| round.value))
    }

    fn extra(&self) -> Option<f64> {
        self.rounds[0].extra.map(|_| median(self.rounds.iter().filter_map(|round| round.extra)))
    }

    /// Finds the number of operations that fills a round, which warms the contender up as well.
    fn calibrate(&mut self) {
        loop {
            let start = Instant::now();
            (self.run)(self.ops);
            let scale = ROUND.as_secs_f64() / start.elapsed().as_secs_f64();
            self.ops = (self.ops as f64 * scale.clamp(0.1, 16.0)) as u64 + 1;
            if scale < 3.0 {
                return;
            }
        }
    }
}

/// Something to compare contenders by.
pub(crate) struct Measure<'a> {
    title: String,
    unit: &'static str,
    fixed: Option<u64>,
    contenders: Vec<Contender<'a>>,
    bound: Option<f64>,
    extra: Option<(&'static str, Option<(f64, f64)>)>,
}

impl<'a> Measure<'a> {
    /// A measure of nanoseconds an operation, with as many operations as fill a round.
    pub(crate) fn new(title: impl Into<String>) -> Self {
        let title = title.into();
        Self { title, unit: "ns", fixed: None, contenders: Vec::new(), bound: None, extra: None }
    }

    /// Counts something else.
    pub(crate) fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// Passes `size` to the contenders, whatever it means to them.
    pub(crate) fn fixed(mut self, size: u64) -> Self {
        self.fixed = Some(size);
        self
    }

    /// Adds a contender: a round of so many operations. Ours comes first.
    pub(crate) fn run<R: Into<Round>>(
        mut self,
        name: impl Into<String>,
        mut round: impl FnMut(u64) -> R + 'a,
    ) -> Self {
        let run = Box::new(move |ops| round(ops).into());
        self.contenders.push(Contender {
            name: name.into(),
            run,
            ops: SMOKE,
            rounds: Vec::new(),
            goal: None,
        });
        self
    }

    /// Goal: our median is at most `factor` times that of the contender added last.
    pub(crate) fn goal(mut self, factor: f64) -> Self {
        self.contenders.last_mut().expect("a goal follows its contender").goal = Some(factor);
        self
    }

    /// Goal: our median is at most `bound`.
    pub(crate) fn bound(mut self, bound: f64) -> Self {
        self.bound = Some(bound);
        self
    }

    /// Names the second figure, with the range that ours is to be in, if that is a goal.
    pub(crate) fn extra(mut self, name: &'static str, goal: Option<(f64, f64)>) -> Self {
        self.extra = Some((name, goal));
        self
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
