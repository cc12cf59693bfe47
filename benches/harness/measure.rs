//! What is compared, by which figures, and the goals that are set.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// How long one round of one contender takes, about.
const ROUND: Duration = Duration::from_millis(60);
/// How many operations a smoke run makes: enough for each of 64 tasks to get its turn.
const SMOKE: u64 = 256;

/// What one round found: the time of an operation in ns or whatever the measure counts, then the measure's further
/// figures.
#[derive(Clone)]
pub(crate) struct Round(Vec<f64>);

impl From<f64> for Round {
    fn from(figure: f64) -> Self {
        Self(vec![figure])
    }
}

impl<const N: usize> From<[f64; N]> for Round {
    fn from(figures: [f64; N]) -> Self {
        Self(figures.into())
    }
}

/// A range that a figure, or a ratio of two, is to be in; the number of the figure comes first.
pub(super) type Goal = (usize, RangeInclusive<f64>);

pub(super) struct Contender<'a> {
    pub(super) name: String,
    run: Box<dyn FnMut(u64) -> Round + 'a>,
    /// How many operations, or what else a round's size is.
    ops: u64,
    rounds: Vec<Round>,
    /// For our median ÷ this one's.
    pub(super) goals: Vec<Goal>,
}

impl Contender<'_> {
    /// What was found of one figure, in order of size. Empty if there is no such figure.
    pub(super) fn sorted(&self, figure: usize) -> Vec<f64> {
        let mut found: Vec<f64> =
            self.rounds.iter().filter_map(|round| round.0.get(figure).copied()).collect();
        found.sort_by(f64::total_cmp);
        found
    }

    pub(super) fn median(&self, figure: usize) -> Option<f64> {
        let found = self.sorted(figure);
        found.get(found.len() / 2).copied()
    }

    pub(super) fn goal(&self, figure: usize) -> Option<&RangeInclusive<f64>> {
        find(&self.goals, figure)
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

pub(super) fn find(goals: &[Goal], figure: usize) -> Option<&RangeInclusive<f64>> {
    goals.iter().find(|goal| goal.0 == figure).map(|goal| &goal.1)
}

/// Something to compare contenders by.
pub(crate) struct Measure<'a> {
    pub(super) title: String,
    pub(super) contenders: Vec<Contender<'a>>,
    /// The unit of the first figure, and the names of the others.
    pub(super) figures: Vec<&'static str>,
    /// For our own figures.
    pub(super) bounds: Vec<Goal>,
    fixed: Option<u64>,
    most_rounds: usize,
}

impl<'a> Measure<'a> {
    /// A measure of nanoseconds an operation, with as many operations as fill a round.
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            contenders: Vec::new(),
            figures: vec!["ns"],
            bounds: Vec::new(),
            fixed: None,
            most_rounds: usize::MAX,
        }
    }

    /// Counts something else.
    pub(crate) fn unit(mut self, unit: &'static str) -> Self {
        self.figures[0] = unit;
        self
    }

    /// Adds a figure.
    pub(crate) fn also(mut self, name: &'static str) -> Self {
        self.figures.push(name);
        self
    }

    /// Passes `size` to the contenders, whatever it means to them.
    pub(crate) fn fixed(mut self, size: u64) -> Self {
        self.fixed = Some(size);
        self
    }

    /// Runs fewer rounds than others do, each being long.
    pub(crate) fn at_most_rounds(mut self, rounds: usize) -> Self {
        self.most_rounds = rounds;
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
            goals: Vec::new(),
        });
        self
    }

    /// Goal: our median is at most `factor` times that of the contender added last.
    pub(crate) fn goal(self, factor: f64) -> Self {
        self.ratio_goal(0, 0.0..=factor)
    }

    /// Goal, where more is better: our median is at least `factor` times that of the contender added last.
    pub(crate) fn goal_at_least(self, factor: f64) -> Self {
        self.ratio_goal(0, factor..=f64::INFINITY)
    }

    /// The goal for a figure that was added.
    pub(crate) fn goal_for(self, figure: &str, factor: f64) -> Self {
        let figure = self.figure(figure);
        self.ratio_goal(figure, 0.0..=factor)
    }

    fn ratio_goal(mut self, figure: usize, range: RangeInclusive<f64>) -> Self {
        self.contenders.last_mut().expect("a goal follows its contender").goals.push((figure, range));
        self
    }

    /// Goal: our median is at most `bound`.
    pub(crate) fn bound(mut self, bound: f64) -> Self {
        self.bounds.push((0, 0.0..=bound));
        self
    }

    /// Goal: our median of a figure that was added is in `range`.
    pub(crate) fn bound_for(mut self, figure: &str, range: RangeInclusive<f64>) -> Self {
        self.bounds.push((self.figure(figure), range));
        self
    }

    fn figure(&self, name: &str) -> usize {
        self.figures.iter().position(|figure| *figure == name).expect("the figure was added before")
    }

    /// Runs all rounds, each beginning with the next contender.
    pub(super) fn measure(&mut self, rounds: usize, smoke: bool) {
        for contender in &mut self.contenders {
            match self.fixed {
                Some(ops) if smoke => contender.ops = (ops / 100).max(1),
                Some(ops) => {
                    contender.ops = ops;
                    (contender.run)(ops);
                }
                None if smoke => {}
                None => contender.calibrate(),
            }
        }
        let many = self.contenders.len();
        for round in 0..rounds.clamp(1, self.most_rounds) {
            for turn in 0..many {
                let contender = &mut self.contenders[(round + turn) % many];
                contender.rounds.push((contender.run)(contender.ops));
            }
        }
    }
}
